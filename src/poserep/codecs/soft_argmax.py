"""Mean positions of heatmaps, between bins by themselves: the centre of mass and the soft-argmax."""

from dataclasses import dataclass

import torch
from torch import Tensor

from poserep.codecs.argmax import Peaks
from poserep.errors import InputError


@dataclass(frozen=True)
class CentreOfMass:
    """Readout: the mean position, weighted by the heatmap's positive part (reproduction study of DARK, section 2).

    Its printed eq. 4 lacks the division by the total mass; without it the result is no position. A map without a
    positive value gives its centre.
    """

    def __call__(self, heatmap: Tensor) -> Peaks:
        """Read positions and maxima from (B, K, h, w)."""
        return _mean_position(heatmap.clamp_min(0)), heatmap.amax((-2, -1))


@dataclass(frozen=True)
class SoftArgmax:
    """Readout: the mean position under softmax(beta * heatmap) (Sun et al. 2018, integral regression, eq. 2).

    Attributes:
        beta: Inverse temperature. Maps trained with a squared error have a peak near 1, so that a small beta leaves
            the background a weight that pulls every joint to the middle of the map.
    """

    beta: float = 100.0

    def __post_init__(self) -> None:
        if not 0 < self.beta < float("inf"):
            raise InputError(f"SoftArgmax: beta={self.beta} must be a positive number")

    def __call__(self, heatmap: Tensor) -> Peaks:
        """Read positions and maxima from (B, K, h, w)."""
        return soft_argmax(heatmap, self.beta), heatmap.amax((-2, -1))


def soft_argmax(logits: Tensor, beta: float = 1.0) -> Tensor:
    """Compute the mean position (B, K, 2) in bins under softmax(beta * logits) over (B, K, h, w)."""
    # Cut at e^-60: smaller weights change nothing, and as subnormal numbers they would cost most of the time.
    exponent = (beta * (logits - logits.amax((-2, -1), keepdim=True))).clamp_min(-60.0)
    return _mean_position(exponent.exp())


def _mean_position(mass: Tensor) -> Tensor:
    h, w = mass.shape[-2:]
    columns, rows = mass.sum(-2), mass.sum(-1)
    x = columns @ torch.arange(w, device=mass.device, dtype=mass.dtype)
    y = rows @ torch.arange(h, device=mass.device, dtype=mass.dtype)
    total = columns.sum(-1, keepdim=True)
    middle = mass.new_tensor([(w - 1) / 2, (h - 1) / 2])
    return torch.where(total > 0, torch.stack([x, y], -1) / torch.where(total > 0, total, 1), middle)
