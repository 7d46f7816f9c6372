"""UDP's combined representation: a disc around every joint, and in it the way to the joint."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from poserep.codecs.base import Points
from poserep.codecs.dark import Border, blur, gaussian_kernel
from poserep.codecs.heatmap import Heatmap
from poserep.codecs.losses import Criterion
from poserep.codecs.readouts import peak
from poserep.errors import InputError, check_choice, check_odd, check_positive
from poserep.geometry import Align, Size

# Positions (B, K, 2) in bins, x first; the class maps there, and the blurred class maps there, (B, K).
OffsetPeaks = tuple[Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class PeakOffset:
    """Readout: the maximum of the blurred class map, moved by the offset predicted there (Huang et al. 2020, UDP).

    Offsets are not blurred.

    Attributes:
        kernel: Width of the blur in bins, odd, with OpenCV's standard deviation; 1 is no blur. None takes 6.5 radii of
            the disc, which gives mmpose's widths, 23 at 256x192 and 35 at 384x288.
        border: What the blur takes to lie beyond the map: ``zero``, or ``reflect``, its mirror image about the outer
            bins, as in mmpose. A disc that ends just short of the border then adds up with its image, so that the
            maximum is on the border, outside the disc, where offsets have not been learnt.
    """

    kernel: int | None = None
    border: Border = "zero"

    def __post_init__(self) -> None:
        if self.kernel is not None:
            check_odd("PeakOffset: kernel", self.kernel, ", or null for 6.5 radii")
        check_choice("PeakOffset: border", self.border, get_args(Border))

    def __call__(self, maps: Tensor, radius: float) -> OffsetPeaks:
        """Read positions in bins from maps (B, K, 3, h, w) whose offsets are in units of ``radius`` bins."""
        xy, smooth = peak(self._blurred(maps[:, :, 0], radius))
        index = (xy[..., 1] * maps.shape[-1] + xy[..., 0])[..., None, None]
        there = maps.flatten(3).gather(-1, index.expand(*maps.shape[:3], 1))[..., 0]
        return xy + radius * there[..., 1:], there[..., 0], smooth

    def _blurred(self, disc: Tensor, radius: float) -> Tensor:
        kernel = 2 * round(3.25 * radius) + 1 if self.kernel is None else self.kernel
        weight, (h, w) = gaussian_kernel(kernel), disc.shape[-2:]
        if self.border == "zero" or kernel == 1:
            return blur(disc, weight)
        margin = kernel // 2
        if margin >= min(h, w):
            raise InputError(
                f"PeakOffset: maps of {h}x{w} bins are too small to be reflected for kernel={kernel}; take a smaller "
                "kernel, or border=zero"
            )
        padded = F.pad(disc, (margin,) * 4, mode="reflect")
        return blur(padded, weight)[..., margin : margin + h, margin : margin + w]


class UDPCombined(Heatmap):
    """Class map and offsets (Huang et al. 2020, UDP; the fields of G-RMI, Papandreou et al. 2017, with UDP's geometry).

    ``out`` is (B, K, 3, h, w): a disc that is 1 up to ``radius`` from the joint and 0 elsewhere, and the way from each
    bin to the joint along x and along y, in units of the radius. Offsets are learnt inside the disc alone; from any of
    its bins they lead to the joint exactly. UDP's alignment is ``edge``; any other is as exact.

    The contract score is the class map's value where it is read, which a perfect target has at 1; the published one is
    the maximum of the blurred class map. ``bounds=published`` learns every labelled joint, those far outside by empty
    discs. Otherwise the disc of a joint of the crop holds the nearest bin, even if that is farther than the radius.

    Args:
        stride: Input px per bin; 4 as published.
        radius: Radius of the disc as a share of the map's longer side: 3.5 bins at 256x192, 5.25 at 384x288.
        criterion: Of class maps, and of offsets inside the disc; these three are added. Half a mean squared error as
            published.
        px_per_bin: See `Heatmap`.
        **deviations: See `Deviations`.
    """

    form = "map with offsets"

    def __init__(
        self,
        size: Size | str,
        stride: float = 4,
        radius: float = 0.0546875,
        readouts: Mapping[str, Callable[..., Any]] | None = None,
        align: Align = "centre",
        criterion: Criterion | None = None,
        **options: Any,
    ) -> None:
        check_positive("UDPCombined: radius", radius, ", a share of the map's longer side")
        readouts = readouts or {"offset": PeakOffset()}
        super().__init__(size, stride, 1.0, "none", "bins", None, readouts, align, criterion, **options)
        # Discs have no standard deviation.
        del self.sigma
        self.radius = radius * max(self.x.n, self.y.n)

    def encode(self, xy: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Draw targets (B, K, 3, h, w), float32, zero where the weight is 0; and weights (B, K).

        Offsets fill the whole map, though they are learnt inside the disc.
        """
        published = self.deviations.bounds == "published"
        xy = xy.float()
        weight = weight * (xy.isfinite().all(-1) if published else self.in_crop(xy))
        centre = torch.where(weight[..., None] > 0, self.to_bins(xy), 0.0)
        bins = [torch.arange(axis.n, device=xy.device, dtype=centre.dtype) for axis in (self.x, self.y)]
        dx, dy = (centre[..., i, None] - bin_ for i, bin_ in enumerate(bins))
        squares = dy.square()[..., :, None] + dx.square()[..., None, :]
        reach = torch.full_like(weight, self.radius**2, dtype=centre.dtype)
        if not published:
            reach = torch.maximum(reach, squares.amin((-2, -1)))
        disc = (squares <= reach[..., None, None]).to(centre.dtype)
        offset_x, offset_y = dx[..., None, :].expand_as(disc), dy[..., :, None].expand_as(disc)
        target = torch.stack([disc, offset_x / self.radius, offset_y / self.radius], 2)
        return target * (weight > 0)[..., None, None, None], weight

    def loss(self, out: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Add the criterion of the class maps and those of both offsets inside the disc."""
        counted = target[:, :, :1].expand_as(target).clone()
        counted[:, :, 0] = 1
        # The criterion averages over the three kinds of maps.
        return 3 * self.criterion(out.float() * counted, target * counted, weight)

    def decode(self, out: Tensor, readout: str | None = None) -> Points:
        """Read points in input px and scores from maps (B, K, 3, h, w)."""
        position, share, smooth = self.readout(readout)(out.float(), self.radius)
        published = self.deviations.score == "published"
        return Points(self.to_px(position), smooth if published else self.contract_score(share))

    def unmirror(self, maps: Tensor, perm: Tensor) -> Tensor:
        """Turn an output (B, K, 3, h, w) for the mirrored image into one for the image: its x offsets point back."""
        return super().unmirror(maps, perm) * maps.new_tensor([1, -1, 1])[:, None, None]

    def density(self, out: Tensor) -> dict[str, Tensor]:
        """Return the class maps, without negative values."""
        return super().density(out[:, :, 0])
