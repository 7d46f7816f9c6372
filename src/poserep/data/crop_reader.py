"""Crops of image files: decoded as far as they show, from the file or from the cache, warped and recoloured."""

from collections.abc import Callable, Sequence
from math import ceil, floor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from poserep.data.augment import recolouring
from poserep.data.cache import ImageCache
from poserep.data.image_files import PhotographReader, read_bytes
from poserep.errors import InputError
from poserep.geometry import Size


class CropReader:
    """Cuts crops out of images, black beyond them.

    Args:
        read: Reads a path to (H, W, 3) uint8, RGB, or to (H, W) float32, which becomes an input of one float channel.
            Of photographs (`PhotographReader`) only the rows that a crop needs are decoded.
        bgr: Channels in the order of OpenCV, as published ResNets and Hourglasses were trained (``COLOR_RGB: false``).
        cache: Keeps decoded photographs; None decodes them each time.
        pixels: Albumentations transforms of colour and occlusion.
        whole: Whether regions follow from the image itself, so that all of it must have been read.

    Options that do not go together raise an `InputError`.
    """

    def __init__(
        self,
        read: Callable[[Path], np.ndarray],
        bgr: bool = False,
        cache: ImageCache | None = None,
        pixels: Sequence[Any] = (),
        whole: bool = False,
    ) -> None:
        self.read, self.bgr, self.cache = read, bgr, cache
        self.read_first = whole or not isinstance(read, PhotographReader)
        if cache and self.read_first:
            raise InputError("the cache holds photographs of which persons are cut out; set trainer.cache=null")
        if not isinstance(read, PhotographReader) and (bgr or pixels):
            raise InputError("images are no photographs: set data.crop.bgr=false and an augmentation without pixels")
        self.recolour = recolouring(pixels)

    def image(self, path: Path) -> np.ndarray | None:
        """Return the whole image if it must be read before a crop is chosen, else None."""
        return self.read(path) if self.read_first else None

    def crop(
        self, path: Path, matrix: np.ndarray, size: Size, rng: np.random.Generator, image: np.ndarray | None = None
    ) -> Tensor:
        """Return the crop of an image as (C, H, W); ``matrix`` (2, 3) leads from image px to its px.

        ``image`` is the whole image if it has been read. The transforms of pixels draw from ``rng``.
        """
        crop = self._warped(path, matrix, size, image)
        if self.recolour:
            self.recolour.set_random_seed(int(rng.integers(2**31)))
            crop = self.recolour(image=crop)["image"]
        return torch.from_numpy(self._planes(crop))

    def _warped(self, path: Path, matrix: np.ndarray, size: Size, image: np.ndarray | None) -> np.ndarray:
        """Return the (H, W, 3) or (H, W) crop.

        It is warped from exactly the pixels that it shows, whether they come from the file or from the cache.
        """
        left, top, right, bottom = visible_pixels(matrix, size)
        above = 0
        if image is None and self.cache:
            image, above = self.cache.rows(path, top, bottom)
        elif image is None:
            assert isinstance(self.read, PhotographReader)
            image = self.read.decode(read_bytes(path), path, bottom)
        pixels = image[max(top - above, 0) : max(bottom - above, 0), left:right]
        if not pixels.size:
            return np.zeros((*size, *image.shape[2:]), image.dtype)
        moved = matrix.copy()
        moved[:, 2] += left * matrix[:, 0] + top * matrix[:, 1]
        # Interpolated depths would lie between two surfaces.
        flags = cv2.INTER_LINEAR if image.ndim == 3 else cv2.INTER_NEAREST
        return cv2.warpAffine(pixels, moved, (size.width, size.height), flags=flags)

    def _planes(self, crop: np.ndarray) -> np.ndarray:
        if crop.ndim == 2:
            return crop[None]
        planes = np.empty((3, *crop.shape[:2]), crop.dtype)
        cv2.split(crop, list(planes[::-1] if self.bgr else planes))
        return planes


def visible_pixels(matrix: np.ndarray, size: Size) -> tuple[int, int, int, int]:
    """Return the pixels of an image that a crop is interpolated from: left, top, right, bottom (exclusive), >= 0.

    The crop has ``size``, and ``matrix`` (2, 3) leads from image px to its px.
    """
    (a, b, x), (c, d, y) = cv2.invertAffineTransform(matrix).tolist()
    right_by, down_by = (a * (size.width - 1), c * (size.width - 1)), (b * (size.height - 1), d * (size.height - 1))
    # From the crop's first corner along both its sides; one px for the neighbour, one for OpenCV's rounding.
    sides = zip((x, y), right_by, down_by, strict=True)
    spans = [(at + min(p, 0) + min(q, 0), at + max(p, 0) + max(q, 0)) for at, p, q in sides]
    (left, right), (top, bottom) = [(max(0, floor(low) - 1), max(0, ceil(high) + 3)) for low, high in spans]
    return left, top, right, bottom
