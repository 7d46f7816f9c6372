"""One vector of bins for each axis: classified (Li et al., SimDR 2021, SimCC 2022), or regressed as 1D heatmaps."""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from poserep.codecs.base import Codec, Points, axes
from poserep.codecs.label_smoothing import FLOOR, Gaussian, Label, UnitGaussian, of_axis
from poserep.codecs.losses import KL, MLECC, MSE, Criterion
from poserep.errors import InputError, check_choice, check_positive
from poserep.geometry import Align, Size

# One tensor (B, K, n) for x and one for y.
AxisPair = tuple[Tensor, Tensor]
MergeOn = Literal["probabilities", "logits"]
# Takes (B, K, n) of x and of y; returns the position (B, K, 2) in bins and the peaks (B, K) of x and of y.
AxisReadout = Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]


class ArgmaxBin:
    """Readout: the most probable bin of each axis."""

    def __call__(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Read position and peaks."""
        (px, ix), (py, iy) = x.max(-1), y.max(-1)
        return torch.stack([ix, iy], -1).to(x.dtype), px, py


class SimCC(Codec):
    """Two classifications per joint, with ``k`` bins per input pixel. ``out`` is the logits (x, y), (B, K, n) each.

    The contract score is the product of both axes' peaks, each over the least peak that a perfect label shows. The
    published one is the greater (equal smoothing) or lesser (Gaussian) of the raw probabilities, of which a perfect one
    peaks at about 0.4 / sigma; its threshold is 0.01 unless given. RTMPose's (`Softened` labels) is the lesser of both
    axes' greatest logits, threshold 0.2, although a loss of probabilities leaves logits open by a constant.

    Args:
        k: Splitting factor, at least 1, need not be whole.
        label: Label smoothing, one of `poserep.codecs.label_smoothing`.
        criterion: Loss of one axis, `poserep.codecs.losses.KL` or `CrossEntropy`, of which both axes' are added, or of
            both, `MLECC`.
        merge_on: What the flip test averages: ``probabilities`` (SimDR's code) or ``logits`` (SA-SimDR's, mmpose's).
        beta: Probabilities are softmax(beta * logits): 10 in RTMPose.
        **deviations: See `Deviations`. ``bounds=published`` follows the label's rule; ``flip_shift=-1``, the published
            code's whatever k is, is right for k = 2 alone; mmpose's, 0, is off by k - 1 bins under ``align=corner``.
    """

    form = "axes"
    published_threshold = 0.01

    def __init__(
        self,
        size: Size | str,
        k: float = 2.0,
        label: Label | None = None,
        criterion: Criterion | MLECC | None = None,
        merge_on: MergeOn = "probabilities",
        readouts: Mapping[str, AxisReadout] | None = None,
        align: Align = "centre",
        beta: float = 1.0,
        **deviations: Any,
    ) -> None:
        if not 1 <= k < float("inf"):
            raise InputError(f"{type(self).__name__}: k={k} must be a number of at least 1 bin per pixel")
        check_choice("SimCC: merge_on", merge_on, get_args(MergeOn))
        check_positive("SimCC: beta", beta)
        self.label = label or Gaussian()
        self.score_is_logit = self.label.published_score == "logits"
        if deviations.get("score") == "published" and not self.score_is_logit:
            deviations.setdefault("score_threshold", self.published_threshold)
        super().__init__(*axes(size, k, align), readouts or {"argmax": ArgmaxBin()}, **deviations)
        self.k, self.merge_on, self.beta = float(k), merge_on, float(beta)
        self.labels = [of_axis(self.label, i) for i in range(2)]
        self.criterion, self.published_bounds = criterion or KL(), self.deviations.bounds == "published"

    def encode(self, xy: Tensor, weight: Tensor) -> tuple[AxisPair, Tensor]:
        """Make targets, (B, K, n) for x and for y, float32, zero where the weight is; and weights (B, K)."""
        centre, sides = self.to_bins(xy.float()), list(zip(self.labels, (self.x.n, self.y.n), strict=True))
        keep = self.in_crop(xy.float())
        if self.published_bounds:
            keep = torch.stack([a.in_bounds(centre[..., i], n, self.k) for i, (a, n) in enumerate(sides)]).all(0)
        weight = weight * keep
        # Masked joints may lie anywhere, at infinity too; their label must still be made of numbers.
        centre = torch.where(weight[..., None] > 0, centre, 0.0)
        labels = (label(centre[..., i], n, not self.published_bounds) for i, (label, n) in enumerate(sides))
        x, y = (label * (weight > 0)[..., None] for label in labels)
        return (x, y), weight

    def loss(self, out: AxisPair, target: AxisPair, weight: Tensor) -> Tensor:
        """Add the criterion of both axes, or take that of the two together."""
        logits = self._scaled(out[0]), self._scaled(out[1])
        if isinstance(self.criterion, MLECC):
            return self.criterion(logits, target, weight)
        x, y = (self.criterion(o, t, weight) for o, t in zip(logits, target, strict=True))
        return x + y

    def activation(self, out: Tensor) -> Tensor:
        """Return the probabilities (B, K, n) of the logits of one axis."""
        return self._scaled(out).softmax(-1)

    def _scaled(self, out: Tensor) -> Tensor:
        return out.float() if self.beta == 1 else out.float() * self.beta

    def logits(self, probabilities: Tensor) -> Tensor:
        """Return the logits of the probabilities (B, K, n) of one axis, of which the least is 0 if one is a score."""
        logits = probabilities.clamp_min(FLOOR).log() / self.beta
        return logits - logits.amin(-1, keepdim=True) if self.score_is_logit else logits

    def decode(self, out: AxisPair, readout: str | None = None) -> Points:
        """Read points in input px and scores from logits."""
        x, y = map(self.activation, out)
        read = self.readout(readout)
        position, px, py = read(x, y)
        xy, published = self.to_px(position), self.deviations.score == "published"
        if getattr(read, "own_score", False):
            return Points(xy, px * py if published else self.contract_score(px * py))
        if published and self.score_is_logit:
            return Points(xy, torch.minimum(out[0].float().amax(-1), out[1].float().amax(-1)))
        if published:
            join = torch.maximum if self.label.published_score == "max" else torch.minimum
            return Points(xy, join(px, py))
        least_x, least_y = self.least_peaks
        return Points(xy, self.contract_score((px / least_x).clamp(0, 1) * (py / least_y).clamp(0, 1)))

    @cached_property
    def least_peaks(self) -> tuple[float, float]:
        """The lowest maxima that the axes of a perfect target can have, x and y."""
        x, y = self.labels
        return x.least_peak(self.x.reach(), self.x.n), y.least_peak(self.y.reach(), self.y.n)

    def merge(self, out: AxisPair, mirrored: AxisPair, perm: Tensor) -> AxisPair:
        """Average the logits, or return the logits of averaged probabilities."""
        back = (self.unmirror(mirrored[0], perm), mirrored[1][:, perm])
        if self.merge_on == "logits":
            return (out[0] + back[0]) / 2, (out[1] + back[1]) / 2
        x, y = (self.logits((self.activation(a) + self.activation(b)) / 2) for a, b in zip(out, back, strict=True))
        return x, y

    def oracle(self, target: AxisPair) -> AxisPair:
        """Return logits whose probabilities are the target, made to sum to one; `MLECC`'s lie on its highest bin."""
        x, y = target
        if isinstance(self.criterion, MLECC):
            x, y = (F.one_hot(t.argmax(-1), t.shape[-1]).to(t.dtype) * (t.amax(-1, keepdim=True) > 0) for t in target)
        return self.logits(x), self.logits(y)

    def density(self, out: AxisPair) -> dict[str, Tensor]:
        """Return the probabilities of both axes."""
        return {"x": self.activation(out[0]), "y": self.activation(out[1])}


class AxisHeatmap(SimCC):
    """1D-heatmap regression (the rival in SimCC's table 3, after Yin et al. 2020). ``out`` is (x, y), (B, K, n) each.

    A Gaussian of peak 1 on each axis and a squared error, where SimCC has a distribution and a divergence. The row's
    code was not published; bins, sigma and head are SimCC's here. The contract score is the product of both axes'
    peaks, each over the least peak of a perfect target, the published one the lesser of both peaks.

    Args:
        k, sigma: Bins per input px, at least 1, and standard deviation in bins.
        criterion: `poserep.codecs.losses.MSE` or `OHKM`, of each axis; both are added.
        **deviations: See `Deviations`; joints outside the crop are never learnt.
    """

    published_threshold = 0.2

    def __init__(
        self,
        size: Size | str,
        k: float = 2.0,
        sigma: float = 6.0,
        criterion: Criterion | None = None,
        readouts: Mapping[str, AxisReadout] | None = None,
        align: Align = "centre",
        **deviations: Any,
    ) -> None:
        super().__init__(size, k, UnitGaussian(sigma), criterion or MSE(), "logits", readouts, align, **deviations)
        self.published_bounds = False

    def activation(self, out: Tensor) -> Tensor:
        """Return the heatmap of one axis in single precision."""
        return out.float()

    oracle = Codec.oracle

    def density(self, out: AxisPair) -> dict[str, Tensor]:
        """Return the heatmaps of both axes, without negative values."""
        return {name: heatmap.clamp_min(0) for name, heatmap in super().density(out).items()}
