"""Readouts of heatmaps: the position of a map's maximum, beside or between bins. `DARK` has a module of its own.

Every readout takes (B, K, h, w) and returns `Peaks`. One that looks at a maximum's neighbourhood alone is a
`LocalReadout`: it serves where a map has many maxima.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from poserep.errors import check_choice, check_positive

# Positions (B, K, 2) in bins, x first, and the maxima (B, K).
Peaks = tuple[Tensor, Tensor]
Debias = Literal["none", "exact", "published"]
# The greatest share of a map's weight that `SoftArgmax` takes for background: what is left counts ten times.
MOST_BACKGROUND = 0.9


def peak(heatmap: Tensor, any_value: bool = False) -> Peaks:
    """Find the maximum of (B, K, h, w): its position as integers (B, K, 2), x first, and its value (B, K).

    The first maximum in row-major order wins. Maps without a positive value give (0, 0), as in HRNet's code, unless
    ``any_value``.
    """
    b, k, h, w = heatmap.shape
    # An argmax reads value by value, a maximum many at once: look for the index in the first best rows alone.
    rows = 2 if h % 2 == 0 and w <= 64 else 1
    blocks = heatmap.reshape(b, k, h // rows, rows * w)
    value, block = blocks.amax(-1).max(-1)
    inside = blocks.gather(2, block[..., None, None].expand(b, k, 1, rows * w))[:, :, 0].argmax(-1)
    index = block * (rows * w) + inside
    xy = torch.stack([index % w, index.div(w, rounding_mode="floor")], -1)
    return (xy if any_value else xy * (value > 0)[..., None]), value


def window(heatmap: Tensor, xy: Tensor, radius: int, outside: float | None = None) -> Tensor:
    """Return the values of (B, K, h, w) around positions (B, K[, M], 2), int64, with two more axes of 2 radius + 1.

    ``outside`` is the value beyond the border; None repeats the border's own.
    """
    h, w = heatmap.shape[-2:]
    offset = torch.arange(-radius, radius + 1, device=heatmap.device)
    x, y = xy[..., 0, None] + offset, xy[..., 1, None] + offset
    index = y.clamp(0, h - 1)[..., :, None] * w + x.clamp(0, w - 1)[..., None, :]
    values = heatmap.flatten(2).gather(-1, index.flatten(2)).view(index.shape)
    if outside is None:
        return values
    inside = ((y >= 0) & (y < h))[..., :, None] & ((x >= 0) & (x < w))[..., None, :]
    return torch.where(inside, values, outside)


class LocalReadout(ABC):
    """A readout that moves each maximum by what the map holds around it."""

    def __call__(self, heatmap: Tensor) -> Peaks:
        """Read positions and maxima."""
        xy, value = peak(heatmap)
        return self.at(heatmap, xy), value

    @abstractmethod
    def at(self, heatmap: Tensor, xy: Tensor) -> Tensor:
        """Return where maxima of (B, K, h, w) lie exactly, bins; ``xy`` (B, K[, M], 2), int64, has M per map or one."""


@dataclass(frozen=True)
class Argmax(LocalReadout):
    """Readout: the bin with the highest value."""

    def at(self, heatmap: Tensor, xy: Tensor) -> Tensor:
        """Return the maxima as they are."""
        return xy.to(heatmap.dtype)


@dataclass(frozen=True)
class QuarterShift(LocalReadout):
    """Readout: a quarter of a bin from the maximum toward the higher neighbour, on each axis.

    The rule of HRNet's and SimpleBaseline's code, border included: both axes move only if 1 < x < w - 1 and
    1 < y < h - 1. The papers describe `SecondMax` instead.
    """

    def at(self, heatmap: Tensor, xy: Tensor) -> Tensor:
        """See `LocalReadout.at`."""
        return quarter_shift(heatmap, xy)


def quarter_shift(heatmap: Tensor, xy: Tensor) -> Tensor:
    """Move maxima (B, K[, M], 2), int64, of (B, K, h, w) as `QuarterShift` does; returns their bins, same shape."""
    h, w = heatmap.shape[-2:]
    around = window(heatmap, xy, 1)
    step = torch.stack([around[..., 1, 2] - around[..., 1, 0], around[..., 2, 1] - around[..., 0, 1]], -1).sign()
    x, y = xy.unbind(-1)
    inside = (x > 1) & (x < w - 1) & (y > 1) & (y < h - 1)
    return xy + 0.25 * step * inside[..., None]


@dataclass(frozen=True)
class SecondMax:
    """Readout: ``step`` bins from the maximum toward the second-highest bin, wherever it is (DARK, eq. 1).

    The papers print this for what their code does as `QuarterShift`. The step is a vector of that length, so that
    both coordinates move unless the second maximum lies on the same row or column.
    """

    step: float = 0.25

    def __post_init__(self) -> None:
        check_positive("SecondMax: step", self.step, " of bins")

    def __call__(self, heatmap: Tensor) -> Peaks:
        """Read positions and maxima."""
        xy, value = peak(heatmap)
        index = (xy[..., 1] * heatmap.shape[-1] + xy[..., 0])[..., None]
        rest = heatmap.flatten(2).scatter(-1, index, -torch.inf).view_as(heatmap)
        # A map without a positive value has no maximum to step from.
        second, _ = peak(rest, any_value=True)
        way = (second - xy).to(heatmap.dtype)
        unit = way / way.norm(dim=-1, keepdim=True).clamp_min(1)
        return xy + self.step * unit * (value > 0)[..., None], value


@dataclass(frozen=True)
class CentreOfMass:
    """Readout: the mean position, weighted by the heatmap's positive part (reproduction study of DARK, section 2).

    Its printed eq. 4 lacks the division by the total mass. A map without a positive value gives its centre.
    """

    def __call__(self, heatmap: Tensor) -> Peaks:
        """Read positions and maxima."""
        return _mean_position(heatmap.clamp_min(0)), heatmap.amax((-2, -1))


@dataclass(frozen=True)
class SoftArgmax:
    """Readout: the mean position under softmax(beta * heatmap) (Sun et al. 2018, integral regression, eq. 2).

    On maps that peak near 1 a small beta leaves the background a weight that pulls every joint to the middle.
    ``debias`` takes that out (Gu et al. 2021; 2023, BCIR): a map that is 0 but around the joint has C = sum
    exp(beta * heatmap) of which one exp(0) per bin is background, whose mean is the map's middle. Without that share
    s = h w / C, the mean is (mean - s * middle) / (1 - s), exact if what stands out is symmetric about the joint. Maps
    must be 0, and not only low, where there is nothing: C changes with a constant added to a map, softmax does not.
    s is at most `MOST_BACKGROUND`, so that flat maps give numbers.

    Args:
        beta: Inverse temperature; 10 in BCIR.
        debias: ``none``, ``exact``, or ``published``: mmpose's code takes C without beta, one bin in place of h w, and
            a middle half a bin to the right and below, which leaves almost all of the bias where C is large.
    """

    beta: float = 100.0
    debias: Debias = "none"

    def __post_init__(self) -> None:
        check_positive("SoftArgmax: beta", self.beta)
        check_choice("SoftArgmax: debias", self.debias, get_args(Debias))

    def __call__(self, heatmap: Tensor) -> Peaks:
        """Read positions and maxima."""
        return self.mean(heatmap), heatmap.amax((-2, -1))

    def mean(self, heatmap: Tensor) -> Tensor:
        """Return the positions (B, K, 2) in bins alone."""
        mean = soft_argmax(heatmap, self.beta)
        if self.debias == "none":
            return mean
        h, w = heatmap.shape[-2:]
        beta, bins, offset = (1.0, 1, 0) if self.debias == "published" else (self.beta, h * w, -1)
        log_share = math.log(bins) - (beta * heatmap).flatten(2).logsumexp(-1)
        # Cut before the exponential, whose gradient could be infinite.
        share = log_share.clamp_max(math.log(MOST_BACKGROUND)).exp()[..., None]
        return (mean - share * mean.new_tensor([w + offset, h + offset]) / 2) / (1 - share)


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
