"""Coordinate classification: one distribution over the bins of each axis (Li et al., SimDR 2021, SimCC 2022)."""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from poserep.batch import Points
from poserep.codecs.base import Bounds, Codec, Score, axes
from poserep.codecs.labels import FLOOR, Gaussian, Label
from poserep.errors import InputError
from poserep.geometry import Align, Size
from poserep.losses import KL

Pair = tuple[Tensor, Tensor]


class ArgmaxBin:
    """The most probable bin of each axis."""

    def __call__(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Probabilities (B, K, n) of both axes to the position (B, K, 2) in bins and the two peaks (B, K)."""
        (px, ix), (py, iy) = x.max(-1), y.max(-1)
        return torch.stack([ix, iy], -1).to(x.dtype), px, py


class SimCC(Codec):
    """Two classifications per joint, with ``k`` bins per input pixel. ``out`` is the logits (x, y), (B, K, n) each.

    Args:
        size: Of the input.
        k: Splitting factor, at least 1, need not be whole.
        label: Label smoothing, one of `poserep.codecs.labels`.
        criterion: Of one axis, `poserep.losses.KL` or `CrossEntropy`; both axes are added.
        merge_on: What the flip test averages: ``probabilities`` (SimDR's code) or ``logits`` (SA-SimDR's).
        readouts: See `Codec`.
        align: See `Axis`.
        bounds: ``crop`` keeps joints inside the crop; ``published`` follows the label's published rule.
        score: ``contract`` is the product of both axes' peaks, each over the least peak that a perfect label shows
            (an expected 2D heatmap's peak falls with uncertainty like that product does); ``published`` is the
            greater (equal smoothing) or lesser (Gaussian) of the raw probabilities, of which a perfect one peaks at
            about 0.4 / sigma.
        score_threshold: Belongs to the score; published: 0.005 to 0.02, depending on the row.
        flip_shift: Bins by which the un-mirrored x output is moved (positive: right) while the mirrored image stays
            where it is. None derives what is exact, see `Axis.mirror_shifts`; the published code moves by -1 whatever
            k is, which is right for k = 2 alone.
    """

    form = "axes"

    def __init__(
        self,
        size: Size | str,
        k: float = 2.0,
        label: Label | None = None,
        criterion: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None,
        merge_on: Literal["probabilities", "logits"] = "probabilities",
        readouts: Mapping[str, Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]] | None = None,
        align: Align = "centre",
        bounds: Bounds = "crop",
        score: Score = "contract",
        score_threshold: float | None = None,
        flip_shift: float | None = None,
    ) -> None:
        if not 1 <= k < float("inf"):
            raise InputError(f"SimCC: k={k} must be a number of at least 1 bin per pixel")
        if merge_on not in ("probabilities", "logits"):
            raise InputError(f"SimCC: merge_on={merge_on!r} is not one of ('probabilities', 'logits')")
        if score_threshold is None:
            score_threshold = 0.2 if score == "contract" else 0.01
        readouts = readouts or {"argmax": ArgmaxBin()}
        super().__init__(*axes(size, k, align), readouts, score, bounds, flip_shift, score_threshold)
        self.k, self.label, self.merge_on = float(k), label or Gaussian(), merge_on
        self.criterion = criterion or KL()

    def encode(self, xy: Tensor, weight: Tensor) -> tuple[Pair, Tensor]:
        """Targets, (B, K, n) for x and for y, float32, and weights (B, K); those of weight 0 are zero."""
        xy = xy.float()
        targets, keep = [], self.in_crop(xy)
        centres = [(self.x.to_bin(xy[..., 0]), self.x.n), (self.y.to_bin(xy[..., 1]), self.y.n)]
        if self.bounds == "published":
            keep = torch.stack([self.label.in_bounds(c, n, self.k) for c, n in centres]).all(0)
        weight = weight * keep
        for centre, n in centres:
            # Masked joints may lie anywhere, at infinity too; their label must still be made of numbers.
            safe = torch.where(weight > 0, centre, 0.0)
            targets.append(self.label(safe, n, self.bounds == "crop") * (weight > 0)[..., None])
        return (targets[0], targets[1]), weight

    def loss(self, out: Pair, target: Pair, weight: Tensor) -> Tensor:
        """The criterion of both axes, added."""
        x, y = (self.criterion(o.float(), t, weight) for o, t in zip(out, target, strict=True))
        return x + y

    def decode(self, out: Pair, readout: str | None = None) -> Points:
        """Points in input px and scores from logits."""
        x, y = (o.float().softmax(-1) for o in out)
        position, px, py = self.readout(readout)(x, y)
        xy = self.to_px(position)
        if self.score == "published":
            join = torch.maximum if self.label.published_score == "max" else torch.minimum
            return Points(xy, join(px, py))
        least_x, least_y = self.least_peaks
        return Points(xy, self.contract_score((px / least_x).clamp(0, 1) * (py / least_y).clamp(0, 1)))

    @cached_property
    def least_peaks(self) -> tuple[float, float]:
        """The lowest maxima that a perfect target's axes can have, x and y."""
        return self.label.least_peak(self.x.reach()), self.label.least_peak(self.y.reach())

    def merge(self, out: Pair, mirrored: Pair, perm: Tensor) -> Pair:
        """Average of the logits, or logits of the averaged probabilities."""
        back = (self.unmirror(mirrored[0], perm), mirrored[1][:, perm])
        if self.merge_on == "logits":
            return (out[0] + back[0]) / 2, (out[1] + back[1]) / 2
        x, y = (
            ((a.float().softmax(-1) + b.float().softmax(-1)) / 2).clamp_min(FLOOR).log()
            for a, b in zip(out, back, strict=True)
        )
        return x, y

    def oracle(self, target: Pair) -> Pair:
        """Logits whose softmax is the target, made to sum to one."""
        x, y = (t.clamp_min(FLOOR).log() for t in target)
        return x, y

    def density(self, out: Pair) -> dict[str, Tensor]:
        """Probabilities of both axes."""
        return {"x": out[0].float().softmax(-1), "y": out[1].float().softmax(-1)}
