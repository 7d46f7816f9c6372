"""One 1D heatmap for each axis, regressed where SimCC classifies."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from poserep.codecs.label_smoothing import Gaussian
from poserep.codecs.losses import MSE
from poserep.codecs.simcc import AxisPair, SimCC
from poserep.geometry import Align, Size


class AxisHeatmap(SimCC):
    """1D-heatmap regression (the rival in SimCC's table 3, after Yin et al. 2020). ``out`` is (x, y), (B, K, n) each.

    A Gaussian of peak 1 on each axis and a squared error, where SimCC has a distribution and a divergence. Settings
    not published: neither code nor head of the table's row exists; bins, sigma and head are SimCC's here, so that the
    loss is all that differs. The contract score is the product of both axes' peaks, each over the least peak of a
    perfect target; the published one is the lesser of both peaks.

    Args:
        k: Bins per input px, at least 1.
        sigma: Standard deviation in bins.
        criterion: `poserep.codecs.losses.MSE` or `OHKM`, of each axis; both are added.
        **deviations: See `Deviations`; joints outside the crop are never learnt.
    """

    published_threshold = 0.2

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
        super().__init__(
            size, k, UnitGaussian(sigma, False), criterion or MSE(), "logits", readouts, align, **deviations
        )
        self.published_bounds = False

    def activation(self, out: Tensor) -> Tensor:
        """Return the heatmap of one axis in single precision."""
        return out.float()

    def oracle(self, target: AxisPair) -> AxisPair:
        """Return the target itself."""
        return target

    def density(self, out: AxisPair) -> dict[str, Tensor]:
        """Return the heatmaps of both axes, without negative values."""
        return {name: heatmap.clamp_min(0) for name, heatmap in super().density(out).items()}


class UnitGaussian(Gaussian):
    """A Gaussian of peak 1 around the exact position."""

    def _mass(self) -> float:
        return 1.0

    def least_peak(self, reach: float) -> float:
        """Return the maximum of the Gaussian ``reach`` bins from the nearest bin."""
        return float(torch.exp(-torch.tensor(reach**2) / (2 * self.sigma**2)))
