"""2D Gaussian heatmaps, below, at and above input resolution."""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from poserep.codecs.base import Codec, Points, axes
from poserep.codecs.label_smoothing import gaussian
from poserep.codecs.losses import MSE, Criterion
from poserep.codecs.readouts import Argmax, Peaks
from poserep.errors import InputError, check_choice, check_positive
from poserep.geometry import Align, Axis, Size

Quantise = Literal["round", "floor", "ceil", "none"]
Grid = Literal["bins", "px"]
Window = Literal["exact", "rounded"]
PxPerBin = Literal["exact", "published"]
# int(x + 0.5) of the published code cuts toward zero, which differs from rounding outside the map alone.
QUANTISERS: dict[Quantise, Callable[[Tensor], Tensor]] = {
    "round": lambda centre: torch.trunc(centre + 0.5),
    "floor": torch.floor,
    "ceil": torch.ceil,
    "none": lambda centre: centre,
}


class Heatmap(Codec):
    """One Gaussian of peak 1 per joint. ``out`` is maps (B, K, h, w).

    The contract score is the peak over the least peak that a perfect target shows, the published one the peak.

    Args:
        stride: Input px per bin; 4 in all the papers' baselines.
        sigma: Standard deviation in bins; the papers take 1 up to 128x128, 2 at 256x192, 3 at 384x288.
        quantise: Draw around a whole bin: the nearest, ties upward (``round``, HRNet), or the one on one side
            (``floor``, ``ceil``); ``none`` draws around the exact position (DARK's unbiased encoding, eq. 12).
        grid: What is quantised: the position in ``bins`` or in input ``px``. The reproduction study of DARK takes the
            ceiling of the latter, and draws around the bin, fractional again, to which that belongs.
        truncate: Draw only within this many sigmas of the (rounded) centre; None draws the whole map.
        window: Around what is cut, and ``bounds=published`` decides: the centre as it is drawn (``exact``), or, though
            that is not a whole bin, the nearest one (``rounded``, UDP's code in mmpose).
        px_per_bin: Input px from one bin to the next when positions are decoded: those of the alignment (``exact``), or
            length / (bins - 1) from bin 0 on (``published``, mmpose's UDP). The latter undoes no encoding; it suits
            crops that are put back as mmpose does, the input's whole length over the whole box.
        criterion: `poserep.codecs.losses.MSE` or `OHKM`.
        **deviations: See `Deviations`. ``bounds=published`` keeps joints whose 3-sigma window touches the map (HRNet's
            code); the targets of the farthest ones are empty.
    """

    form = "map"

    def __init__(
        self,
        size: Size | str,
        stride: float = 4,
        sigma: float = 2.0,
        quantise: Quantise = "round",
        grid: Grid = "bins",
        truncate: float | None = 3.0,
        readouts: Mapping[str, Callable[[Tensor], Peaks]] | None = None,
        align: Align = "centre",
        criterion: Criterion | None = None,
        window: Window = "exact",
        px_per_bin: PxPerBin = "exact",
        **deviations: Any,
    ) -> None:
        name, size = type(self).__name__, Size.parse(size)
        if not stride > 0 or any(abs(side / stride - round(side / stride)) > 1e-6 for side in size):
            raise InputError(f"{name}: size {size} does not divide into bins of {stride:g} px")
        check_positive(f"{name}: sigma", sigma)
        if truncate is not None:
            check_positive(f"{name}: truncate", truncate)
        check_choice(f"{name}: quantise", quantise, QUANTISERS)
        check_choice(f"{name}: grid", grid, get_args(Grid))
        check_choice(f"{name}: window", window, get_args(Window))
        check_px_per_bin(name, px_per_bin, align)
        super().__init__(*axes(size, 1 / stride, align), readouts or {"argmax": Argmax()}, **deviations)
        self.sigma, self.truncate = float(sigma), truncate
        self.quantise, self.grid, self.window, self.px_per_bin = quantise, grid, window, px_per_bin
        self.criterion = criterion or MSE()

    def encode(self, xy: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Draw targets (B, K, h, w), float32, empty where the weight is 0; and weights (B, K)."""
        centre, weight = self.centres(xy, weight)
        gx, gy = self.profiles(centre, weight)
        return outer(gy, gx), weight

    def centres(self, xy: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Return where Gaussians are drawn, (B, K, 2) bins, and weights (B, K), 0 where there is nothing to learn."""
        centre = self.quantised(xy.float())
        published_rule = self.deviations.bounds == "published"
        weight = weight * (self._window_touches(centre) if published_rule else self.in_crop(xy.float()))
        # Masked joints may lie anywhere, at infinity too; their maps must still be made of numbers.
        return torch.where(weight[..., None] > 0, centre, 0.0), weight

    def quantised(self, xy: Tensor) -> Tensor:
        """Quantise points (B, K, 2) in input px, whether or not they count; returns (B, K, 2) bins."""
        quantise = QUANTISERS[self.quantise]
        if self.grid == "px":
            return self.to_bins(quantise(xy))
        centre = quantise(self.to_bins(xy))
        if self.quantise == "none" or self.deviations.bounds == "published":
            return centre
        # The end bins hold joints of the crop that lie beyond them.
        return centre.clamp_min(0).minimum(centre.new_tensor([self.x.n - 1, self.y.n - 1]))

    def profiles(self, centre: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Return the maps' factors along each axis, (B, K, w) and (B, K, h), whose product is the Gaussian."""
        gx, gy = (self._profile(centre[..., i], axis.n) for i, axis in enumerate((self.x, self.y)))
        return gx * (weight > 0)[..., None], gy

    def _profile(self, centre: Tensor, n: int) -> Tensor:
        # Tails end at 1e-17, so that products stay normal numbers: subnormal ones are slow to compute with.
        profile = gaussian(centre, n, self.sigma, tail=-40.0)
        if self.truncate is not None:
            distance = torch.arange(n, device=centre.device, dtype=centre.dtype) - self._middle(centre)[..., None]
            profile = profile * (distance.abs() <= self.truncate * self.sigma)
        return profile

    def _middle(self, centre: Tensor) -> Tensor:
        return QUANTISERS["round"](centre) if self.window == "rounded" else centre

    def _window_touches(self, centre: Tensor) -> Tensor:
        # The published code cuts the window's ends to integers, toward zero, before it compares.
        centre = self._middle(centre)
        limit = torch.tensor([self.x.n, self.y.n], device=centre.device)
        first, end = torch.trunc(centre - 3 * self.sigma), torch.trunc(centre + 3 * self.sigma + 1)
        return ((first < limit) & (end >= 0)).all(-1)

    def loss(self, out: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Compute the criterion, by default half the mean squared error."""
        return self.criterion(out.float(), target, weight)

    def decode(self, out: Tensor, readout: str | None = None) -> Points:
        """Read points in input px and scores from heatmaps (B, K, h, w)."""
        read = self.readout(readout)
        position, value = read(out.float())
        published = self.deviations.score == "published"
        perfect = 1.0 if getattr(read, "own_score", False) else self.least_peak
        return Points(self.to_px(position), value if published else self.contract_score(value / perfect))

    def to_px(self, position: Tensor) -> Tensor:
        """Convert (B, K, 2) bins to (B, K, 2) input px."""
        return super().to_px(position) if self.px_per_bin == "exact" else published_px(position, self.x, self.y)

    @cached_property
    def least_peak(self) -> float:
        """The lowest maximum that a perfect target of a joint inside the crop can have."""
        if self.quantise != "none" and self.grid == "bins":
            return 1.0
        # A position that is quantised in px ends up to one px farther out than it was.
        extra = {"none": 0.0, "round": 0.5}.get(self.quantise, 1.0)
        squares = sum((axis.reach() + extra / axis.px_per_bin()) ** 2 for axis in (self.x, self.y))
        return float(torch.tensor(-squares / (2 * self.sigma**2)).exp())

    def merge(self, out: Tensor, mirrored: Tensor, perm: Tensor) -> Tensor:
        """Average the maps after un-mirroring."""
        back = self.unmirror(mirrored, perm)
        return back.lerp(out, 0.5) if torch.is_grad_enabled() else back.lerp_(out, 0.5)

    def density(self, out: Tensor) -> dict[str, Tensor]:
        """Return the heatmaps, without negative values."""
        return {"map": out.float().clamp_min(0)}


def check_px_per_bin(name: str, px_per_bin: str, align: Align) -> None:
    """Raise an `InputError` with the codec's name if ``px_per_bin``, see `Heatmap`, is unknown or not for ``align``."""
    check_choice(f"{name}: px_per_bin", px_per_bin, get_args(PxPerBin))
    if px_per_bin == "published" and align != "edge":
        raise InputError(f"{name}: px_per_bin=published is UDP's, of align=edge, and means nothing under {align}")


def published_px(position: Tensor, x: Axis, y: Axis) -> Tensor:
    """Convert (..., 2) bins to input px by W / (w - 1), where targets are drawn by (W - 1) / (w - 1)."""
    return position * position.new_tensor([axis.length / (axis.n - 1) for axis in (x, y)])


class SRHeatmap(Heatmap):
    """Heatmap from a super-resolution head (Wang et al. 2023, SRPose), at input resolution by default.

    ``scale`` are bins per input px, the paper's k: 0.25 for common heatmaps. ``base_sigma`` is that of the stride-4
    heatmap of the same input, in its bins; sigma grows linearly with resolution (2 at stride 4 is 8 at full
    resolution). Other ``options`` are those of `Heatmap` but ``stride`` and ``sigma``.
    """

    def __init__(self, size: Size | str, scale: float = 1, base_sigma: float = 2.0, **options: Any) -> None:
        check_positive(f"{type(self).__name__}: scale", scale, " (bins per input px)")
        super().__init__(size, stride=1 / scale, sigma=base_sigma * 4 * scale, **options)


def outer(column: Tensor, row: Tensor) -> Tensor:
    """Multiply factors (B, K, h) and (B, K, w) to maps (B, K, h, w), without gradient."""
    shape, out = (*column.shape, row.shape[-1]), None
    if row.device.type == "cpu" and row.dtype == torch.float32:
        # NumPy asks the system for large pages; to fill in torch's small ones takes longer than the multiplication.
        out = torch.from_numpy(np.empty(shape, np.float32))
    return torch.mul(column[..., :, None], row[..., None, :], out=out)
