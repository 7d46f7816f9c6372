"""Instances to samples: read, crop, augment. The same for every data set and representation."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from poserep.batch import Batch
from poserep.data.augment import Augment, View
from poserep.data.instances import Instance
from poserep.errors import InputError
from poserep.geometry import Align, Crop, Size, box_to_region, crop_matrix
from poserep.skeleton import Skeleton


def read_image(path: Path) -> np.ndarray:
    """Decode an image to (H, W, 3) uint8, RGB; the EXIF orientation is ignored, as annotations do.

    Raises:
        InputError: If the file is missing, is no image, or is cut short.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"image {path} cannot be read ({error.strerror}); check data.root and the file names"
        ) from error
    # OpenCV fills what is missing of a JPEG with grey and says nothing; a whole file has its end mark behind the
    # start of its last scan.
    if data[:2] == b"\xff\xd8" and data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda"):
        raise InputError(f"image {path} is cut short ({len(data)} bytes, no end mark); copy it again")
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    image = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    if image is None:
        raise InputError(f"image {path} is not a readable image ({len(data)} bytes)")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


class PoseDataset(Dataset):
    """Crops of persons. Items are asked for by (epoch, index), on which alone their augmentation depends.

    Args:
        instances: See `Instance`.
        skeleton: For mirroring and half bodies.
        size: Of the network's input.
        align: See `crop_matrix`.
        augment: None for evaluation.
        padding: Of the box, see `box_to_region`.
        seed: Of the run.
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
    ) -> None:
        self.instances, self.size, self.align = instances, size, align
        self.augment, self.padding, self.seed = augment, padding, seed
        self.perm, self.upper = skeleton.flip_perm().numpy(), skeleton.upper_mask()
        self.recolour = augment.recolour() if augment else None

    def __len__(self) -> int:
        return len(self.instances)

    def __getitem__(self, item: tuple[int, int]) -> Batch:
        epoch, index = item
        instance = self.instances[index]
        rng = np.random.default_rng((self.seed, epoch, index))
        view = View(*box_to_region(instance.box, self.size, self.align, self.padding))
        if self.augment:
            view = self.augment.view(rng, view, instance.keypoints, instance.weight, self.upper, self.size)
        matrix = crop_matrix(view.centre, view.extent, self.size, self.align, view.rotation, view.flip)
        image = read_image(instance.image)
        crop = cv2.warpAffine(image, matrix, (self.size.width, self.size.height), flags=cv2.INTER_LINEAR)
        if self.recolour:
            self.recolour.set_random_seed(int(rng.integers(2**31)))
            crop = self.recolour(image=crop)["image"]
        xy, weight = instance.keypoints, instance.weight
        if view.flip:
            xy, weight = xy[self.perm], weight[self.perm]
        xy = (xy @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
        inside = ((xy >= -0.5) & (xy < np.array([self.size.width, self.size.height]) - 0.5)).all(1)
        return Batch(
            torch.from_numpy(np.ascontiguousarray(crop.transpose(2, 0, 1))),
            torch.from_numpy(xy),
            torch.from_numpy((weight * inside).astype(np.float32)),
            Crop(torch.from_numpy(matrix)),
            torch.tensor(index),
        )


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

    def set_epoch(self, epoch: int) -> None:
        """Called by the trainer before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.length // self.world

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = np.random.default_rng((self.seed, self.epoch)).permutation(self.length)
        for index in order[self.rank :: self.world][: len(self)]:
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
