"""Every official model with a manifest: all its entries find their place, and outputs are the official ones.

POSEREP_MODELS names the folder of manifests; it is no part of the project. See reference/README.md.
"""

import zlib

import pytest
import torch
from torch import nn

from model_cases import NETS
from official_models import CASES, EVERY, FOLDER, official, same
from poserep import models
from poserep.models import (
    PoseNet,
)
from poserep.models.weights.load import load_official
from reference.vectors import listed, tensors
from reference.weights import image, named_state, official_keys

# Every part once, but for those of which copies lie here; the others are long tests.
QUICK = {
    *("simplebaseline_res50_simdr_upfree_64x64", "srhead_res50_256x192", "srpose_res50_256x192_train_list"),
    *("tokenpose_s_v1_64x64_patch11", "tokenpose_b_256x192", "transpose_r_a4_64x64", "transpose_h_s_256x192"),
    *("hourglass_4stack_128x96", "hrformer_small_256x192_rpe_added", "higherhrnet_w32_128x128", "rtmpose_t_256x192"),
}


@pytest.mark.skipif(not FOLDER.is_dir(), reason="POSEREP_MODELS names no folder: no manifests of official models")
@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.long) for n in CASES])
def test_official_weights_give_official_outputs(name):
    # Batch norms and dropout stay in evaluation mode.
    net = CASES[name]().eval()
    state, v = official(name, net)
    imported = load_official(net, state, name)
    assert set(imported.mapped) == set(state) and {*imported.missing.values()} <= {"runs in training alone"}
    net.head.training = name in EVERY
    with torch.no_grad():
        out = net.head(net.backbone(image(*v["input_hw"].tolist())))
    outs = out if isinstance(out, tuple) else (out,)
    assert len(outs) == v["n_outputs"]
    for i, ours in enumerate(outs):
        same(ours, v[f"out{i}"], v[f"out{i}_shape"][1:], v[f"out{i}_stride"])


@pytest.mark.parametrize("name", ["hrnet_w32_heatmap", "simplebaseline_res50_heatmap"])
def test_copies_give_official_outputs(name):
    v = tensors(f"parity_{name}_64x64")
    net = NETS[name]("64x64").eval()
    keys = official_keys(net)
    assert zlib.crc32("\n".join(sorted(keys)).encode()) == v["keys_crc"], "entries differ from the official model's"
    load_official(net, named_state(keys, float(v["conv_gain"])), name)
    with torch.no_grad():
        same(net.head(net.backbone(image(64, 64))), v["out0"], v["out0_shape"], v["out0_stride"])


# Where manifests are absent.
@pytest.mark.parametrize(("backbone", "arguments", "options", "expected"), listed("network_outputs")["transformers"])
def test_transformers_give_what_they_gave(backbone, arguments, options, expected):
    net = getattr(models, backbone)(*arguments, **options).eval()
    running = {key: value for key, value in net.state_dict().items() if "running" in key}
    net.load_state_dict(named_state(dict(net.named_parameters()) | running, 0.7), strict=False)
    with torch.no_grad():
        out = net(image(64, 64))[0].flatten()
    torch.testing.assert_close(
        out[:: len(out) // 6][:6], torch.tensor(expected), atol=1e-4 * out.abs().max().item(), rtol=0
    )


def test_normalisation_is_imagenets_on_values_from_zero_to_one():
    image = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    mean, std = (torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    normalised = PoseNet(nn.Identity(), nn.Identity())(image)  # type: ignore[arg-type]
    torch.testing.assert_close(normalised, (image / 255 - mean) / std, atol=1e-5, rtol=0)
