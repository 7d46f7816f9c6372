"""Coordinates as numbers, without bins: direct regression, and regression with a learnt error density (RLE)."""

import math
from collections.abc import Callable
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poserep.codecs.base import Codec, Points, axes
from poserep.codecs.losses import Criterion, Distance
from poserep.errors import InputError, check_choice, check_positive
from poserep.geometry import Align, Size

# Points (B, K, 2), scales (B, K, 2), and in training the log-density of normalised errors.
Scaled = tuple[Tensor, Tensor, Callable[[Tensor], Tensor] | None]
Base = Literal["laplace", "gaussian", "none"]
Likelihood = Literal["exact", "published"]
# Least scale, in crop widths: a few hundredths of a pixel, with which no number of the loss leaves half precision.
LEAST_SCALE = 1e-4


class Regression(Codec):
    """Direct coordinate regression (Toshev & Szegedy 2014, DeepPose). ``out`` is points (B, K, 2).

    Points are in widths and heights of the crop, (0, 0) at its middle, +-0.5 at its borders. The papers quote others'
    numbers without settings; L1 on these coordinates is the usual choice. Every joint scores 1. ``align`` is the
    alignment of the crops. Joints outside the crop are never learnt, and there is no ``flip_shift``.
    """

    form = "points"

    def __init__(
        self, size: Size | str, criterion: Criterion | None = None, align: Align = "centre", **deviations: Any
    ) -> None:
        if "flip_shift" in deviations:
            raise InputError(f"{type(self).__name__}: flip_shift is in bins, and coordinates as numbers have none")
        super().__init__(*axes(size, 1, align), {"point": lambda xy: xy}, **deviations)
        self.criterion = criterion or Distance()
        self.side = nn.Buffer(torch.tensor([self.x.length, self.y.length]).float(), persistent=False)

    def encode(self, xy: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Make points (B, K, 2) in crop widths and heights, float32; and weights (B, K)."""
        weight = weight * self.in_crop(xy)
        unit = (xy.float() + 0.5) / self.side - 0.5
        return torch.where(weight[..., None] > 0, unit, 0.0), weight

    def loss(self, out: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Compute the criterion, by default the mean absolute difference."""
        return self.criterion(out.float(), target, weight)

    def decode(self, out: Tensor, readout: str | None = None) -> Points:
        """Read points in input px from numbers."""
        xy = (self.readout(readout)(out.float()) + 0.5) * self.side - 0.5
        return Points(xy, torch.ones_like(xy[..., 0]))

    def merge(self, out: Tensor, mirrored: Tensor, perm: Tensor) -> Tensor:
        """Average the points after un-mirroring."""
        return (out + self.unmirror(mirrored, perm)) / 2

    def unmirror(self, maps: Tensor, perm: Tensor) -> Tensor:
        """Turn points (B, K, 2) of the mirrored image into those of the image itself."""
        return maps.index_select(1, perm.to(maps.device)) * maps.new_tensor([-1, 1])

    def density(self, out: Tensor) -> dict[str, Tensor]:
        """Return spikes at the points, ``x`` and ``y`` (B, K, n), one bin per pixel."""
        nearest = Regression.decode(self, out).xy.round().long()
        axes = (("x", self.x.n), ("y", self.y.n))
        return {name: F.one_hot(nearest[..., i].clamp(0, n - 1), n).float() for i, (name, n) in enumerate(axes)}


class RLE(Regression):
    """Residual log-likelihood estimation (Li et al. 2021, RLE). ``out`` is (points, scales, log-density or None).

    -log p = sum over both axes of (log sigma + log 2 + |e|) - log G(e), e = (predicted - true) / sigma: a Laplace
    density of the normalised error, times a learnt density G (eq. 9, whose constant s is left out). Every axis' log
    sigma counts once, as the change of variables asks. Both scores are 1 minus the mean of both scales, as in RLE's
    code; a perfect prediction has the least scale. One scale for both axes of a joint is an option of the head.

    Args:
        base: What G multiplies: ``laplace``, ``gaussian`` (sum of log sigma + log(2 pi) / 2 + e^2 / 2), or ``none``,
            for which the flow is the whole density of e (direct likelihood estimation).
        likelihood: ``exact``, or ``published``: mmpose adds log sigma - log G(e), one number for each joint, to either
            axis beside its base density, so that log G counts twice, and log sigma twice for either axis, with
            ``base=none`` once. Its loss is a sum over joints, K times this mean.
        max_error: Bound of |e| on either axis; errors beyond it have no gradient but through the scale, which then
            shrinks. Code of 2026 (YOLO26) takes 100. None: no bound.
        least_loss: Bound of a batch's loss from below, at which nothing is learnt; of each of its pieces if it is taken
            in micro-batches. YOLO26 takes 0. None: no bound, as a log-density has none.
    """

    form = "points with scale"

    def __init__(
        self,
        size: Size | str,
        base: Base = "laplace",
        likelihood: Likelihood = "exact",
        max_error: float | None = None,
        least_loss: float | None = None,
        align: Align = "centre",
        **deviations: Any,
    ) -> None:
        check_choice("RLE: base", base, get_args(Base))
        check_choice("RLE: likelihood", likelihood, get_args(Likelihood))
        if max_error is not None:
            check_positive("RLE: max_error", max_error)
        if least_loss is not None and not math.isfinite(least_loss):
            raise InputError(f"RLE: least_loss={least_loss} must be a number, or null")
        super().__init__(size, None, align, **deviations)
        self.base, self.likelihood = base, likelihood
        self.max_error, self.least_loss = max_error, least_loss

    def loss(self, out: Scaled, target: Tensor, weight: Tensor) -> Tensor:  # type: ignore[override]
        """Compute the negative log-likelihood, summed over axes, averaged over the batch's joints."""
        xy, scale, log_density = out
        sigma = scale.float().clamp_min(LEAST_SCALE)
        error = torch.where((weight > 0)[..., None], xy.float() - target, 0.0) / sigma
        if self.max_error is not None:
            error = error.clamp(-self.max_error, self.max_error)
        log_sigma = sigma.log().sum(-1)
        each = log_sigma
        if self.base == "laplace":
            each = each + (math.log(2) + error.abs()).sum(-1)
        elif self.base == "gaussian":
            each = each + (math.log(2 * math.pi) / 2 + error.square() / 2).sum(-1)
        published = self.likelihood == "published"
        if published and self.base != "none":
            each = each + log_sigma
        if log_density is not None:
            each = each - log_density(error) * (2 if published else 1)
        loss = (each * weight).mean()
        return loss if self.least_loss is None else loss.clamp_min(self.least_loss)

    def decode(self, out: Scaled, readout: str | None = None) -> Points:  # type: ignore[override]
        """Read points in input px and scores from numbers."""
        points, score = super().decode(out[0], readout), 1 - out[1].float().mean(-1)
        published = self.deviations.score == "published"
        return points._replace(score=score if published else self.contract_score(score / (1 - LEAST_SCALE)))

    def merge(self, out: Scaled, mirrored: Scaled, perm: Tensor) -> Scaled:  # type: ignore[override]
        """Average points and scales after un-mirroring."""
        sigma = (out[1] + mirrored[1].index_select(1, perm.to(out[1].device))) / 2
        return super().merge(out[0], mirrored[0], perm), sigma, None

    def oracle(self, target: Tensor) -> Scaled:
        """Return the target with the least scale."""
        return target, torch.full_like(target, LEAST_SCALE), None

    def density(self, out: Scaled) -> dict[str, Tensor]:  # type: ignore[override]
        """Return spikes at the points, see `Regression.density`."""
        return super().density(out[0])
