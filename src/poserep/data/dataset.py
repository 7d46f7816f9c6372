"""Instances to samples: read, crop, augment. The same for every data set and representation."""

from collections.abc import Callable, Iterator, Sequence
from math import ceil, floor
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from poserep.batch import Batch
from poserep.data.augment import Augment, View
from poserep.data.cache import ImageCache
from poserep.data.images import decode, read_bytes, read_image
from poserep.errors import InputError
from poserep.geometry import Align, Crop, Size, box_to_region, crop_matrix, fit_aspect
from poserep.instances import Instance, InstanceTable
from poserep.skeleton import Skeleton

# In the place of the epoch for what is drawn once for all of them.
NO_EPOCH = 2**32 - 1


class PoseDataset(Dataset):
    """Crops of persons. Items are asked for by (epoch, index), on which alone their augmentation depends.

    Args:
        instances: See `Instance`; kept as an `InstanceTable`.
        skeleton: For mirroring and half bodies.
        size: Of the network's input.
        align: See `crop_matrix`.
        augment: None for evaluation.
        padding: Of the box, see `box_to_region`.
        seed: Of the run.
        read: Path to (H, W, 3) uint8, RGB, or (H, W) float32, which becomes an input of one float channel. Of what
            `read_image` reads, only the rows that a crop needs are decoded.
        bgr: Channels in the order of OpenCV, as published ResNets and Hourglasses were trained (``COLOR_RGB: false``).
        whole: The region is the whole image in place of the person's; an image of the input's size stays as it is.
        inclusive: See `box_to_region`.
        cache: Where decoded images are kept; None to decode anew.

    Raises:
        InputError: If there are no instances, their keypoints differ in number, or there is a cache for images that
            it cannot hold.
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
        # The size of an image has to be known before a region can be the whole of it.
        self.at_once = whole or read is not read_image
        if cache and self.at_once:
            raise InputError("the cache holds photographs of which persons are cut out; set trainer.cache=null")
        if read is not read_image and (bgr or (augment and augment.pixels)):
            raise InputError(
                "these images are no photographs: set data.crop.bgr=false, and an augmentation without pixels"
            )
        self.perm, self.upper = skeleton.flip_perm().numpy(), skeleton.upper_mask()
        self.recolour = augment.recolour() if augment else None

    def __len__(self) -> int:
        return len(self.instances)

    def __getitem__(self, item: tuple[int, int]) -> Batch:
        epoch, index = item
        table, path = self.instances, self.instances.path(index)
        xy, weight = table.keypoints[index], table.weight[index]
        rng = np.random.default_rng((self.seed, epoch, index))
        image = self.read(path) if self.at_once else None
        view = self._region(index, image, rng)
        if self.augment:
            view = self.augment.view(rng, view, xy, weight, self.upper, self.size)
        matrix = crop_matrix(view.centre, view.extent, self.size, self.align, view.rotation, view.flip)
        crop = self._crop(path, image, matrix)
        if self.recolour:
            self.recolour.set_random_seed(int(rng.integers(2**31)))
            crop = self.recolour(image=crop)["image"]
        if view.flip:
            xy, weight = xy[self.perm], weight[self.perm]
        xy = (xy @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
        return Batch(
            torch.from_numpy(self._planes(crop)),
            torch.from_numpy(xy),
            torch.tensor(weight),  # a copy: the table's own row is shared by all epochs
            Crop(torch.from_numpy(matrix)),
            torch.tensor(index),
        )

    def _region(self, index: int, image: np.ndarray | None, rng: np.random.Generator) -> View:
        if self.whole and image is not None:
            wh = np.array(image.shape[1::-1], np.float64)
            return View(wh / 2 if self.align == "corner" else (wh - 1) / 2, fit_aspect(wh, self.size))
        box = self.instances.box[index]
        if self.augment:
            once = self.augment.jitter_once
            box = self.augment.move(np.random.default_rng((self.seed, NO_EPOCH, index)) if once else rng, box)
        return View(*box_to_region(box, self.size, self.align, self.padding, self.inclusive))

    def _crop(self, path: Path, image: np.ndarray | None, matrix: np.ndarray) -> np.ndarray:
        """The (H, W, 3) or (H, W) crop, black beyond the image.

        It is warped from the same pixels wherever they come from: those that it shows, and no others.
        """
        left, top, right, bottom = seen(matrix, self.size)
        above = 0
        if image is None and self.cache:
            image, above = self.cache.rows(path, top, bottom)
        elif image is None:
            image = decode(read_bytes(path), path, bottom)
        pixels = image[max(top - above, 0) : max(bottom - above, 0), left:right]
        if not pixels.size:
            return np.zeros((*self.size, *image.shape[2:]), image.dtype)
        moved = matrix.copy()
        moved[:, 2] += left * matrix[:, 0] + top * matrix[:, 1]
        # Between a depth and another, or none, there is no surface.
        between = cv2.INTER_LINEAR if image.ndim == 3 else cv2.INTER_NEAREST
        return cv2.warpAffine(pixels, moved, (self.size.width, self.size.height), flags=between)

    def _planes(self, crop: np.ndarray) -> np.ndarray:
        if crop.ndim == 2:
            return crop[None]
        planes = np.empty((3, *self.size), crop.dtype)
        cv2.split(crop, list(planes[::-1] if self.bgr else planes))
        return planes


def seen(matrix: np.ndarray, size: Size) -> tuple[int, int, int, int]:
    """The pixels of an image that a crop's are interpolated from: left, top, right and bottom (exclusive), from 0 on.

    Args:
        matrix: (2, 3), image px to input px.
        size: Of the input.
    """
    (a, b, x), (c, d, y) = cv2.invertAffineTransform(matrix).tolist()
    right_by, down_by = (a * (size.width - 1), c * (size.width - 1)), (b * (size.height - 1), d * (size.height - 1))
    # From the first corner of the crop along both its sides. One px for the neighbour, one for OpenCV's rounding.
    sides = zip((x, y), right_by, down_by, strict=True)
    spans = [(at + min(p, 0) + min(q, 0), at + max(p, 0) + max(q, 0)) for at, p, q in sides]
    (left, right), (top, bottom) = [(max(0, floor(low) - 1), max(0, ceil(high) + 3)) for low, high in spans]
    return left, top, right, bottom


class EpochSampler(Sampler[tuple[int, int]]):
    """Shuffled (epoch, index) pairs, so that workers know the epoch and a sample's augmentation needs no state.

    Ranks take every ``world``-th entry of one common order: with equal total batch a step sees the same samples
    whatever the number of ranks. The few that would give some ranks more than others are left out of the epoch.

    Args:
        length: Of the data set.
        seed: Of the order.
        rank: Of this process.
        world: Number of processes.
    """

    def __init__(self, length: int, seed: int = 0, rank: int = 0, world: int = 1) -> None:
        self.length, self.seed, self.rank, self.world = length, seed, rank, world
        self.epoch = 0
        self._done = (-1, 0)

    def resume(self, epoch: int, done: int) -> None:
        """Begin with this epoch, of which this rank has seen the first ``done`` samples; its length stays."""
        self.epoch, self._done = epoch, (epoch, done)

    def set_epoch(self, epoch: int) -> None:
        """Called by the trainer before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.length // self.world

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = np.random.default_rng((self.seed, self.epoch)).permutation(self.length)
        epoch, done = self._done
        for index in order[self.rank :: self.world][done if self.epoch == epoch else 0 : len(self)]:
            yield self.epoch, int(index)


class BlockSampler(Sampler[tuple[int, int]]):
    """(0, index) pairs in order, in whole batches that are the same whatever the number of ranks.

    What a network emits for a sample can differ in the last bits with the size of its batch; with the same batches
    every number of ranks predicts the same bytes. Ranks with a batch less than others repeat the first batch, which
    metrics drop by index.

    Args:
        length: Of the data set.
        batch: Samples in a batch of one device.
        rank: Of this process.
        world: Number of processes.
    """

    def __init__(self, length: int, batch: int, rank: int = 0, world: int = 1) -> None:
        blocks = [range(start, min(start + batch, length)) for start in range(0, length, batch)]
        own = blocks[rank::world]
        if len(own) < len(blocks[::world]):
            own.append(blocks[0])
        self.indices = [index for block in own for index in block]

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return ((0, index) for index in self.indices)
