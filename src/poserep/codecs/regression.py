"""Coordinates as numbers, without bins: direct regression, and regression with a learnt error density."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from poserep.batch import Points
from poserep.codecs.base import Bounds, Codec, Score, axes
from poserep.geometry import Align, Size
from poserep.losses import Distance

Scaled = tuple[Tensor, Tensor, Callable[[Tensor], Tensor] | None]


class Regression(Codec):
    """Direct coordinate regression (Toshev & Szegedy 2014, DeepPose). ``out`` is points (B, K, 2).

    Points are in widths and heights of the crop, (0, 0) at its middle, +-0.5 at its borders. Settings not published:
    the papers quote others' numbers; L1 on these coordinates is the usual choice.

    There is nothing to read a score from: every joint scores 1.

    Args:
        size: Of the input.
        criterion: `poserep.losses.Distance`.
        align: Of the crops; numbers have no bins to align.
        bounds: ``crop`` keeps joints inside the crop; there is no published rule, ``published`` means the same.
        score: Both are 1.
        score_threshold: Belongs to the score.
    """

    form = "points"

    def __init__(
        self,
        size: Size | str,
        criterion: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None,
        align: Align = "centre",
        bounds: Bounds = "crop",
        score: Score = "contract",
        score_threshold: float = 0.2,
    ) -> None:
        super().__init__(
            *axes(size, 1, align), {"point": lambda xy: xy}, score, bounds, score_threshold=score_threshold
        )
        self.criterion = criterion or Distance()
        self.side: Tensor
        self.register_buffer("side", torch.tensor([self.x.length, self.y.length]).float(), persistent=False)

    def encode(self, xy: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Points (B, K, 2) in crop widths and heights, float32, and weights (B, K)."""
        weight = weight * self.in_crop(xy)
        unit = (xy.float() + 0.5) / self.side - 0.5
        return torch.where(weight[..., None] > 0, unit, 0.0), weight

    def loss(self, out: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """The mean absolute difference by default."""
        return self.criterion(out.float(), target, weight)

    def decode(self, out: Tensor, readout: str | None = None) -> Points:
        """Points in input px from numbers."""
        xy = self._to_px(self.readout(readout)(out.float()))
        return Points(xy, torch.ones_like(xy[..., 0]))

    def _to_px(self, unit: Tensor) -> Tensor:
        return (unit + 0.5) * self.side - 0.5

    def merge(self, out: Tensor, mirrored: Tensor, perm: Tensor) -> Tensor:
        """Average of the points after un-mirroring."""
        return (out + self.unmirror(mirrored, perm)) / 2

    def unmirror(self, maps: Tensor, perm: Tensor) -> Tensor:
        """Points (B, K, 2) of the mirrored image, as if of the image itself."""
        return maps.index_select(1, perm.to(maps.device)) * maps.new_tensor([-1, 1])

    def oracle(self, target: Tensor) -> Any:
        """The target itself."""
        return target

    def density(self, out: Tensor) -> dict[str, Tensor]:
        """Spikes at the points, for pictures: ``x`` and ``y`` (B, K, n), one bin a pixel."""
        return _spikes(self._to_px(out.float()), self.x.n, self.y.n)


class RLE(Regression):
    """Residual log-likelihood estimation (Li et al. 2021, RLE). ``out`` is (points, scales, log-density or None).

    -log p = sum over both axes of (log sigma + log 2 + |e|) - log G(e), e = (predicted - true) / sigma: a Laplace
    density of the normalised error, times a learnt density G (eq. 9, whose constant s is left out). Settings not
    published by the papers that quote it; the sum counts every axis' log sigma once, as the change of variables asks.

    Args:
        size: Of the input.
        align: Of the crops; numbers have no bins to align.
        bounds: ``crop`` keeps joints inside the crop; there is no published rule, ``published`` means the same.
        score: Both are 1 minus the mean of both scales, as in RLE's code; a perfect prediction has the least scale.
        score_threshold: Belongs to the score.
    """

    form = "points with scale"

    def __init__(
        self,
        size: Size | str,
        align: Align = "centre",
        bounds: Bounds = "crop",
        score: Score = "contract",
        score_threshold: float = 0.2,
    ) -> None:
        super().__init__(size, None, align, bounds, score, score_threshold)

    def loss(self, out: Scaled, target: Tensor, weight: Tensor) -> Tensor:  # type: ignore[override]
        """Negative log-likelihood, summed over axes, averaged over the batch's joints."""
        xy, sigma, log_density = out
        difference = torch.where((weight > 0)[..., None], xy.float() - target, 0.0)
        return (residual_likelihood(difference, sigma.float().clamp_min(SMALLEST), log_density) * weight).mean()

    def decode(self, out: Scaled, readout: str | None = None) -> Points:  # type: ignore[override]
        """Points in input px and scores from numbers."""
        points, score = super().decode(out[0], readout), 1 - out[1].float().mean(-1)
        return points._replace(score=self.contract_score(score / (1 - SMALLEST)) if self.score == "contract" else score)

    def merge(self, out: Scaled, mirrored: Scaled, perm: Tensor) -> Scaled:  # type: ignore[override]
        """Averages of points and of scales after un-mirroring."""
        sigma = (out[1] + mirrored[1].index_select(1, perm.to(out[1].device))) / 2
        return super().merge(out[0], mirrored[0], perm), sigma, None

    def oracle(self, target: Tensor) -> Scaled:
        """The target with the smallest scale."""
        return target, torch.full_like(target, SMALLEST), None

    def density(self, out: Scaled) -> dict[str, Tensor]:  # type: ignore[override]
        """Spikes at the points, see `Regression.density`."""
        return super().density(out[0])


def residual_likelihood(difference: Tensor, sigma: Tensor, log_density: Callable[[Tensor], Tensor] | None) -> Tensor:
    """Negative log-likelihood (...) of differences (..., 2) with scales (..., 2), see `RLE`."""
    error = difference / sigma
    each = (sigma.log() + math.log(2) + error.abs()).sum(-1)
    return each if log_density is None else each - log_density(error)


# Of a scale, in crop widths: a few hundredths of a pixel, and no number of the loss leaves half precision.
SMALLEST = 1e-4


def _spikes(xy: Tensor, width: int, height: int) -> dict[str, Tensor]:
    bins = (("x", xy[..., 0], width), ("y", xy[..., 1], height))
    return {name: torch.nn.functional.one_hot(v.round().long().clamp(0, n - 1), n).float() for name, v, n in bins}
