"""Room for large arrays on a CPU."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

# Below this NumPy does not ask either.
LARGE = 1 << 20


def empty(shape: Sequence[int], like: Tensor) -> Tensor:
    """An uninitialised tensor of the device and type of ``like``.

    For megabytes on a CPU NumPy asks the system for large pages and torch does not; filling in pages of 4 kB takes
    longer than the arithmetic of a full-resolution target.
    """
    if like.device.type != "cpu" or like.dtype != torch.float32 or math.prod(shape) < LARGE:
        return torch.empty(*shape, dtype=like.dtype, device=like.device)
    return torch.from_numpy(np.empty(tuple(shape), np.float32))


def outer(column: Tensor, row: Tensor) -> Tensor:
    """Products (B, K, h, w) of (B, K, h) and (B, K, w), without gradient."""
    return torch.mul(column[..., :, None], row[..., None, :], out=empty((*column.shape, row.shape[-1]), row))
