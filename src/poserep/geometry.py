"""Sizes, axes and crops: where a pixel is, in the image, in the network's input and in a representation's bins.

A pixel's centre has integer coordinates: an axis of ``n`` pixels covers [-0.5, n - 0.5). Points are (x, y).
Everything that the field hard-codes about alignment (half pixels, minus ones, flip shifts) follows from `Axis`.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction
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
        """Read ``HxW``.

        Raises:
            InputError: If the text is not two positive integers joined by ``x``.
        """
        found = re.fullmatch(r"(\d+)x(\d+)", str(text))
        if not found or "0" in found.groups():
            raise InputError(f"{text!r} is not a size: write height x width in pixels, for example 256x192")
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.height}x{self.width}"


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
        """Input px to fractional bins, any shape."""
        if self.align == "centre":
            return (x + 0.5) * (self.n / self.length) - 0.5
        if self.align == "corner":
            return x * (self.n / self.length)
        if self.align == "edge":
            return x * ((self.n - 1) / (self.length - 1))
        return x * self._scale() + self._first()

    def to_px(self, i: Tensor) -> Tensor:
        """Fractional bins to input px, any shape; the inverse of `to_bin`."""
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

    def flip_shift(self) -> float:
        """Bins by which the un-mirrored response to a mirrored image lies too far to the right.

        n / length - 1 under ``corner`` (-0.75 at stride 4, k - 1 for SimCC), 0 under the others.
        """
        return self.n / self.length - 1 if self.align == "corner" else 0.0

    def mirror_shifts(self) -> tuple[int, int]:
        """How an axis is mirrored exactly: whole px and whole bins, both to the right.

        Under ``corner`` the response to a mirrored image lies `flip_shift` bins off, often a part of a bin, which no
        map can be moved by without blurring it. But images move by whole px without loss, and a px is n / length
        bins: the mirrored image moves by ``px``, then its un-mirrored response by ``bins``, and all bins coincide.
        Of all such pairs this one moves least content out of sight. (-3, 0) at stride 4, (0, 1 - k) for a whole
        number k of bins a px, (1, 1) for k = 1.5; (0, 0) under the other alignments.
        """
        if self.align != "corner":
            return 0, 0
        per_px = Fraction(self.n, self.length)
        offsets = {px: (1 - px) * per_px - 1 for px in range(1 - per_px.denominator, per_px.denominator + 1)}
        exact = {px: -int(offset) for px, offset in offsets.items() if offset.denominator == 1}
        px = min(exact, key=lambda px: (abs(px) + abs(exact[px]) / per_px, abs(px)))
        return px, exact[px]

    def px_per_bin(self) -> float:
        """Input px between two neighbouring bins."""
        if self.align == "dark":
            return 1 / self._scale()
        return (self.length - 1) / (self.n - 1) if self.align == "edge" else self.length / self.n

    def reach(self) -> float:
        """The greatest distance, in bins, of a point inside the crop from its nearest bin.

        0.5 everywhere but at the ends, where bins can stop short of the last pixel.
        """
        low, high = (float(self.to_bin(end)) for end in (-0.5, self.length - 0.5))  # type: ignore[arg-type]
        return max(0.5, -low, high - (self.n - 1))

    def contains(self, x: Tensor) -> Tensor:
        """Whether x (input px) lies on the axis, [-0.5, length - 0.5)."""
        return (x >= -0.5) & (x < self.length - 0.5)


class Crop(NamedTuple):
    """Affine maps from image px to input px, one per sample.

    ``matrix`` is (B, 2, 3), float64, so that a point survives the way there and back.
    """

    matrix: Tensor

    def to_input(self, xy: Tensor) -> Tensor:
        """Image px (B, K, 2) to input px (B, K, 2)."""
        m = self.matrix
        return (xy.to(m.dtype) @ m[:, :, :2].mT + m[:, None, :, 2]).to(xy.dtype)

    def to_image(self, xy: Tensor) -> Tensor:
        """Input px (B, K, 2) to image px (B, K, 2)."""
        m = self.matrix
        return ((xy.to(m.dtype) - m[:, None, :, 2]) @ m[:, :, :2].inverse().mT).to(xy.dtype)


def box_to_region(
    box: np.ndarray, size: Size, align: Align = "centre", padding: float = 1.25, inclusive: bool | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The region of the image around a box that fills an input of ``size`` without distortion.

    The shorter side grows until the region has the input's aspect ratio; then both grow by ``padding``
    (1.25 in HRNet, SimCC, DARK and SRPose).

    Args:
        box: (..., 4) x, y, width, height in image px.
        size: Of the network's input.
        align: Of the crop.
        padding: Factor on both sides.
        inclusive: Whether a box ends with the pixel x + w - 1 and its centre is x + (w - 1) / 2, as for DarkPose; else
            the centre is x + w / 2. None: True under ``dark``, as in DarkPose's code, and under ``edge``.

    Returns:
        centre (..., 2) and extent (..., 2), the region's width and height, in image px, float64.
    """
    box = np.asarray(box, dtype=np.float64)
    wh = box[..., 2:]
    counted = align in BETWEEN_CENTRES if inclusive is None else inclusive
    centre = box[..., :2] + (wh - 1 if counted else wh) / 2
    return centre, fit_aspect(wh, size) * padding


