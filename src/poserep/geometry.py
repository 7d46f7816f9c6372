"""Sizes, axes and crops: where a pixel is, in the image, in the network's input and in a representation's bins.

A pixel's centre has integer coordinates: an axis of ``n`` pixels covers [-0.5, n - 0.5). Points are (x, y).
Everything that the field hard-codes about alignment (half pixels, minus ones, flip shifts) follows from `Axis`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, NamedTuple, Self

import numpy as np

from poserep.errors import InputError

if TYPE_CHECKING:
    # Whoever needs sizes alone starts without torch.
    from torch import Tensor

Align = Literal["centre", "corner", "edge", "dark"]
ALIGNMENTS: tuple[Align, ...] = ("centre", "corner", "edge", "dark")
# Alignments under which lengths are measured between the centres of the outer pixels, in crops too.
BETWEEN_CENTRES: tuple[Align, ...] = ("edge", "dark")


class Size(NamedTuple):
    """Height and width in pixels, written ``256x192``."""

    height: int
    width: int

    @classmethod
    def parse(cls, text: str | Size) -> Self:
        """Read a size written ``HxW``."""
        sides = re.fullmatch(r"(\d+)x(\d+)", str(text))
        if not sides or "0" in sides.groups():
            raise InputError(f"{text!r} is not a size: write height x width in pixels, for example 256x192")
        return cls(int(sides[1]), int(sides[2]))

    def __str__(self) -> str:
        return f"{self.height}x{self.width}"


class BySize(NamedTuple):
    """Widths that the papers take at an input size, in bins: ``${by_size:heatmap_sigma}`` in a representation's file.

    They are the standard deviations of heatmaps of stride 4 and of SimCC's labels, and the width of DARK's blur.
    """

    heatmap_sigma: float
    simcc_sigma: float
    dark_kernel: int


# By the longer side, which is one of these in the papers; other inputs take those of the nearest, the larger of two.
PUBLISHED = {128: BySize(1.0, 4.0, 3), 256: BySize(2.0, 6.0, 11), 384: BySize(3.0, 6.0, 11)}
# By the size itself: the published reproduction of DARK takes a sigma of 2 % of the diagonal, 7.16 px; Sapiens 6 bins.
SINGLE_SIZES = {"160x320": BySize(1.79, 6.0, 5), "1024x768": BySize(6.0, 6.0, 11)}


def by_size(input_size: str) -> BySize:
    """Return the widths for an input size, ``HxW``; the smallest for what is not a size, as codecs refuse it."""
    longer = max((int(side) for side in re.findall(r"\d+", input_size)), default=0)
    return SINGLE_SIZES.get(input_size) or PUBLISHED[min(PUBLISHED, key=lambda side: (abs(side - longer), -side))]


class Axis(NamedTuple):
    """One spatial axis of ``length`` input px, cut into ``n`` bins.

    ``align`` says where bins sit (x in input px, bins counted from 0):

    - ``centre``: bin = (x + 0.5) n / length - 0.5. Exact: bin ``i`` is the mean position of the pixels it covers.
    - ``corner``: bin = x n / length, as in the code of HRNet, SimCC and SRPose.
    - ``edge``: bin = x (n - 1) / (length - 1): the outer bins lie on the outer pixels, as UDP lays them.
    - ``dark``: bin = (x - (length - 1) / 2) per_px + (n - 1) / 2 with the horizontal axis' per_px = (w - 1) / (W - 1)
      on both axes, as in the code of DarkPose, TokenPose and TransPose. It equals ``edge`` horizontally, and
      vertically if the input is square; otherwise the outer bins lie a fraction of a bin off the outer pixels.

    ``per_px`` is that number of bins per px, which ``dark`` alone needs.
    """

    length: int
    n: int
    align: Align = "centre"
    per_px: float | None = None

    def to_bin(self, x: Tensor) -> Tensor:
        """Convert input px to fractional bins, any shape."""
        if self.align == "centre":
            return (x + 0.5) * (self.n / self.length) - 0.5
        if self.align == "corner":
            return x * (self.n / self.length)
        if self.align == "edge":
            return x * ((self.n - 1) / (self.length - 1))
        return x * self._scale() + self._first()

    def to_px(self, i: Tensor) -> Tensor:
        """Convert fractional bins to input px, any shape; the inverse of `to_bin`."""
        if self.align == "centre":
            return (i + 0.5) * (self.length / self.n) - 0.5
        if self.align == "corner":
            return i * (self.length / self.n)
        if self.align == "edge":
            return i * ((self.length - 1) / (self.n - 1))
        return (i - self._first()) / self._scale()

    def _scale(self) -> float:
        if self.per_px is None:
            raise InputError("an axis of align=dark needs per_px, the bins per px of the input's horizontal axis")
        return self.per_px

    def _first(self) -> float:
        # The bin of the first pixel under `dark`: the middles of pixels and of bins coincide.
        return ((self.n - 1) - (self.length - 1) * self._scale()) / 2

    def px_per_bin(self) -> float:
        """Return the input px between two neighbouring bins."""
        if self.align == "dark":
            return 1 / self._scale()
        return (self.length - 1) / (self.n - 1) if self.align == "edge" else self.length / self.n

    def reach(self) -> float:
        """Return the greatest distance, in bins, of a point of the crop from its nearest bin, at least 0.5."""
        low, high = (float(self.to_bin(end)) for end in (-0.5, self.length - 0.5))  # type: ignore[arg-type]
        return max(0.5, -low, high - (self.n - 1))

    def contains(self, x: Tensor) -> Tensor:
        """Return whether x (input px) lies on the axis, [-0.5, length - 0.5)."""
        return (x >= -0.5) & (x < self.length - 0.5)


class Crop(NamedTuple):
    """Affine maps (B, 2, 3) from image px to input px, float64, so that a point survives the way there and back.

    They may be on another device than the points, as Apple's GPUs have no float64.
    """

    matrix: Tensor

    def to_input(self, xy: Tensor) -> Tensor:
        """Convert image px (B, K, 2) to input px (B, K, 2), of the type and on the device that they have."""
        m = self.matrix
        return (xy.to(m.device).to(m.dtype) @ m[:, :, :2].mT + m[:, None, :, 2]).to(xy.dtype).to(xy.device)

    def to_image(self, xy: Tensor) -> Tensor:
        """Convert input px (B, K, 2) to image px (B, K, 2), of the type and on the device that they have."""
        m = self.matrix
        points = xy.to(m.device).to(m.dtype)
        return ((points - m[:, None, :, 2]) @ m[:, :, :2].inverse().mT).to(xy.dtype).to(xy.device)


def box_to_region(
    box: np.ndarray, size: Size, align: Align = "centre", padding: float = 1.25, inclusive: bool | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the region of the image around a box that fills a network's input of ``size`` without distortion.

    A box is (..., 4) x, y, width, height in image px. Its shorter side grows until the region has the input's aspect
    ratio; then both grow by the factor ``padding`` (1.25 in HRNet, SimCC, DARK and SRPose). An ``inclusive`` box ends
    with the pixel x + w - 1, so that its centre is x + (w - 1) / 2 and not x + w / 2; None: under ``dark``, as in
    DarkPose's code, and under ``edge``.

    Returns:
        centre (..., 2) and extent (..., 2), the region's width and height, in image px, float64.
    """
    box = np.asarray(box, dtype=np.float64)
    wh, to_last_pixel = box[..., 2:], align in BETWEEN_CENTRES if inclusive is None else inclusive
    centre = box[..., :2] + (wh - 1 if to_last_pixel else wh) / 2
    return centre, fit_aspect(wh, size) * padding


