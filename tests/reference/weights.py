"""Weights made from names alone, so that networks can be compared with official code without storing any."""

import zlib

import numpy as np
import torch
from torch import Tensor, nn


def official_keys(net: nn.Module) -> dict[str, Tensor]:
    """The network's entries by their names in HRNet's and SimpleBaseline's code."""
    ours = {key: value for key, value in net.state_dict().items() if key.startswith(("backbone.", "head."))}
    return {key.removeprefix("backbone.trunk.").removeprefix("head."): value for key, value in ours.items()}


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
            z *= np.float32(np.sqrt(2 / np.prod(shape[1:] or shape)))
            if len(shape) == 4:
                z *= np.float32(conv_gain)
        state[name] = torch.from_numpy(z)
    return state


def image(height: int, width: int) -> Tensor:
    """The first of the two normalised images that the reference outputs were computed for."""
    both = np.random.default_rng(0).standard_normal((2, 3, height, width)).astype(np.float32)
    return torch.from_numpy(both[:1])