def fit_aspect(wh: np.ndarray, size: Size) -> np.ndarray:
    """The smallest width and height (..., 2) that cover ``wh`` (..., 2) and have the input's aspect ratio."""
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
    """Affine map from image px to input px: scale, rotate about the region's centre, mirror.

    The scale follows the region's width alone, so crops are never anisotropic. The centre goes to the middle of the
    input's pixels, (W - 1) / 2, and to W / 2 under ``corner`` (HRNet); ``edge`` and ``dark`` also measure lengths
    between the outer pixels' centres (DarkPose).

    Args:
        centre: (..., 2) image px.
        extent: (..., 2) width and height in image px.
        size: Of the network's input.
        align: See above.
        rotation: (...) degrees; a positive angle turns the content anticlockwise on the screen.
        flip: (...) mirror the input, x -> W - 1 - x.

    Returns:
        (..., 2, 3) float64.
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
    mirror = np.where(np.asarray(flip)[..., None], -matrix[..., 0, :], matrix[..., 0, :])
    mirror[..., 2] += np.where(flip, size.width - 1, 0)
    matrix[..., 0, :] = mirror
    return matrix


def shift_bins(maps: Tensor, bins: float) -> Tensor:
    """Move the content of (..., n) along its last axis by ``bins`` (positive: to the right).

    Whole bins are moved exactly; parts of a bin by linear interpolation; the first and last values are repeated.
    """
    whole = math.floor(bins)
    first = _shift_whole(maps, whole)
    return first.lerp(_shift_whole(maps, whole + 1), bins - whole) if bins != whole else first


def _shift_whole(maps: Tensor, bins: int) -> Tensor:
    if bins == 0:
        return maps
    n = maps.shape[-1]
    bins = max(-n, min(n, bins))
    moved = maps.new_empty(maps.shape)
    if bins > 0:
        moved[..., bins:] = maps[..., : n - bins]
        moved[..., :bins] = maps[..., :1]
    else:
        moved[..., : n + bins] = maps[..., -bins:]
        moved[..., n + bins :] = maps[..., -1:]
    return moved


def mirror_image(image: Tensor, px: int = 0) -> Tensor:
    """Mirror (..., H, W) left to right, then move it by ``px`` to the right, black where nothing is known."""
    mirrored = image.flip(-1)
    if px == 0:
        return mirrored
    width = image.shape[-1]
    moved = mirrored.new_zeros(mirrored.shape)
    moved[..., max(0, px) : width + min(0, px)] = mirrored[..., max(0, -px) : width - max(0, px)]
    return moved
