"""Every official model with a manifest: all its entries find their place, and outputs are the official ones.

POSEREP_MODELS names the folder of manifests; it is no part of the project. See reference/README.md.
"""

import json
import os
import zlib
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from model_cases import H_S, NETS, B, R, maps, pair, resnet, tokens
from poserep import models
from poserep.codecs import Heatmap, SimCC, SRHeatmap
from poserep.models import (
    AxisLinear,
    BottomUp,
    BottomUpHigher,
    BottomUpSR,
    Hourglass,
    HRFormer,
    HRNet,
    PoseNet,
    StackedMaps,
    TokenPose,
)
from poserep.models.weights.load import destinations, load_official
from reference.vectors import listed, tensors
from reference.weights import image, named_state, official_keys

# Names of official models, and what makes ours of a size.
MAKERS = {
    "hrnet_w32_heatmap_{}": (NETS["hrnet_w32_heatmap"], "64x64", "128x96", "256x192"),
    "hrnet_w32_simdr_64x64": (pair(partial(HRNet, 32), AxisLinear, partial(SimCC, k=3)), "64x64"),
    "hrnet_w32_simdr_256x192": (pair(partial(HRNet, 32), AxisLinear, partial(SimCC, k=2)), "256x192"),
    "mmpose_hrnet_w32_simple_{}": (NETS["hrnet_w32_heatmap"], "256x192"),
    "simplebaseline_res50_heatmap_{}": (NETS["simplebaseline_res50_heatmap"], "64x64", "256x192"),
    "simplebaseline_res50_simdr_{}": (NETS["simplebaseline_res50_simdr"], "256x192"),
    "simplebaseline_res50_sa_simdr_{}": (NETS["simplebaseline_res50_simdr"], "384x288"),
    "simplebaseline_res50_simdr_upfree_256x192": (NETS["simplebaseline_res50_simdr_upfree"], "256x192"),
    "simplebaseline_res50_simdr_upfree_64x64": (
        pair(resnet, AxisLinear, partial(SimCC, k=3), upsample_to=None, channels_per_joint=32), "64x64",
    ),
    "srhead_hrnet_w32_{}": (NETS["srhead_hrnet_w32"], "256x192"),
    "srhead_res50_{}": (NETS["srhead_res50"], "256x192"),
    "srpose_hrnet_w32_{}_train_list": (NETS["srpose_hrnet_w32"], "256x192"),
    # Without the predictors that only supervise.
    "srpose_res50_{}_inference": (NETS["srpose_res50"], "256x192"),
    "srpose_res50_{}_train_list": (NETS["srpose_res50"], "256x192"),
    "bottomup_res50_simple_{}": (pair(resnet, BottomUp, Heatmap), "128x128"),
    "bottomup_res50_sr_{}": (pair(resnet, BottomUpSR, SRHeatmap), "512x512"),
    "higherhrnet_w32_{}": (pair(partial(HRNet, 32), BottomUpHigher, partial(Heatmap, stride=2)), "128x128"),
    "tokenpose_s_v1_64x64_patch11": (tokens(TokenPose), "64x64"),
    "tokenpose_s_v1_128x128_patch22": (tokens(TokenPose), "128x128"),
    "tokenpose_s_v1_256x192": (tokens(TokenPose), "256x192"),
    "tokenpose_b_{}": (tokens(B), "256x192"),
    "transpose_r_a4_{}": (maps(R), "64x64", "256x192"),
    "transpose_h_s_{}": (maps(H_S), "256x192"),
    "hourglass_4stack_{}": (pair(Hourglass, StackedMaps, Heatmap), "128x96", "256x192"),
    "hrformer_small_{}": (maps(partial(HRFormer, position_bias=False)), "256x192"),
    "hrformer_small_{}_rpe_added": (maps(HRFormer), "256x192"),
}  # fmt: skip
CASES = {name.format(size): partial(make, size) for name, (make, *sizes) in MAKERS.items() for size in sizes}
# All the maps that are supervised, not the last alone.
EVERY = {name for name in CASES if name.endswith("train_list") or name.startswith("hourglass")}
# Every part once, but for those of which copies lie here; the others are long tests.
QUICK = {
    *("simplebaseline_res50_simdr_upfree_64x64", "srhead_res50_256x192", "srpose_res50_256x192_train_list"),
    *("tokenpose_s_v1_64x64_patch11", "tokenpose_b_256x192", "transpose_r_a4_64x64", "transpose_h_s_256x192"),
    *("hourglass_4stack_128x96", "hrformer_small_256x192_rpe_added", "higherhrnet_w32_128x128"),
}
FOLDER = Path(os.environ.get("POSEREP_MODELS") or "absent")


def official(name: str, net) -> tuple[dict[str, Tensor], dict[str, np.ndarray]]:
    """An official model's state dict, and its outputs. Fixed tables keep the values that ``net`` has for them."""
    with np.load(FOLDER / f"{name}.parity.npz", allow_pickle=False) as file:
        v = {key: file[key] for key in file.files if not key.startswith("tap:")}
    shapes = {key: rest for key, *rest in json.loads((FOLDER / f"{name}.manifest.json").read_text())}
    made = {
        key: shape for key, (shape, kind) in shapes.items() if key not in v["kept_keys"] and kind.startswith("float")
    }
    state = named_state({key: torch.empty(shape) for key, shape in made.items()}, float(v["conv_gain"]))
    own, places = net.state_dict(), destinations(net, shapes)
    for key in shapes.keys() - made.keys():
        state[key] = own[places[key]] if places[key] else torch.zeros(shapes[key][0])
        assert list(state[key].shape) == shapes[key][0], key
    return {key: state[key] for key in shapes}, v


def same(ours: Tensor, theirs, shape, stride) -> None:
    """Compare an output for the first image with the official one, of which every ``stride``-th value is kept."""
    assert list(ours.shape[1:]) == shape.tolist()
    ours, theirs = ours.flatten()[:: int(stride)], torch.as_tensor(theirs).flatten()
    # Convolutions of float32 in another order: 4e-6 of the greatest value between float32 and float64.
    torch.testing.assert_close(ours, theirs[: len(ours)], atol=1e-4 * theirs.abs().max().item(), rtol=0)


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
