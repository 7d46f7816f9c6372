"""Loads weights whose table of positions was learnt for another grid."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from timm.layers.pos_embed import resample_abs_pos_embed
from torch import Tensor, nn

from poserep.errors import InputError
from poserep.models.weights.load import load_trunk
from poserep.models.weights.read import read_state

ENTRIES = ("pos_embed", "cls_token")


def load_resized(trunk: nn.Module, owner: Any, path: str | Path, grid: Sequence[int], extra: int) -> None:
    """Load weights as `load_trunk` does, a table of another square grid resampled to this one (bicubic).

    ImageNet's 14x14 positions become 16x12 so, as in ViTPose's code. If the file has a class token, and an entry for
    it that has no counterpart here, this entry is left out.

    Args:
        trunk: Whose weights they are.
        owner: The module inside it, or itself, that has the table as ``pos_embed``, (1, extra + positions, features).
        path: See `load_trunk`.
        grid: Rows and columns.
        extra: Entries in front of the table that stand for no position, such as that of the class token.

    Raises:
        InputError: As `load_trunk`; also if a table of another length is not that of a square. The trunk is
            then unchanged.
    """
    table = owner.pos_embed
    entries = {key.split(".")[-1]: value for key, value in read_state(path).items() if key.split(".")[-1] in ENTRIES}
    given = entries.get("pos_embed", table)
    theirs = next((n for n in (extra, *([1] if "cls_token" in entries else [])) if _square(given, n)), None)
    resized = given.shape != table.shape and theirs is not None
    if resized:
        # In the file's shape for as long as it takes to load.
        owner.pos_embed = nn.Parameter(torch.empty(given.shape, dtype=table.dtype, device=table.device))
    try:
        load_trunk(trunk, path)
    except InputError:
        owner.pos_embed = table
        raise
    if resized:
        loaded = owner.pos_embed.detach()
        positions = resample_abs_pos_embed(loaded[:, theirs:], list(grid), num_prefix_tokens=0, antialias=False)
        owner.pos_embed = nn.Parameter(torch.cat([loaded[:, :extra], positions], 1))


def _square(table: Tensor, extra: int) -> bool:
    positions = table.shape[1] - extra if table.ndim == 3 and len(table) == 1 else 0
    return positions > 0 and math.isqrt(positions) ** 2 == positions
