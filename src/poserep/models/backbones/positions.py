"""Fixed sine tables for positions on a map, as DETR, TransPose and TokenPose have them."""

import math

import torch
from torch import Tensor

from poserep.errors import InputError

TEMPERATURE = 10_000


def sine_table(height: int, width: int, features: int) -> Tensor:
    """Return sines and cosines of each position's row and column (Carion et al. 2020, DETR, normalised).

    The first half of the features encodes the row, the second the column. A side of n positions is one turn: position
    i, from 0, has the angle 2 pi (i + 1) / (n + 1e-6), divided by 10000^(2j / F) for the j-th pair of the F features of
    its half; a pair is sine and cosine.

    Returns:
        (height * width, features), row by row.

    Raises:
        InputError: If the features are no multiple of 4, which makes pairs for both sides.
    """
    if features < 4 or features % 4:
        raise InputError(f"a table of positions in two directions needs a multiple of 4 features, not {features}")
    rows = _turn(height, features // 2)[:, None].expand(-1, width, -1)
    columns = _turn(width, features // 2)[None].expand(height, -1, -1)
    return torch.cat([rows, columns], -1).flatten(0, 1).float()


def _turn(n: int, features: int) -> Tensor:
    place = 2 * math.pi * torch.arange(1, n + 1, dtype=torch.float64) / (n + 1e-6)
    pair = torch.arange(features // 2, dtype=torch.float64)
    angle = place[:, None] / TEMPERATURE ** (2 * pair / features)
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(1)
