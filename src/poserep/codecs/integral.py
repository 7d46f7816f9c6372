"""Integral regression (IPR, DSNT): coordinates are the mean position of a heatmap that is not supervised itself."""

import math
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from poserep.codecs.heatmap import Heatmap, outer
from poserep.codecs.label_smoothing import FLOOR
from poserep.codecs.losses import Criterion, Distance
from poserep.codecs.readouts import Peaks, SoftArgmax
from poserep.errors import InputError
from poserep.geometry import Align, Size

# Positions (B, K, 2) in bins, and maps (B, K, h, w).
MeanAndMap = tuple[Tensor, Tensor]
# By how much a perfect output stands out of a background of 0, as a factor: nothing is left of the background.
STANDS_OUT = math.exp(30)


class Integral(Heatmap):
    """Soft-argmax (Sun et al. 2018, IPR), with a divergence from a Gaussian as an option (Nibali et al. 2018, DSNT).

    ``out`` is logits (B, K, h, w); the position is the mean under their softmax, so it cannot leave the outermost
    bins. The papers that quote these methods publish no settings; as in their own papers, IPR takes ``criterion`` L1
    and no divergence, DSNT the Euclidean distance and the divergence from a Gaussian of 1 bin with factor 1.
    Coordinates are in [-1, 1] on either axis, as in DSNT. The contract score is the peak probability over the least
    peak of a perfect output, the published one the peak. With a ``position`` that takes out the bias (Gu et al. 2021;
    2023, BCIR), ``prior`` keeps the background at 0, as that asks.

    Args:
        sigma: Standard deviation of the Gaussian in bins; without divergence and prior it has no effect.
        divergence: Factor of the Jensen-Shannon divergence between softmax and Gaussian; 0 leaves it out.
        position: How the position follows from the logits; by default the mean under their softmax, beta = 1.
        prior: Loss between the logits themselves and a Gaussian of peak 1, added to the others; None leaves it out.
        **deviations: See `Deviations`; joints outside the crop are never learnt.
    """

    def __init__(
        self,
        size: Size | str,
        stride: float = 4,
        sigma: float = 1.0,
        divergence: float = 0.0,
        criterion: Criterion | None = None,
        position: SoftArgmax | None = None,
        prior: Criterion | None = None,
        align: Align = "centre",
        **deviations: Any,
    ) -> None:
        super().__init__(size, stride, sigma, "none", "bins", None, {"mean": self._mean_and_peak}, align, **deviations)
        if not 0 <= divergence < float("inf"):
            raise InputError(f"Integral: divergence={divergence} must not be negative")
        self.divergence, self.criterion = divergence, criterion or Distance()
        self.position, self.prior = position or SoftArgmax(1.0), prior
        self.unit = nn.Buffer(torch.tensor([self.x.n, self.y.n]) / 2, persistent=False)

    def probabilities(self, out: Tensor) -> Tensor:
        """Return the softmax of logits (B, K, h, w) over all bins."""
        return (self.position.beta * out.float()).flatten(2).softmax(-1).view_as(out)

    def _mean_and_peak(self, logits: Tensor) -> Peaks:
        return self.position.mean(logits), self.probabilities(logits).amax((-2, -1))

    def encode(self, xy: Tensor, weight: Tensor) -> tuple[MeanAndMap, Tensor]:  # type: ignore[override]
        """Make positions (B, K, 2) in bins and maps of a perfect output (B, K, h, w); and weights (B, K)."""
        # No mean position lies outside the map: nothing can be learnt from joints that do.
        centre, weight = self.centres(xy, weight * self.in_crop(xy.float()))
        centre = centre.clamp_min(0).minimum(centre.new_tensor([self.x.n - 1, self.y.n - 1]))
        if self.divergence or self.prior:
            gx, gy = self.profiles(centre, weight)
        else:
            # Each point is divided between the bins beside it: the narrowest distribution whose mean it is.
            bins = (torch.arange(axis.n, device=centre.device) for axis in (self.x, self.y))
            gx, gy = ((1 - (bin_ - centre[..., i, None]).abs()).clamp_min(0) for i, bin_ in enumerate(bins))
        return (centre, outer(gy, gx) * (weight > 0)[..., None, None]), weight

    def loss(self, out: Tensor, target: MeanAndMap, weight: Tensor) -> Tensor:  # type: ignore[override]
        """Add the distance of the positions, and the divergence and the prior's loss if there are any."""
        out = out.float()
        loss = self.distance(out, target[0], weight)
        if self.divergence:
            each = jensen_shannon(self.position.beta * out, distribution(target[1]))
            loss = loss + self.divergence * (each * weight).mean()
        return loss if self.prior is None else loss + self.prior(out, target[1], weight)

    def distance(self, out: Tensor, centre: Tensor, weight: Tensor) -> Tensor:
        """Compute the criterion of the positions of logits (B, K, h, w) and true ones (B, K, 2), bins."""
        return self.criterion(self.position.mean(out) / self.unit, centre / self.unit, weight)

    @cached_property
    def least_peak(self) -> float:
        """The lowest maximum of a perfect output's distribution: half-way between bins, where no tail is cut."""
        middle = torch.tensor([[[self.x.n // 2 - 0.5, self.y.n // 2 - 0.5]]])
        target, _ = self.encode(self.to_px(middle), torch.ones(1, 1))
        return float(self.probabilities(self.oracle(target)).amax())

    def merge(self, out: Tensor, mirrored: Tensor, perm: Tensor) -> Tensor:
        """Return logits of the averaged probabilities, such that where both logits are 0 theirs are."""
        plain, back = (self.probabilities(o) for o in (out, mirrored))
        log_zero = [-(self.position.beta * o.float()).flatten(2).logsumexp(-1) for o in (out, mirrored[:, perm])]
        zero = torch.logaddexp(*log_zero)[..., None, None] - math.log(2)
        return (((plain + self.unmirror(back, perm)) / 2).clamp_min(FLOOR).log() - zero) / self.position.beta

    def oracle(self, target: MeanAndMap) -> Tensor:
        """Return logits of the perfect output: the Gaussian if there is a prior, else those of its distribution."""
        if self.prior:
            return target[1]
        mass = distribution(target[1])
        if self.position.debias == "none":
            return mass.clamp_min(FLOOR).log() / self.position.beta
        return (STANDS_OUT * mass).log1p() / self.position.beta

    def density(self, out: Tensor) -> dict[str, Tensor]:
        """Return the probabilities."""
        return {"map": self.probabilities(out)}


def distribution(maps: Tensor) -> Tensor:
    """Divide maps (B, K, h, w) by their sums; empty ones stay so."""
    return maps / maps.sum((-2, -1), keepdim=True).clamp_min(FLOOR)


def jensen_shannon(logits: Tensor, target: Tensor) -> Tensor:
    """Compute the Jensen-Shannon divergence, (B, K) in [0, log 2], of softmax(logits) and target, maps (B, K, h, w)."""
    log_p, q = logits.flatten(2).log_softmax(-1), target.flatten(2)
    p = log_p.exp()
    log_m = ((p + q) / 2).clamp_min(FLOOR).log()
    log_q = q.clamp_min(FLOOR).log()
    return ((p * (log_p - log_m)).sum(-1) + (q * (log_q - log_m)).sum(-1)) / 2
