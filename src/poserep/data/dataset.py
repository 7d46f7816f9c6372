"""The dataset: instances to crops with keypoints; decodes, augments and warps. Knows no representation."""

from collections.abc import Callable, Sequence
from math import ceil, floor
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from poserep.data.augment import Augment, CropRegion
from poserep.data.cache import ImageCache
from poserep.data.image_files import PhotographReader, read_bytes, read_image
from poserep.errors import InputError
from poserep.geometry import Align, Crop, Size, box_to_region, crop_matrix, fit_aspect
from poserep.instances import Instance, InstanceTable
from poserep.skeleton import Skeleton

# Stands for the epoch where something is drawn once for all epochs.
NO_EPOCH = 2**32 - 1


class Batch(NamedTuple):
    """Crops with their keypoints, the same for every representation.

    Attributes:
        image: (B, C, H, W) uint8, RGB (BGR if asked for); float32 for depths.
        xy: (B, K, 2) float32, input px; may lie outside the crop; meaningless where ``weight`` is 0.
        weight: (B, K) float32, 0 for unlabelled joints, else 1. Codecs decide which labelled joints are learnt.
        crop: Maps from image px to input px.
        index: (B,) int64, position in the data set's list of instances.
    """

    image: Tensor
    xy: Tensor
    weight: Tensor
    crop: Crop
    index: Tensor  # type: ignore[assignment]  # hides tuple.index, which nobody needs here

    @property
    def labels(self) -> tuple[Tensor, ...]:
        """What codecs encode."""
        return self.xy, self.weight

    @property
    def scales(self) -> tuple[Tensor, ...]:
        """The images at each scale that is predicted at, here one."""
        return (self.image,)


class PoseDataset(Dataset):
    """Crops of persons. An item (epoch, index) depends on the seed and these two numbers alone.

    Args:
        instances: Persons; kept as an `InstanceTable`.
        skeleton: Their joints, for mirroring and half bodies.
        size: Size of the network's input.
        align: Alignment of the crop, see `crop_matrix`.
        augment: None for evaluation.
        padding: Factor on the box, see `box_to_region`.
        seed: Seed of the run.
        read: Reads a path to (H, W, 3) uint8, RGB, or to (H, W) float32, which becomes an input of one float channel.
            Of photographs (`PhotographReader`) only the rows that a crop needs are decoded.
        bgr: Channels in the order of OpenCV, as published ResNets and Hourglasses were trained (``COLOR_RGB: false``).
        whole: Crop the whole image instead of the person's box; an image of the input's size stays as it is.
        inclusive: Whether boxes end with their last pixel, see `box_to_region`.
        cache: Keeps decoded photographs; None decodes them each time.

    Options that do not go together raise an `InputError`, as do instances that `InstanceTable` refuses.
    """

    def __init__(
        self,
        instances: Sequence[Instance],
        skeleton: Skeleton,
        size: Size,
        align: Align = "centre",
        augment: Augment | None = None,
        padding: float = 1.25,
        seed: int = 0,
        read: Callable[[Path], np.ndarray] = read_image,
        bgr: bool = False,
        whole: bool = False,
        inclusive: bool | None = None,
        cache: ImageCache | None = None,
    ) -> None:
        self.instances, self.size, self.align = InstanceTable.of(instances), size, align
        self.augment, self.padding, self.seed = augment, padding, seed
        self.read, self.bgr, self.whole, self.inclusive, self.cache = read, bgr, whole, inclusive, cache
        # A region that is the whole image can only be computed once the image has been read.
        self.read_first = whole or not isinstance(read, PhotographReader)
        if cache and self.read_first:
            raise InputError("the cache holds photographs of which persons are cut out; set trainer.cache=null")
        if not isinstance(read, PhotographReader) and (bgr or (augment and augment.pixels)):
            raise InputError("images are no photographs: set data.crop.bgr=false and an augmentation without pixels")
        self.perm, self.upper = skeleton.flip_perm().numpy(), skeleton.upper_mask()
        self.recolour = augment.recolour() if augment else None

    def __len__(self) -> int:
        return len(self.instances)

    def groups(self) -> list[np.ndarray]:
        """Return the items by the size of their images, which is that of all crops."""
        return [np.arange(len(self))]

    def __getitem__(self, item: tuple[int, int]) -> Batch:
        epoch, index = item
        table, path = self.instances, self.instances.path(index)
        xy, weight = table.keypoints[index], table.weight[index]
        rng = np.random.default_rng((self.seed, epoch, index))
        image = self.read(path) if self.read_first else None
        region = self._region(index, image, rng)
        if self.augment:
            region = self.augment.region(rng, region, xy, weight, self.upper, self.size)
        matrix = crop_matrix(region.centre, region.extent, self.size, self.align, region.rotation, region.flip)
        crop = self._crop(path, image, matrix)
        if self.recolour:
            self.recolour.set_random_seed(int(rng.integers(2**31)))
            crop = self.recolour(image=crop)["image"]
        if region.flip:
            xy, weight = xy[self.perm], weight[self.perm]
        xy = (xy @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
        return Batch(
            torch.from_numpy(self._planes(crop)),
            torch.from_numpy(xy),
            torch.tensor(weight),  # a copy, as the table's own row is shared by all epochs
            Crop(torch.from_numpy(matrix)),
            torch.tensor(index),
        )

    def _region(self, index: int, image: np.ndarray | None, rng: np.random.Generator) -> CropRegion:
        if self.whole and image is not None:
            wh = np.array(image.shape[1::-1], np.float64)
            return CropRegion(wh / 2 if self.align == "corner" else (wh - 1) / 2, fit_aspect(wh, self.size))
        box = self.instances.box[index]
        if self.augment:
            once = self.augment.jitter_once
            box = self.augment.move(np.random.default_rng((self.seed, NO_EPOCH, index)) if once else rng, box)
        return CropRegion(*box_to_region(box, self.size, self.align, self.padding, self.inclusive))

    def _crop(self, path: Path, image: np.ndarray | None, matrix: np.ndarray) -> np.ndarray:
        """Return the (H, W, 3) or (H, W) crop, black beyond the image.

        It is warped from exactly the pixels that it shows, whether they come from the file or from the cache.
        """
        left, top, right, bottom = visible_pixels(matrix, self.size)
        above = 0
        if image is None and self.cache:
            image, above = self.cache.rows(path, top, bottom)
        elif image is None:
            assert isinstance(self.read, PhotographReader)
            image = self.read.decode(read_bytes(path), path, bottom)
        pixels = image[max(top - above, 0) : max(bottom - above, 0), left:right]
        if not pixels.size:
            return np.zeros((*self.size, *image.shape[2:]), image.dtype)
        moved = matrix.copy()
        moved[:, 2] += left * matrix[:, 0] + top * matrix[:, 1]
        # Interpolated depths would lie between two surfaces.
        flags = cv2.INTER_LINEAR if image.ndim == 3 else cv2.INTER_NEAREST
        return cv2.warpAffine(pixels, moved, (self.size.width, self.size.height), flags=flags)

    def _planes(self, crop: np.ndarray) -> np.ndarray:
        if crop.ndim == 2:
            return crop[None]
        planes = np.empty((3, *self.size), crop.dtype)
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
