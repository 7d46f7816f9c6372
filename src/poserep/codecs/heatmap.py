"""2D Gaussian heatmaps, below, at and above input resolution."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from poserep.batch import Points
from poserep.codecs.base import Bounds, Codec, Score, axes
from poserep.codecs.readouts import Argmax
from poserep.errors import InputError
from poserep.geometry import Align, Size, shift_bins
from poserep.losses import mse


class Heatmap(Codec):
    """One Gaussian of peak 1 per joint.

    Args:
        size: Of the input.
        stride: Input px per bin; 4 in all the papers' baselines.
        sigma: Standard deviation in bins; the papers take 1 up to 128x128, 2 at 256x192, 3 at 384x288.
        quantise: Draw around the nearest bin (HRNet), or around the exact position (DARK's unbiased encoding, eq. 12).
        truncate: Draw only within this many sigmas of the (rounded) centre; None draws the whole map.
        readouts: See `Codec`.
        align: See `Axis`.
        bounds: ``crop`` keeps joints inside the crop; ``published`` keeps joints whose 3-sigma window touches the map
            (HRNet; the targets of the farthest ones are empty).
        score: ``contract`` is the peak over the least peak that a perfect target shows; ``published`` the peak.
        loss_factor: See `poserep.losses.mse`.
        flip_shift: Bins by which the un-mirrored map is moved (positive: right) before averaging. None derives the
            exact value from the alignment; HRNet's code moves by 1.
    """

    form = "map"
    score_threshold = 0.2

    def __init__(
        self,
        size: Size | str,
        stride: float = 4,
        sigma: float = 2.0,
        quantise: bool = True,
        truncate: float | None = 3.0,
        readouts: Mapping[str, Callable[[Tensor], tuple[Tensor, Tensor]]] | None = None,
        align: Align = "centre",
        bounds: Bounds = "crop",
        score: Score = "contract",
        loss_factor: float = 0.5,
        flip_shift: float | None = None,
    ) -> None:
        size = Size.parse(size)
        if not stride > 0 or any(abs(side / stride - round(side / stride)) > 1e-6 for side in size):
            raise InputError(f"{type(self).__name__}: size {size} does not divide into bins of {stride:g} px")
        if not sigma > 0:
            raise InputError(f"{type(self).__name__}: sigma={sigma} must be positive (bins)")
        super().__init__(*axes(size, 1 / stride, align), readouts or {"argmax": Argmax()}, score, bounds)
        self.sigma, self.quantise, self.truncate = float(sigma), quantise, truncate
        self.loss_factor = loss_factor
        self.flip_shift = -self.x.flip_shift() if flip_shift is None else float(flip_shift)

    def encode(self, xy: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Targets (B, K, h, w), float32, and weights (B, K); maps of weight 0 are empty."""
        xy = xy.float()
        centre = torch.stack([self.x.to_bin(xy[..., 0]), self.y.to_bin(xy[..., 1])], -1)
        if self.quantise:
            centre = torch.trunc(centre + 0.5)
        if self.bounds == "crop":
            weight = weight * self.in_crop(xy)
            if self.quantise:
                centre = centre.minimum(centre.new_tensor([self.x.n - 1, self.y.n - 1]))
        else:
            weight = weight * self._window_touches(centre)
        # Masked joints may lie anywhere, at infinity too; their maps must still be made of numbers.
        centre = torch.where(weight[..., None] > 0, centre, 0.0)
        gx, gy = (self._profile(centre[..., i], axis.n) for i, axis in enumerate((self.x, self.y)))
        target = gy[..., :, None] * gx[..., None, :]
        return target * (weight > 0)[..., None, None], weight

    def _profile(self, centre: Tensor, n: int) -> Tensor:
        distance = torch.arange(n, device=centre.device, dtype=centre.dtype) - centre[..., None]
        profile = torch.exp(-distance.square() / (2 * self.sigma**2))
        if self.truncate is not None:
            profile = profile * (distance.abs() <= self.truncate * self.sigma)
        return profile

    def _window_touches(self, centre: Tensor) -> Tensor:
        # The published code converts the window's ends to integers by cutting, toward zero, before it compares.
        limit = torch.tensor([self.x.n, self.y.n], device=centre.device)
        first, end = torch.trunc(centre - 3 * self.sigma), torch.trunc(centre + 3 * self.sigma + 1)
        return ((first < limit) & (end >= 0)).all(-1)

    def loss(self, out: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """0.5 * mean squared error by default."""
        return mse(out.float(), target, weight, self.loss_factor)

    def decode(self, out: Tensor, readout: str | None = None) -> Points:
        """Points in input px and scores from heatmaps (B, K, h, w)."""
        position, value = self.readout(readout)(out.float())
        xy = torch.stack([self.x.to_px(position[..., 0]), self.y.to_px(position[..., 1])], -1)
        if self.score == "published":
            return Points(xy, value)
        return Points(xy, (value / self.least_peak()).clamp(0, 1))

    def least_peak(self) -> float:
        """The lowest maximum that a perfect target of a joint inside the crop can have."""
        if self.quantise:
            return 1.0
        squares = self.x.reach() ** 2 + self.y.reach() ** 2
        return float(torch.tensor(-squares / (2 * self.sigma**2)).exp())

    def merge(self, out: Tensor, mirrored: Tensor, perm: Tensor) -> Tensor:
        """Average of the maps after un-mirroring."""
        return (out + shift_bins(mirrored[:, perm].flip(-1), self.flip_shift)) / 2

    def oracle(self, target: Tensor) -> Tensor:
        """The target itself."""
        return target

    def density(self, out: Tensor) -> dict[str, Tensor]:
        """The heatmaps, without negative values."""
        return {"map": out.float().clamp_min(0)}


class SRHeatmap(Heatmap):
    """Heatmap at or above input resolution, from a super-resolution head (Wang et al. 2023, SRPose).

    Args:
        size: Of the input.
        scale: Bins per input px, the paper's k: 1 is input resolution, 2 twice that.
        base_sigma: Sigma of the stride-4 heatmap of the same input, in its bins; sigma grows linearly with resolution
            (2 at stride 4 is 8 at full resolution).
        **options: As for `Heatmap`, but ``stride`` and ``sigma``.
    """

    def __init__(self, size: Size | str, scale: float = 1, base_sigma: float = 2.0, **options: Any) -> None:
        if scale < 1:
            raise InputError(f"SRHeatmap: scale={scale} is below input resolution; use Heatmap for that")
        super().__init__(size, stride=1 / scale, sigma=base_sigma * 4 * scale, **options)
