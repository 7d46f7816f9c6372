"""The dataset of bottom-up methods: whole images with all their people and what of them may be learnt."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, get_args

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from poserep.data.augment import Augment, CropRegion
from poserep.data.cache import ImageCache
from poserep.data.crop_reader import CropReader
from poserep.data.image_files import read_image
from poserep.data.scene_augment import SceneAugment
from poserep.data.scene_geometry import Centre, Rounding, padded_size, scene_region
from poserep.data.scene_table import SceneTable
from poserep.errors import InputError, check_choice
from poserep.geometry import Align, Crop, Size, crop_matrix
from poserep.instances import InstanceTable
from poserep.skeleton import Skeleton

# Nothing random: the middle of the image at the scale of evaluation.
UNCHANGED = SceneAugment((1.0, 1.0), rotation=0.0, translation=0.0, flip=0.0)


class SceneBatch(NamedTuple):
    """Whole images with all their people, the same for every representation.

    Attributes:
        image: (B, C, H, W) uint8, RGB (BGR if asked for); float32 for depths. Black beyond the photograph.
        xy: (B, P, K, 2) float32, input px; may lie outside the input; meaningless where ``weight`` is 0. P is 30, or
            the number of people of the fullest image if that is larger; rows of zeros fill up.
        weight: (B, P, K) float32, 0 for unlabelled joints and rows that fill up, else 1.
        mask: (B, H, W) bool, False where nothing may be learnt: on crowds, on people without labelled keypoints, and
            beyond the photograph.
        crop: Maps from image px to input px.
        index: (B,) int64, the image's id.
        others: The images at the other scales of a test, the largest first, each (B, C, h, w); empty in training and in
            tests at one scale.
    """

    image: Tensor
    xy: Tensor
    weight: Tensor
    mask: Tensor
    crop: Crop
    index: Tensor  # type: ignore[assignment]  # hides tuple.index, which nobody needs here
    others: list[Tensor]

    @property
    def labels(self) -> tuple[Tensor, Tensor, Tensor]:
        """What codecs encode: ``xy``, ``weight`` and ``mask``."""
        return self.xy, self.weight, self.mask

    @property
    def scales(self) -> tuple[Tensor, ...]:
        """The images at each scale that is predicted at."""
        return self.image, *self.others


class SceneDataset(Dataset):
    """Whole images with all their people. An item (epoch, index) depends on the seed and these two numbers alone.

    Training inputs have one size and show a random region; those of evaluation are as large as `padded_size` says, so
    that only those of one of the `groups` can share a batch.

    Args:
        scenes: The images and their people.
        skeleton: Their joints, for mirroring.
        size: Size of training inputs, whose shorter side is that of evaluation inputs at scale 1.
        align: Alignment of the inputs, see `crop_matrix`.
        augment: None for evaluation. One for persons is refused, unless it does nothing, which shows the middle of the
            image at the scale of evaluation.
        seed: Seed of the run.
        read: Reads images, see `CropReader`, as ``bgr`` and ``cache``.
        bgr: Channels in the order of OpenCV.
        cache: Keeps decoded photographs.
        multiple: The sides of evaluation inputs are multiples of this, px.
        scales: Scales of a test; of several one is 1, and all are multiples of the smallest.
        centre: Where the image lies in an evaluation input, see `scene_region`.
        rounding: How its longer side is rounded, see `padded_size`.
        mirror_px: Joints and mask of mirrored training images move by so many input px, 0 to stay on the picture. The
            published code mirrors labels on the map, x -> R - 1 - x, and the picture on the input, so that under
            ``align=corner`` labels lie 1 - stride px beside it: -3 at stride 4, where the map has R = W / 4 columns.
            (Of maps of two strides, as HigherHRNet's, each has its own there; here all have one.)

    Options that do not go together raise an `InputError`.
    """

    def __init__(
        self,
        scenes: SceneTable,
        skeleton: Skeleton,
        size: Size,
        align: Align = "centre",
        augment: SceneAugment | Augment | None = None,
        seed: int = 0,
        read: Callable[[Path], np.ndarray] = read_image,
        bgr: bool = False,
        cache: ImageCache | None = None,
        multiple: int = 64,
        scales: Sequence[float] = (1.0,),
        centre: Centre = "exact",
        rounding: Rounding = "exact",
        mirror_px: float = 0.0,
    ) -> None:
        if isinstance(augment, Augment):
            if augment != Augment():
                raise InputError("whole images need an augmentation of their own, not one for persons: augment=scenes")
            augment = UNCHANGED
        if type(multiple) is not int or multiple < 1:
            raise InputError(f"representation.scenes.multiple={multiple} is not a whole number of px of at least 1")
        if min(size) % multiple:
            raise InputError(
                f"input_size={size}: its shorter side is that of evaluation, whose sides are multiples of "
                f"representation.scenes.multiple={multiple} px; take a multiple of it"
            )
        check_choice("representation.scenes.centre", centre, get_args(Centre))
        check_choice("representation.scenes.rounding", rounding, get_args(Rounding))
        self.scenes, self.size, self.align, self.augment, self.seed = scenes, size, align, augment, seed
        self.multiple, self.scales, self.centre, self.rounding = multiple, _ordered(scales), centre, rounding
        self.bgr, self.mirror_px = bgr, mirror_px
        self.crops = CropReader(read, bgr, cache, augment.pixels if augment else ())
        self.perm = skeleton.flip_perm().numpy()

    def __len__(self) -> int:
        return len(self.scenes)

    @property
    def instances(self) -> InstanceTable:
        """The persons of all images, image by image."""
        return self.scenes.persons

    def paths(self) -> list[Path]:
        """Return the image file of each item."""
        return [self.scenes.path(index) for index in range(len(self))]

    def sizes(self, index: int) -> list[Size]:
        """Return the sizes of an image's evaluation inputs: at scale 1, or the only one, then those of ``others``."""
        width, height = self.scenes.size[index].tolist()
        least = min(self.scales)
        return [
            padded_size(width, height, min(self.size), self.multiple, scale, least, self.rounding)
            for scale in self.scales
        ]

    def groups(self) -> list[np.ndarray]:
        """Return the items that can share a batch: in evaluation those of equal sizes, in training all."""
        if self.augment:
            return [np.arange(len(self))]
        # Sizes at other scales are multiples of these.
        sizes = np.array([self.sizes(index)[0] for index in range(len(self))])
        unique, group = np.unique(sizes, axis=0, return_inverse=True)
        return [np.flatnonzero(group == number) for number in range(len(unique))]

    def __getitem__(self, item: tuple[int, int]) -> SceneBatch:
        epoch, index = item
        path, rng = self.scenes.path(index), np.random.default_rng((self.seed, epoch, index))
        views = self._views(index, rng)
        matrices = [crop_matrix(r.centre, r.extent, size, self.align, r.rotation, r.flip) for size, r in views]
        image = self.crops.read(path) if len(views) > 1 else self.crops.image(path)
        inputs = [
            self.crops.crop(path, matrix, size, rng, image) for matrix, (size, _) in zip(matrices, views, strict=True)
        ]
        (size, region), (matrix, *_) = views[0], matrices
        labelling = matrix.copy()
        labelling[0, 2] += self.mirror_px * region.flip
        mask = cv2.warpAffine(self.scenes.learnable(index), labelling, size[::-1], flags=cv2.INTER_LINEAR) > 127
        xy, weight = self._rows(index, labelling, region.flip)
        return SceneBatch(
            inputs[0],
            torch.from_numpy(xy),
            torch.from_numpy(weight),
            torch.from_numpy(mask),
            Crop(torch.from_numpy(matrix)),
            torch.tensor(int(self.scenes.image_id[index])),
            inputs[1:],
        )

    def _views(self, index: int, rng: np.random.Generator) -> list[tuple[Size, CropRegion]]:
        width, height = self.scenes.size[index].tolist()
        if self.augment:
            return [(self.size, self.augment.region(rng, width, height, self.size, self.align))]
        sizes = self.sizes(index)
        return [(size, scene_region(width, height, size, self.align, self.centre)) for size in sizes]

    def _rows(self, index: int, matrix: np.ndarray, flip: bool) -> tuple[np.ndarray, np.ndarray]:
        """Return keypoints (P, K, 2), input px, and weights (P, K) of an image's people, filled up with zeros."""
        keypoints, labelled = self.scenes.labels(index)
        if flip:
            keypoints, labelled = keypoints[:, self.perm], labelled[:, self.perm]
        xy = np.zeros((self.scenes.rows, *keypoints.shape[1:]), np.float32)
        weight = np.zeros(xy.shape[:2], np.float32)
        xy[: len(keypoints)] = keypoints @ matrix[:, :2].T + matrix[:, 2]
        weight[: len(keypoints)] = labelled
        return xy, weight


def _ordered(scales: Sequence[float]) -> list[float]:
    """Return the scales of a test, 1 before the others, which descend; refuse those that do not go together."""
    try:
        given = [float(scale) for scale in scales]
    except (TypeError, ValueError):
        given = []
    if not given or not all(0 < scale < float("inf") for scale in given) or len(set(given)) < len(given):
        raise InputError(f"representation.scenes.scales={scales} are not different numbers above 0, as in [2, 1, 0.5]")
    if len(given) > 1 and 1 not in given:
        raise InputError(f"representation.scenes.scales={given} lack 1, whose tags group the people: add it")
    if any((ratio := scale / min(given)) != round(ratio) for scale in given):
        raise InputError(
            f"representation.scenes.scales={given} are no multiples of the smallest, so that inputs would not divide "
            "by representation.scenes.multiple; take such as [2, 1, 0.5]"
        )
    return sorted(given, key=lambda scale: (scale != 1, -scale))
