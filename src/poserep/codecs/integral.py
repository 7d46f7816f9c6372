"""Integral regression (IPR, DSNT): coordinates are the mean position of a heatmap that is not supervised itself."""

from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from poserep.codecs.heatmap import Heatmap, outer
from poserep.codecs.label_smoothing import FLOOR
from poserep.codecs.losses import Criterion, Distance
from poserep.codecs.readouts import soft_argmax
from poserep.errors import InputError
from poserep.geometry import Align, Size

# Positions (B, K, 2) in bins, and distributions (B, K, h, w).
MeanAndMap = tuple[Tensor, Tensor]


class Integral(Heatmap):
    """Soft-argmax (Sun et al. 2018, IPR), with a divergence from a Gaussian as an option (Nibali et al. 2018, DSNT).

    ``out`` is logits (B, K, h, w); the position is the mean under their softmax, so it cannot leave the outermost
    bins. The papers that quote these methods publish no settings; as in their own papers, IPR takes ``criterion`` L1
    and no divergence, DSNT the Euclidean distance and the divergence from a Gaussian of 1 bin with factor 1.
    Coordinates are in [-1, 1] on either axis, as in DSNT. The contract score is the peak probability over the least
    peak of a perfect output, the published one the peak.

    Args:
        sigma: Standard deviation of the Gaussian in bins; without divergence it has no effect.
        divergence: Factor of the Jensen-Shannon divergence between softmax and Gaussian; 0 leaves it out.
        **deviations: See `Deviations`; joints outside the crop are never learnt.
    """

    def __init__(
        self,
        size: Size | str,
        stride: float = 4,
        sigma: float = 1.0,
        divergence: float = 0.0,
        criterion: Criterion | None = None,
        align: Align = "centre",
        **deviations: Any,
    ) -> None:
        readouts = {"mean": lambda logits: (soft_argmax(logits), logits.flatten(2).softmax(-1).amax(-1))}
        super().__init__(size, stride, sigma, "none", "bins", None, readouts, align, **deviations)
        if not 0 <= divergence < float("inf"):
            raise InputError(f"Integral: divergence={divergence} must not be negative")
        self.divergence, self.criterion = divergence, criterion or Distance()
        self.unit = nn.Buffer(torch.tensor([self.x.n, self.y.n]) / 2, persistent=False)

    def encode(self, xy: Tensor, weight: Tensor) -> tuple[MeanAndMap, Tensor]:  # type: ignore[override]
        """Make positions (B, K, 2) in bins and distributions of a perfect output (B, K, h, w); and weights (B, K)."""
        # No mean position lies outside the map: nothing can be learnt from joints that do.
        centre, weight = self.centres(xy, weight * self.in_crop(xy.float()))
        centre = centre.clamp_min(0).minimum(centre.new_tensor([self.x.n - 1, self.y.n - 1]))
        if self.divergence:
            gx, gy = self.profiles(centre, weight)
        else:
            # Each point is divided between the bins beside it: the narrowest distribution whose mean it is.
            bins = (torch.arange(axis.n, device=centre.device) for axis in (self.x, self.y))
            gx, gy = ((1 - (bin_ - centre[..., i, None]).abs()).clamp_min(0) for i, bin_ in enumerate(bins))
        maps = outer(gy, gx)
        maps = maps / maps.sum((-2, -1), keepdim=True).clamp_min(FLOOR)
        return (centre, maps * (weight > 0)[..., None, None]), weight

    def loss(self, out: Tensor, target: MeanAndMap, weight: Tensor) -> Tensor:  # type: ignore[override]
        """Add the distance of the means and the divergence, if there is one."""
        loss = self.criterion(soft_argmax(out.float()) / self.unit, target[0] / self.unit, weight)
        if self.divergence:
            loss = loss + self.divergence * (jensen_shannon(out.float(), target[1]) * weight).mean()
        return loss

    @cached_property
    def least_peak(self) -> float:
        """The lowest maximum of a perfect output's distribution."""
        if not self.divergence:
            return 0.25
        # On a map large enough that no tail is cut, half-way between bins on both axes.
        bins = torch.arange(-round(20 * self.sigma) - 2, round(20 * self.sigma) + 3)
        profile = torch.exp(-(bins - 0.5).square() / (2 * self.sigma**2))
        return float((profile.max() / profile.sum()) ** 2)

    def merge(self, out: Tensor, mirrored: Tensor, perm: Tensor) -> Tensor:
        """Return logits of the averaged probabilities."""
        plain, back = (o.float().flatten(2).softmax(-1).view_as(o) for o in (out, mirrored))
        return ((plain + self.unmirror(back, perm)) / 2).clamp_min(FLOOR).log()

    def oracle(self, target: MeanAndMap) -> Tensor:
        """Return logits whose softmax is the perfect distribution."""
        return target[1].clamp_min(FLOOR).log()

    def density(self, out: Tensor) -> dict[str, Tensor]:
        """Return the probabilities."""
        return {"map": out.float().flatten(2).softmax(-1).view_as(out)}


def jensen_shannon(logits: Tensor, target: Tensor) -> Tensor:
    """Compute the Jensen-Shannon divergence, (B, K) in [0, log 2], of softmax(logits) and target, maps (B, K, h, w)."""
    log_p, q = logits.flatten(2).log_softmax(-1), target.flatten(2)
    p = log_p.exp()
    log_m = ((p + q) / 2).clamp_min(FLOOR).log()
    log_q = q.clamp_min(FLOOR).log()
    return ((p * (log_p - log_m)).sum(-1) + (q * (log_q - log_m)).sum(-1)) / 2
