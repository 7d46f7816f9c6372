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

from model_cases import H_S, NETS, B, build, maps, pair, resnet, tokens
from poserep.codecs import Heatmap, SimCC, SRHeatmap
from poserep.models import (
    AxisLinear,
    BottomUpSR,
    Hourglass,
    HRFormer,
    HRNet,
    PoseNet,
    StackedMaps,
    TokenPose,
    TransPoseH,
    TransPoseR,
    ViTPose,
)
from poserep.models.weights.load import destinations, load_official
from reference.vectors import tensors
from reference.weights import image, named_state, official_keys

CASES = {
    "hrnet_w32_heatmap_64x64": lambda: NETS["hrnet_w32_heatmap"]("64x64"),
    "hrnet_w32_heatmap_128x96": lambda: NETS["hrnet_w32_heatmap"]("128x96"),
    "hrnet_w32_heatmap_256x192": lambda: NETS["hrnet_w32_heatmap"]("256x192"),
    "hrnet_w32_simdr_64x64": lambda: build(HRNet(32), AxisLinear, SimCC("64x64", k=3)),
    "hrnet_w32_simdr_256x192": lambda: build(HRNet(32), AxisLinear, SimCC("256x192", k=2)),
    "mmpose_hrnet_w32_simple_256x192": lambda: NETS["hrnet_w32_heatmap"]("256x192"),
    "simplebaseline_res50_heatmap_64x64": lambda: NETS["simplebaseline_res50_heatmap"]("64x64"),
    "simplebaseline_res50_heatmap_256x192": lambda: NETS["simplebaseline_res50_heatmap"]("256x192"),
    "simplebaseline_res50_simdr_256x192": lambda: NETS["simplebaseline_res50_simdr"]("256x192"),
    "simplebaseline_res50_sa_simdr_384x288": lambda: build(resnet(), AxisLinear, SimCC("384x288", k=2)),
    "simplebaseline_res50_simdr_upfree_256x192": lambda: NETS["simplebaseline_res50_simdr_upfree"]("256x192"),
    "simplebaseline_res50_simdr_upfree_64x64": lambda: build(
        resnet(), AxisLinear, SimCC("64x64", k=3), upsample_to=None, channels_per_joint=32
    ),
    "srhead_hrnet_w32_256x192": lambda: NETS["srhead_hrnet_w32"]("256x192"),
    "srhead_res50_256x192": lambda: NETS["srhead_res50"]("256x192"),
    "srpose_hrnet_w32_256x192_train_list": lambda: NETS["srpose_hrnet_w32"]("256x192"),
    # Without the predictors that only supervise.
    "srpose_res50_256x192_inference": lambda: NETS["srpose_res50"]("256x192"),
    "srpose_res50_256x192_train_list": lambda: NETS["srpose_res50"]("256x192"),
    "bottomup_res50_sr_512x512": lambda: build(resnet(), BottomUpSR, SRHeatmap("512x512")),
    "tokenpose_s_v1_64x64_patch11": lambda: tokens(TokenPose)("64x64"),
    "tokenpose_s_v1_128x128_patch22": lambda: tokens(TokenPose)("128x128"),
    "tokenpose_s_v1_256x192": lambda: tokens(TokenPose)("256x192"),
    "tokenpose_b_256x192": lambda: tokens(B)("256x192"),
    "transpose_r_a4_64x64": lambda: maps(TransPoseR)("64x64"),
    "transpose_r_a4_256x192": lambda: maps(TransPoseR)("256x192"),
    "transpose_h_s_256x192": lambda: maps(H_S)("256x192"),
    "hourglass_4stack_128x96": lambda: pair(Hourglass, StackedMaps, Heatmap)("128x96"),
    "hourglass_4stack_256x192": lambda: pair(Hourglass, StackedMaps, Heatmap)("256x192"),
    "hrformer_small_256x192": lambda: maps(partial(HRFormer, position_bias=False))("256x192"),
    "hrformer_small_256x192_rpe_added": lambda: maps(HRFormer)("256x192"),
}
# All the maps that are supervised, not the last alone.
EVERY = {name for name in CASES if name.endswith("train_list") or name.startswith("hourglass")}
# Every part once, but for those of which copies lie here; the others are long tests.
QUICK = {
    *("simplebaseline_res50_simdr_upfree_64x64", "srhead_res50_256x192", "srpose_res50_256x192_train_list"),
    *("tokenpose_s_v1_64x64_patch11", "tokenpose_b_256x192", "transpose_r_a4_64x64", "transpose_h_s_256x192"),
    *("hourglass_4stack_128x96", "hrformer_small_256x192_rpe_added"),
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


# Backbones with transformers, where manifests are absent: six values in even steps, of code that gave the official
# outputs above, and those of plain functions for ViTPose. Weights are `named_state` of our names with a gain of 0.7.
TRANSFORMERS = {
    "tokenpose": (partial(TokenPose, (64, 64), 5, depths=(2,)),
                  [-1.39815, 9.34237, -7.15715, 5.57718, 1.34243, 0.90398]),
    "tokenpose_18": (partial(TokenPose, (64, 64), 5, 18, patch=(4, 2), depths=(1, 1), scale_with_head=True),
                     [-0.59816, 3.05713, 0.35155, 1.50142, 2.98372, 2.30201]),
    "transpose_r": (partial(TransPoseR, (64, 64), layers=1),
                    [-0.32304, 0.06298, -2.72678, -2.08215, -1.6998, -0.72879]),
    "transpose_h": (partial(TransPoseH, (64, 64), 18, layers=2),
                    [-0.75982, -0.62491, 0.26098, -0.55371, 1.11233, 2.42382]),
    "vitpose": (partial(ViTPose, (64, 64), 32, 2, 4),
                [-0.83478, 0.14526, -2.84561, 0.18255, 0.20853, 1.07274]),
    "vitpose_plain": (partial(ViTPose, (64, 64), 32, 2, 4, class_entry=False),
                      [-1.16058, 0.32068, -2.66483, -0.11064, 0.2597, 1.2102]),
    "hrformer": (HRFormer, [12.12752, 22.62242, 0.0, 1.48318, 0.0, 35.9879]),
    "hrformer_plain": (partial(HRFormer, position_bias=False), [18.44468, 17.50145, 0.0, 9.10428, 0.0, 34.75839]),
}  # fmt: skip


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_transformers_give_what_they_gave(name):
    make, expected = TRANSFORMERS[name]
    net = make().eval()
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
