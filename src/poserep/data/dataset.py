"""The dataset: instances to crops with keypoints; decodes, augments and warps. Knows no representation."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from poserep.data.augment import Augment, CropRegion
from poserep.data.cache import ImageCache
from poserep.data.crop_reader import CropReader
from poserep.data.image_files import read_image
from poserep.data.scene_augment import SceneAugment
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
        """What codecs encode: ``xy`` and ``weight``."""
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
        read: Reads images, see `CropReader`, as ``bgr`` and ``cache``.
        bgr: Channels in the order of OpenCV.
        whole: Crop the whole image instead of the person's box; an image of the input's size stays as it is.
        inclusive: Whether boxes end with their last pixel, see `box_to_region`.
        cache: Keeps decoded photographs.

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
        if isinstance(augment, SceneAugment):
            raise InputError("augment=scenes is for whole images, not for crops of persons; take augment=hrnet or none")
        self.bgr, self.whole, self.inclusive = bgr, whole, inclusive
        # A region that is the whole image can only be computed once the image has been read.
        self.crops = CropReader(read, bgr, cache, augment.pixels if augment else (), whole)
        self.perm, self.upper = skeleton.flip_perm().numpy(), skeleton.upper_mask()

    def __len__(self) -> int:
        return len(self.instances)

    def paths(self) -> list[Path]:
        """Return the image file of each item."""
        return [self.instances.path(index) for index in range(len(self))]

    def groups(self) -> list[np.ndarray]:
        """Return the items that can share a batch in evaluation: all, as crops have one size."""
        return [np.arange(len(self))]

    def __getitem__(self, item: tuple[int, int]) -> Batch:
        epoch, index = item
        table, path = self.instances, self.instances.path(index)
        xy, weight = table.keypoints[index], table.weight[index]
        rng = np.random.default_rng((self.seed, epoch, index))
        image = self.crops.image(path)
        region = self._region(index, image, rng)
        if self.augment:
            region = self.augment.region(rng, region, xy, weight, self.upper, self.size)
        matrix = crop_matrix(region.centre, region.extent, self.size, self.align, region.rotation, region.flip)
        crop = self.crops.crop(path, matrix, self.size, rng, image)
        if region.flip:
            xy, weight = xy[self.perm], weight[self.perm]
        xy = (xy @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
        return Batch(
            crop,
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
