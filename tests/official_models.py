"""The official models with a manifest, and what makes ours of the same size."""

import json
import os
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from model_cases import H_S, NETS, B, R, maps, pair, resnet, rtmpose, tokens
from poserep.codecs import Heatmap, SimCC, SRHeatmap
from poserep.models import (
    AxisLinear,
    BottomUp,
    BottomUpHigher,
    BottomUpSR,
    Hourglass,
    HRFormer,
    HRNet,
    StackedMaps,
    TokenPose,
)
from poserep.models.weights.load import destinations
from reference.weights import named_state

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
    "rtmpose_t_{}": (rtmpose("cspnext_tiny"), "256x192"),
    "rtmpose_s_{}": (rtmpose("cspnext_s"), "256x192"),
}  # fmt: skip
CASES = {name.format(size): partial(make, size) for name, (make, *sizes) in MAKERS.items() for size in sizes}
# All the maps that are supervised, not the last alone.
EVERY = {name for name in CASES if name.endswith("train_list") or name.startswith("hourglass")}
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