def fit_aspect(wh: np.ndarray, size: Size) -> np.ndarray:
    """Return the smallest width and height (..., 2) with the input's aspect ratio that cover ``wh`` (..., 2)."""
    ratio = size.width / size.height
    width = np.maximum(wh[..., 0], wh[..., 1] * ratio)
    return np.stack([width, width / ratio], axis=-1)


def crop_matrix(
    centre: np.ndarray,
    extent: np.ndarray,
    size: Size,
    align: Align = "centre",
    rotation: float | np.ndarray = 0.0,
    flip: bool | np.ndarray = False,
) -> np.ndarray:
    """Return the affine map from image px to input px: scale, rotate about the region's centre, mirror.

    The scale follows the region's width alone, so crops are never anisotropic. The centre goes to the middle of the
    input's pixels, (W - 1) / 2, and to W / 2 under ``corner`` (HRNet); ``edge`` and ``dark`` also measure lengths
    between the outer pixels' centres (DarkPose).

    Centres and extents (..., 2) are in image px, rotations (...) in degrees, anticlockwise on the screen; ``flip``
    (...) mirrors the input, x -> W - 1 - x. Returns (..., 2, 3) float64.
    """
    centre, extent = np.asarray(centre, np.float64), np.asarray(extent, np.float64)
    scale = (size.width - 1) / (extent[..., 0] - 1) if align in BETWEEN_CENTRES else size.width / extent[..., 0]
    offset = 0.0 if align == "corner" else 1.0
    middle = np.array([(size.width - offset) / 2, (size.height - offset) / 2])
    angle = np.deg2rad(np.asarray(rotation, np.float64))
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    linear = np.stack([np.stack([cos, sin], -1), np.stack([-sin, cos], -1)], -2)
    shift = middle - (linear @ centre[..., None])[..., 0]
    matrix = np.concatenate([linear, shift[..., None]], -1)
    matrix[..., 0, :] *= np.where(flip, -1, 1)[..., None]
    matrix[..., 0, 2] += np.where(flip, size.width - 1, 0)
    return matrix
