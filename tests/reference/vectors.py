"""Reads the reference vectors; see README.md.

Copies lie beside this file. The full set, every row and more files, is no part of the project: POSEREP_VECTORS names
its folder.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from poserep.data.augment import Augment, CropRegion
from poserep.files import load_yaml
from poserep.geometry import Align, Crop, Size, crop_matrix

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Given(Augment):
    """Views as the official code has drawn them; a person's number is where the box lies."""

    views: tuple[CropRegion, ...] = ()

    def region(self, rng, view, *_):
        return self.views[int(view.centre[0])]


def listed(name: str) -> Any:
    """Return what a table beside this file holds."""
    return load_yaml((HERE / f"{name}.yaml").read_text())


def arrays(file: str | Path) -> dict[str, np.ndarray]:
    """All arrays of a file, given by path, or by name if it is a copy."""
    with np.load(file if isinstance(file, Path) else HERE / f"{file}.npz", allow_pickle=False) as found:
        return {key: found[key] for key in found.files}


def tensors(file: str | Path) -> dict[str, Tensor]:
    """All arrays of a file as tensors, but those of names."""
    return {key: torch.from_numpy(np.asarray(a)) for key, a in arrays(file).items() if a.dtype.kind != "U"}


def input_size(v: dict[str, Any]) -> Size:
    """Return the size of the network's input, which files hold as (width, height)."""
    width, height = v["image_size"].tolist()
    return Size(height, width)


def official_crop(
    v: dict[str, Tensor], size: Size, align: Align, prefix: str = "", rotation: Tensor | float = 0.0
) -> Crop:
    """Return the crops of a file's regions, whose extent the official code stores in float32 and units of 200 px."""
    centre, extent = v[f"{prefix}center"].double().numpy(), v[f"{prefix}scale"].double().numpy() * 200
    return Crop(torch.from_numpy(crop_matrix(centre, extent, size, align, np.asarray(rotation))))


def close(ours: Tensor, theirs: Tensor) -> None:
    """Compare values in float32 of exponentials at positions of a few hundred px, which are 2e-5 px apart at most."""
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def like(ours: Tensor, theirs: Tensor) -> tuple[Tensor, Tensor]:
    """Both flat, ours at the values that a copy keeps if it keeps every n-th only."""
    return ours.flatten()[:: -(-ours.numel() // theirs.numel())], theirs.flatten()


def files(pattern: str) -> list:
    """Parameters of a test that reads every file of such a name: the copies, and the full set's if it is there."""
    copies = [pytest.param(path, id=path.stem) for path in sorted(HERE.glob(f"{pattern}.npz"))]
    return copies + [param for param in full(pattern) if param.values[0] is not None]


def full(pattern: str) -> list:
    """Parameters of a test that reads every file of such a name in the full set; it is skipped without it."""
    folder = os.environ.get("POSEREP_VECTORS")
    if not folder:
        reason = "POSEREP_VECTORS is not set: no full set of reference vectors"
    elif not Path(folder).is_dir():
        reason = "POSEREP_VECTORS names no folder: no full set of reference vectors"
    else:
        found = sorted(Path(folder).glob(f"{pattern}.npz"))
        if found:
            return [pytest.param(path, id=f"full-{path.stem}") for path in found]
        reason = f"the folder that POSEREP_VECTORS names holds no {pattern}.npz"
    return [pytest.param(None, id=f"full-{pattern}", marks=pytest.mark.skip(reason=reason))]
