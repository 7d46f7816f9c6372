"""Heatmaps of several resolutions at once, of which the finest is the prediction."""

from collections.abc import Sequence
from copy import copy
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from poserep.codecs.base import Points, axes
from poserep.codecs.heatmap import SRHeatmap, outer
from poserep.codecs.losses import MSE
from poserep.errors import InputError, check_choice
from poserep.geometry import Size

# Heatmaps (B, K, h, w), coarse to fine.
Maps = tuple[Tensor, ...]
Targets = Literal["pooled", "drawn"]


class MultiScale(SRHeatmap):
    """SRPose's supervision (Wang et al. 2023): a low-resolution heatmap, intermediate ones, and the final one.

    In training ``out`` is a tuple of maps, coarse to fine; otherwise the final map (B, K, h, w) alone.

    Args:
        scale, base_sigma: Those of `SRHeatmap`, of the final map.
        supervise: Levels, coarse to fine, that are supervised; the last is the prediction and must be.
        mid_stride: Input px per bin of the intermediate maps (SRPose, figure 6).
        lr_stride: Input px per bin of the low-resolution map, the stride of the backbone's coarsest map.
        lr_weight: Weight of the low-resolution map's loss; 1e-4 in the published code, unmentioned in the paper.
        targets: ``pooled`` averages the final map's target down (published code), so that coarse targets peak below 1
            and lie off the corner alignment; ``drawn`` draws each with its own sigma (as the paper prints).
        **options: Those of `Heatmap` but ``stride`` and ``sigma``.
    """

    def __init__(
        self,
        size: Size | str,
        scale: float = 1,
        base_sigma: float = 2.0,
        supervise: Sequence[bool] = (True, True, True, True),
        mid_stride: float = 4,
        lr_stride: float = 32,
        lr_weight: float = 1e-4,
        targets: Targets = "pooled",
        **options: Any,
    ) -> None:
        options.setdefault("criterion", MSE(1.0))
        super().__init__(size, scale, base_sigma, **options)
        if not len(supervise) or not supervise[-1]:
            raise InputError(f"MultiScale: the last entry of supervise={list(supervise)} must be true")
        check_choice("MultiScale: targets", targets, get_args(Targets))
        if not 0 <= lr_weight < float("inf"):
            raise InputError(f"MultiScale: lr_weight={lr_weight} must not be negative")
        for name, stride in (("mid_stride", mid_stride), ("lr_stride", lr_stride)):
            if stride * scale < 1 or any(side % stride for side in Size.parse(size)):
                raise InputError(
                    f"MultiScale: {name}={stride:g} must divide the size {size} and be no finer than the final map"
                )
        self.targets, self.lr_weight = targets, lr_weight
        self.coarse = [float(lr_stride), *[float(mid_stride)] * sum(map(bool, supervise[:-1]))]
        self.form = f"maps of strides {', '.join(f'{stride:g}' for stride in [*self.coarse, 1 / scale])}"

    def encode(self, xy: Tensor, weight: Tensor) -> tuple[Maps, Tensor]:  # type: ignore[override]
        """Draw targets from coarse to fine, each (B, K, h, w), float32, equal ones only once; and weights (B, K)."""
        centre, kept = self.centres(xy, weight)
        gx, gy = self.profiles(centre, kept)
        levels: dict[float, Tensor] = {}
        for stride in dict.fromkeys(self.coarse):
            n = round(self.x.length / stride), round(self.y.length / stride)
            if self.targets == "pooled":
                # A mean over blocks of a product of two profiles is the product of the profiles' means.
                px, py = (F.adaptive_avg_pool1d(g, m) for g, m in zip((gx, gy), n, strict=True))
            else:
                px, py = self._drawn(xy, kept, n)
            levels[stride] = outer(py, px)
        return (*(levels[stride] for stride in self.coarse), outer(gy, gx)), kept

    def _drawn(self, xy: Tensor, weight: Tensor, n: tuple[int, int]) -> tuple[Tensor, Tensor]:
        level = copy(self)
        level.x, level.y = axes(Size(self.y.length, self.x.length), n[0] / self.x.length, self.x.align)
        level.sigma = self.sigma * n[0] / self.x.n
        # Which joints count is decided once, on the final map.
        return level.profiles(level.quantised(torch.where(weight[..., None] > 0, xy.float(), 0.0)), weight)

    def loss(self, out: Maps, target: Maps, weight: Tensor) -> Tensor:  # type: ignore[override]
        """Add the criterion of all maps, that of the low-resolution one with its own weight."""
        low, *others = (self.criterion(o.float(), t, weight) for o, t in zip(out, target, strict=True))
        return self.lr_weight * low + torch.stack(others).sum()

    def decode(self, out: Tensor | Maps, readout: str | None = None) -> Points:
        """Read points in input px and scores from the final map (B, K, h, w)."""
        return super().decode(_final(out), readout)

    def merge(self, out: Tensor | Maps, mirrored: Tensor | Maps, perm: Tensor) -> Tensor:
        """Average the final maps after un-mirroring."""
        return super().merge(_final(out), _final(mirrored), perm)

    def density(self, out: Tensor | Maps) -> dict[str, Tensor]:
        """Return the final map, without negative values."""
        return super().density(_final(out))


def _final(out: Tensor | Maps) -> Tensor:
    return out if isinstance(out, Tensor) else out[-1]
