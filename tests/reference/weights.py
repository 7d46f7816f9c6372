"""Weights made from names alone, so that networks can be compared with official code without storing any."""

import zlib

import numpy as np
import torch
from torch import Tensor, nn


def official_keys(net: nn.Module, mmpose: bool) -> dict[str, Tensor]:
    """The network's entries by their names in the official checkpoint."""
    names = {}
    for key, value in net.state_dict().items():
        if key.startswith("backbone.trunk."):
            names[("backbone." if mmpose else "") + key.removeprefix("backbone.trunk.")] = value
        elif key.startswith("head."):
            names[("keypoint_head." if mmpose else "") + _official(net, key.removeprefix("head."))] = value
    return names


def _official(net: nn.Module, key: str) -> str:
    if key.startswith("predictor."):
        return key.removeprefix("predictor.").replace("converge.", "heatmap_head.")
    level, _, rest = key.removeprefix("side.").partition(".")
    if level == "main":
        level = str(len(net.head.strides) - 1)
    elif not key.startswith("side."):
        return key
    return rest.replace("kp_encoder.", f"kp_encoder.{level}.").replace("converge.", f"converge.{level}.conv.")


def named_state(shapes: dict[str, Tensor], conv_gain: float) -> dict[str, Tensor]:
    """Values for every entry from its official name; README.md gives the rule."""
    state = {}
    for name, value in shapes.items():
        if not value.is_floating_point():
            state[name] = value.clone()
            continue
        shape = tuple(value.shape)
        z = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape).astype(np.float32)
        if name.endswith("running_var"):
            z = 1 + np.float32(0.1) * np.abs(z)
        elif name.endswith("running_mean") or name.endswith("bias"):
            z = np.float32(0.1) * z
        elif name.endswith("weight") and len(shape) == 1:
            z = 1 + np.float32(0.1) * z
        else:
            z = z * np.float32(np.sqrt(2 / np.prod(shape[1:])))
            if len(shape) == 4:
                z = z * np.float32(conv_gain)
        state[name] = torch.from_numpy(z)
    return state


def image(height: int, width: int) -> Tensor:
    """The first of the two normalised images that the reference outputs were computed for."""
    both = np.random.default_rng(0).standard_normal((2, 3, height, width)).astype(np.float32)
    return torch.from_numpy(both[:1])
