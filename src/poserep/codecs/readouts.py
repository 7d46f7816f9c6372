"""Readouts: how a heatmap becomes a position, in bins. Batched over samples and joints. `DARK` has its own module.

Every readout takes (B, K, h, w) and returns the position (B, K, 2) in bins, x first, and the peak (B, K).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from poserep.codecs.peaks import peak, pooled_peak, window
from poserep.errors import InputError

Found = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Argmax:
    """The bin with the highest value, no sub-bin position.

    Attributes:
        pool: Search by max-pooling with this kernel, as SRPose does, see `pooled_peak`; None searches row by row.
            Only the order in which equal maxima win, and the speed, differ.
    """

    pool: int | None = None

    def __post_init__(self) -> None:
        _check_pool(self)

    def __call__(self, heatmap: Tensor) -> Found:
        """(B, K, h, w) to the position (B, K, 2) in bins and the peak (B, K)."""
        xy, value = _search(heatmap, self.pool)
        return xy.to(heatmap.dtype), value


@dataclass(frozen=True)
class QuarterShift:
    """A quarter of a bin from the maximum toward the higher neighbour, on each axis.

    The rule of HRNet's and SimpleBaseline's code, border included: both axes move only if 1 < x < w - 1 and
    1 < y < h - 1. The papers describe `SecondMax` instead.

    Attributes:
        pool: As for `Argmax`.
    """

    pool: int | None = None

    def __post_init__(self) -> None:
        _check_pool(self)

    def __call__(self, heatmap: Tensor) -> Found:
        """(B, K, h, w) to the position (B, K, 2) in bins and the peak (B, K)."""
        h, w = heatmap.shape[-2:]
        xy, value = _search(heatmap, self.pool)
        around = window(heatmap, xy, 1)
        step = torch.stack([around[..., 1, 2] - around[..., 1, 0], around[..., 2, 1] - around[..., 0, 1]], -1).sign()
        x, y = xy.unbind(-1)
        inside = (x > 1) & (x < w - 1) & (y > 1) & (y < h - 1)
        return xy + 0.25 * step * inside[..., None], value


@dataclass(frozen=True)
class SecondMax:
    """A step from the maximum toward the second-highest bin, wherever that is (DARK, eq. 1; the reproduction, eq. 2).

    The papers print this for what their code does as `QuarterShift`. The step is a vector of that length, so that
    both coordinates move unless the second maximum lies on the same row or column.

    Attributes:
        step: Its length in bins.
    """

    step: float = 0.25

    def __post_init__(self) -> None:
        if not 0 < self.step < float("inf"):
            raise InputError(f"SecondMax: step={self.step} must be a positive number of bins")

    def __call__(self, heatmap: Tensor) -> Found:
        """(B, K, h, w) to the position (B, K, 2) in bins and the peak (B, K)."""
        xy, value = peak(heatmap)
        w = heatmap.shape[-1]
        index = (xy[..., 1] * w + xy[..., 0])[..., None]
        rest = heatmap.flatten(2).scatter(-1, index, -torch.inf).view_as(heatmap)
        # A map without a positive value has no maximum to step from.
        second, _ = peak(rest, any_value=True)
        way = (second - xy).to(heatmap.dtype)
        unit = way / way.norm(dim=-1, keepdim=True).clamp_min(1)
        return xy + self.step * unit * (value > 0)[..., None], value


@dataclass(frozen=True)
class CentreOfMass:
    """The mean position, weighted by the heatmap's positive part (the reproduction study, section 2).

    Its printed eq. 4 lacks the division by the total mass; without it the result is no position. A map without a
    positive value gives its centre.
    """

    def __call__(self, heatmap: Tensor) -> Found:
        """(B, K, h, w) to the position (B, K, 2) in bins and the peak (B, K)."""
        return _mean_position(heatmap.clamp_min(0)), heatmap.amax((-2, -1))


@dataclass(frozen=True)
class SoftArgmax:
    """The mean position under softmax(beta * heatmap) (Sun et al. 2018, integral regression, eq. 2).

    Attributes:
        beta: Inverse temperature. Maps trained with a squared error have a peak near 1, so that a small beta leaves
            the background a weight that pulls every joint to the middle of the map.
    """

    beta: float = 100.0

    def __post_init__(self) -> None:
        if not 0 < self.beta < float("inf"):
            raise InputError(f"SoftArgmax: beta={self.beta} must be a positive number")

    def __call__(self, heatmap: Tensor) -> Found:
        """(B, K, h, w) to the position (B, K, 2) in bins and the peak (B, K)."""
        return soft_argmax(heatmap, self.beta), heatmap.amax((-2, -1))


def soft_argmax(logits: Tensor, beta: float = 1.0) -> Tensor:
    """Mean position (B, K, 2) in bins under softmax(beta * logits) over (B, K, h, w)."""
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


def _search(heatmap: Tensor, pool: int | None) -> Found:
    return peak(heatmap) if pool is None else pooled_peak(heatmap, pool)


def _check_pool(readout: Argmax | QuarterShift) -> None:
    if readout.pool is not None and (not isinstance(readout.pool, int) or readout.pool < 1):
        raise InputError(f"{type(readout).__name__}: pool={readout.pool!r} must be a whole number of bins, or null")
