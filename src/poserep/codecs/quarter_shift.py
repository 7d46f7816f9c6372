"""The quarter shift: 0.25 bins from a heatmap's maximum, as the papers' code takes it and as the papers print it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from poserep.codecs.argmax import Peaks, peak, window
from poserep.errors import InputError


@dataclass(frozen=True)
class QuarterShift:
    """Readout: a quarter of a bin from the maximum toward the higher neighbour, on each axis.

    The rule of HRNet's and SimpleBaseline's code, border included: both axes move only if 1 < x < w - 1 and
    1 < y < h - 1. The papers describe `SecondMax` instead.
    """

    def __call__(self, heatmap: Tensor) -> Peaks:
        """Read positions and maxima from (B, K, h, w)."""
        xy, value = peak(heatmap)
        return quarter_shift(heatmap, xy), value


def quarter_shift(heatmap: Tensor, xy: Tensor) -> Tensor:
    """Move maxima (B, K, 2), int64, of (B, K, h, w) as `QuarterShift` does; returns (B, K, 2) bins."""
    h, w = heatmap.shape[-2:]
    around = window(heatmap, xy, 1)
    step = torch.stack([around[..., 1, 2] - around[..., 1, 0], around[..., 2, 1] - around[..., 0, 1]], -1).sign()
    x, y = xy.unbind(-1)
    inside = (x > 1) & (x < w - 1) & (y > 1) & (y < h - 1)
    return xy + 0.25 * step * inside[..., None]


@dataclass(frozen=True)
class SecondMax:
    """Readout: a step from the maximum toward the second-highest bin, wherever it is (DARK, eq. 1).

    The papers print this for what their code does as `QuarterShift`. The step is a vector of that length, so that
    both coordinates move unless the second maximum lies on the same row or column.

    Attributes:
        step: Its length in bins.
    """

    step: float = 0.25

    def __post_init__(self) -> None:
        if not 0 < self.step < float("inf"):
            raise InputError(f"SecondMax: step={self.step} must be a positive number of bins")

    def __call__(self, heatmap: Tensor) -> Peaks:
        """Read positions and maxima from (B, K, h, w)."""
        xy, value = peak(heatmap)
        index = (xy[..., 1] * heatmap.shape[-1] + xy[..., 0])[..., None]
        rest = heatmap.flatten(2).scatter(-1, index, -torch.inf).view_as(heatmap)
        # A map without a positive value has no maximum to step from.
        second, _ = peak(rest, any_value=True)
        way = (second - xy).to(heatmap.dtype)
        unit = way / way.norm(dim=-1, keepdim=True).clamp_min(1)
        return xy + self.step * unit * (value > 0)[..., None], value
