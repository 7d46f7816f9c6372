"""Reads the reference vectors that lie beside this file; see README.md."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

HERE = Path(__file__).parent


def arrays(name: str) -> dict[str, np.ndarray]:
    """All arrays of a file."""
    with np.load(HERE / f"{name}.npz", allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


def tensors(name: str) -> dict[str, Tensor]:
    """All arrays of a file as tensors."""
    return {key: torch.from_numpy(np.asarray(value)) for key, value in arrays(name).items()}
