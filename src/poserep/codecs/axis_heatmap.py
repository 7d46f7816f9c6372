"""One 1D heatmap for each axis, regressed instead of classified."""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from poserep.batch import Points
from poserep.codecs.base import Codec, axes
from poserep.codecs.label_smoothing import gaussian
from poserep.codecs.simcc import ArgmaxBin, AxisPair
from poserep.errors import InputError
from poserep.geometry import Align, Size
from poserep.losses import MSE


class AxisHeatmap(Codec):
    """1D-heatmap regression (the rival in SimCC's table 3, after Yin et al. 2020). ``out`` is (x, y), (B, K, n) each.

    A Gaussian of peak 1 on each axis and a squared error, where SimCC has a distribution and a divergence. Settings
    not published: neither code nor head of the table's row exists; bins, sigma and head are SimCC's here, so that the
    loss is all that differs. The contract score is the product of both axes' peaks, each over the least peak of a
    perfect target; the published one is the lesser of both peaks.

    Args:
        size: Of the input.
        k: Bins per input px, at least 1.
        sigma: Standard deviation in bins.
        criterion: `poserep.losses.MSE` or `OHKM`, of each axis; both are added.
        readouts: See `Codec`.
        align: See `Axis`.
        **deviations: See `Deviations`; joints outside the crop are never learnt.
    """

    form = "axes"

    def __init__(
        self,
        size: Size | str,
        k: float = 2.0,
        sigma: float = 6.0,
        criterion: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None,
        readouts: Mapping[str, Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]] | None = None,
        align: Align = "centre",
        **deviations: Any,
    ) -> None:
        if not 1 <= k < float("inf"):
            raise InputError(f"AxisHeatmap: k={k} must be a number of at least 1 bin per pixel")
        if not 0 < sigma < float("inf"):
            raise InputError(f"AxisHeatmap: sigma={sigma} must be a positive number (bins)")
        super().__init__(*axes(size, k, align), readouts or {"argmax": ArgmaxBin()}, **deviations)
        self.k, self.sigma = float(k), float(sigma)
        self.criterion = criterion or MSE()

    def encode(self, xy: Tensor, weight: Tensor) -> tuple[AxisPair, Tensor]:
        """Draw targets, (B, K, n) for x and for y, float32, zero where the weight is; and weights (B, K)."""
        xy = xy.float()
        weight = weight * self.in_crop(xy)
        centre = torch.where(weight[..., None] > 0, self.to_bins(xy), 0.0)
        x, y = (
            gaussian(centre[..., i], axis.n, self.sigma) * (weight > 0)[..., None]
            for i, axis in enumerate((self.x, self.y))
        )
        return (x, y), weight

    def loss(self, out: AxisPair, target: AxisPair, weight: Tensor) -> Tensor:
        """Add the criterion of both axes."""
        x, y = (self.criterion(o.float(), t, weight) for o, t in zip(out, target, strict=True))
        return x + y

    def decode(self, out: AxisPair, readout: str | None = None) -> Points:
        """Read points in input px and scores from 1D heatmaps."""
        position, px, py = self.readout(readout)(*(o.float() for o in out))
        if self.deviations.score == "published":
            return Points(self.to_px(position), torch.minimum(px, py))
        least_x, least_y = self.least_peaks
        score = (px / least_x).clamp(0, 1) * (py / least_y).clamp(0, 1)
        return Points(self.to_px(position), self.contract_score(score))

    @cached_property
    def least_peaks(self) -> tuple[float, float]:
        """The lowest maxima that the axes of a perfect target can have, x and y."""
        squares = torch.tensor([self.x.reach() ** 2, self.y.reach() ** 2])
        x, y = torch.exp(-squares / (2 * self.sigma**2)).tolist()
        return x, y

    def merge(self, out: AxisPair, mirrored: AxisPair, perm: Tensor) -> AxisPair:
        """Average the heatmaps after un-mirroring."""
        return (out[0] + self.unmirror(mirrored[0], perm)) / 2, (out[1] + mirrored[1][:, perm]) / 2

    def oracle(self, target: AxisPair) -> AxisPair:
        """Return the target itself."""
        return target

    def density(self, out: AxisPair) -> dict[str, Tensor]:
        """Return the heatmaps of both axes, without negative values."""
        return {"x": out[0].float().clamp_min(0), "y": out[1].float().clamp_min(0)}
