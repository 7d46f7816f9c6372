"""Probability maps that learn to minimise the expected 1 - OKS (ProbPose)."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from poserep.codecs.base import Codec, Points, axes
from poserep.codecs.expected_oks import ExpectedOKS, joint_sigmas
from poserep.codecs.heatmap import PxPerBin, check_px_per_bin, published_px
from poserep.codecs.label_smoothing import FLOOR, LABEL_TAIL
from poserep.codecs.losses import Criterion, ExpectedRisk
from poserep.codecs.oks_spread import PersonArea, Spread
from poserep.codecs.readouts import Peaks
from poserep.errors import InputError
from poserep.geometry import Align, Size


class ProbMap(Codec):
    """A distribution over the bins of a map (Purkrabek & Matas 2025, ProbPose). ``out`` is logits (B, K, h, w).

    Their softmax P learns to minimise the expected risk sum_p P(p) (1 - OKS(p)), OKS that of a joint at p. (The code
    can normalise by sparsemax instead.) The risk alone is least if all of P lies on the nearest bin, which is what a
    perfect head is taken to emit here; the penalty for edges widens P. Readouts get P. Both scores, contract and
    published, are what the readout gives: the expected OKS, or the probability of a bin.

    Args:
        stride: Input px per bin.
        spread: How fast OKS falls off, see `poserep.codecs.oks_spread`.
        criterion: Takes P, OKS and weights, by default `poserep.codecs.losses.ExpectedRisk`.
        readouts: Readouts of maps, by default `ExpectedOKS`.
        px_per_bin: ``published`` turns bins to px by W / (w - 1) as ProbPose's code does, which lays targets by
            (W - 1) / (w - 1) (``align=edge``): points come out up to a px too far right and down.
        sigmas: OKS sigmas of the joints, `poserep.skeleton.Skeleton.sigmas`.
        **deviations: See `Deviations`. ``bounds=published`` learns all labelled joints, however far outside the crop.
    """

    form = "map"

    def __init__(
        self,
        size: Size | str,
        stride: float = 4,
        spread: Spread | None = None,
        criterion: Criterion | None = None,
        readouts: Mapping[str, Callable[[Tensor], Peaks]] | None = None,
        px_per_bin: PxPerBin = "exact",
        align: Align = "centre",
        sigmas: Sequence[float] | None = None,
        **deviations: Any,
    ) -> None:
        name, size = type(self).__name__, Size.parse(size)
        if not stride > 0 or any(abs(side / stride - round(side / stride)) > 1e-6 for side in size):
            raise InputError(f"{name}: size {size} does not divide into bins of {stride:g} px")
        check_px_per_bin(name, px_per_bin, align)
        super().__init__(*axes(size, 1 / stride, align), readouts or {"oks": ExpectedOKS()}, sigmas, **deviations)
        self.spread, self.criterion, self.px_per_bin = spread or PersonArea(), criterion or ExpectedRisk(), px_per_bin

    def encode(self, xy: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Make the OKS of every bin (B, K, h, w), float32, 0 where the weight is; and weights (B, K)."""
        xy = xy.float()
        published = self.deviations.bounds == "published"
        weight = weight * (torch.isfinite(xy).all(-1) if published else self.in_crop(xy))
        # Masked joints may lie anywhere, at infinity too; their maps must still be made of numbers.
        centre = torch.where(weight[..., None] > 0, self.to_bins(xy), 0.0)
        s = self.spread(joint_sigmas(self.sigmas, xy, type(self).__name__), self.y.n, self.x.n)
        gx, gy = (self._along(centre[..., i], axis.n, s) for i, axis in enumerate((self.x, self.y)))
        return gy[..., :, None] * (gx * (weight > 0)[..., None])[..., None, :], weight

    @staticmethod
    def _along(centre: Tensor, n: int, s: Tensor) -> Tensor:
        d = torch.arange(n, dtype=s.dtype, device=s.device) - centre[..., None]
        return (d.square() / (-2 * s[:, None])).clamp_min(LABEL_TAIL).exp()

    def loss(self, out: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Compute the criterion of the distributions."""
        return self.criterion(self.probabilities(out), target, weight)

    def probabilities(self, out: Tensor) -> Tensor:
        """Return the distributions (B, K, h, w) of logits."""
        return out.float().flatten(2).softmax(-1).view_as(out)

    def decode(self, out: Tensor, readout: str | None = None) -> Points:
        """Read points in input px and scores from logits."""
        position, value = self.readout(readout)(self.probabilities(out))
        return Points(
            self.to_px(position), value if self.deviations.score == "published" else self.contract_score(value)
        )

    def to_px(self, position: Tensor) -> Tensor:
        """Convert (B, K, 2) bins to (B, K, 2) input px."""
        return super().to_px(position) if self.px_per_bin == "exact" else published_px(position, self.x, self.y)

    def merge(self, out: Tensor, mirrored: Tensor, perm: Tensor) -> Tensor:
        """Return logits of the averaged probabilities."""
        back = self.unmirror(self.probabilities(mirrored), perm)
        return ((self.probabilities(out) + back) / 2).clamp_min(FLOOR).log()

    def oracle(self, target: Tensor) -> Tensor:
        """Return logits whose softmax is 1 at the bin of the highest OKS."""
        best = F.one_hot(target.flatten(2).argmax(-1), self.x.n * self.y.n)
        return best.view_as(target).to(target.dtype).clamp_min(FLOOR).log()

    def density(self, out: Tensor) -> dict[str, Tensor]:
        """Return the probabilities."""
        return {"map": self.probabilities(out)}
