"""The order of samples on one or several devices, and the batches of training and evaluation."""

import signal
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import cv2
import lightning
import numpy as np
import torch
from lightning.fabric.utilities import move_data_to_device
from torch.utils.data import BatchSampler, DataLoader, Sampler

from poserep.data.dataset import Batch, PoseDataset
from poserep.data.scenes import SceneDataset
from poserep.errors import InputError
from poserep.geometry import Crop


class EpochSampler(Sampler[Any]):
    """Yields shuffled (epoch, index) pairs: workers know the epoch, so that augmentation needs no state.

    Ranks take every ``world``-th entry of one common order: with equal total batch a step sees the same samples
    whatever the number of ranks. The few that would give some ranks more than others are left out of the epoch.

    The first ``epoch`` is one of which this rank has seen the first ``done`` samples; its length stays.
    """

    def __init__(
        self, length: int, seed: int = 0, rank: int = 0, world: int = 1, epoch: int = 0, done: int = 0
    ) -> None:
        self.length, self.seed, self.rank, self.world = length, seed, rank, world
        self.epoch, self._done = epoch, (epoch, done)

    def set_epoch(self, epoch: int) -> None:
        """Begin an epoch; the trainer calls it before each."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.length // self.world

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = np.random.default_rng((self.seed, self.epoch)).permutation(self.length)
        epoch, done = self._done
        for index in order[self.rank :: self.world][done if self.epoch == epoch else 0 : len(self)]:
            yield self.epoch, int(index)


def evaluation_batches(
    groups: Iterable[np.ndarray], batch: int, rank: int = 0, world: int = 1
) -> list[list[tuple[int, int]]]:
    """Return the batches of a rank, (0, index) pairs; each is of one group and the same whatever the number of ranks.

    A network's output for a sample can differ in the last bits with the size of its batch; with the same batches every
    number of ranks predicts the same bytes. Ranks with one batch less repeat the first batch, whose predictions are
    dropped by index. ``groups`` are the positions of samples whose images have one size.
    """
    blocks = [group[start : start + batch].tolist() for group in groups for start in range(0, len(group), batch)]
    own = blocks[rank::world]
    if len(own) < len(blocks[::world]):
        own.append(blocks[0])
    return [[(0, index) for index in block] for block in own]


def _begin_worker(_: int) -> None:
    # Job systems ask all processes of a run to stop: the trainer needs its batches for a last step and a checkpoint.
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    # The workers are the parallelism: threads of OpenCV and torch would only compete for the same cores.
    cv2.setNumThreads(0)
    torch.set_num_threads(1)


class PoseDataModule(lightning.LightningDataModule):
    """The batches of a run.

    Args:
        train: Training set; None for evaluation alone.
        evaluation: Evaluation sets by their boxes, ``gt`` and/or ``det``, or ``scene``. The first one validates
            training; a test takes all, with one loader each, in this order.
        batch: Training samples per step over all devices; evaluation takes as many on every device.
        seed: Seed of the order of training samples.
        workers: Loader processes per device.
        drop_last: Leave out the last training batch of an epoch if it is not full, unless it is the only one. The code
            of HRNet, DarkPose, SimCC and mmpose trains on it. On several devices `EpochSampler` leaves out a few
            samples in either case.
    """

    def __init__(
        self,
        train: PoseDataset | SceneDataset | None,
        evaluation: Mapping[str, PoseDataset | SceneDataset],
        batch: int,
        seed: int,
        workers: int,
        drop_last: bool = True,
    ) -> None:
        super().__init__()
        self.train, self.evaluation = train, dict(evaluation)
        self._resumed = 0, 0
        self.batch, self.seed, self.workers, self.drop_last = batch, seed, workers, drop_last

    def resume(self, epoch: int, steps: int) -> None:
        """Start training in an epoch of which some steps are done.

        The sampler must know them before Lightning restores a checkpoint, as the loader's workers fetch as soon as it
        is made.
        """
        self._resumed = epoch, steps

    def per_device(self) -> int:
        """Return the training samples per step on one device, or raise an `InputError` if they are no whole number."""
        world = self._ranks()[1]
        if self.batch % world:
            raise InputError(f"trainer.batch={self.batch} does not divide by {world} devices; take a multiple of it")
        return self.batch // world

    def _ranks(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def train_dataloader(self) -> DataLoader:
        """Return the loader of training, shuffled."""
        assert self.train is not None
        batch, (epoch, steps) = self.per_device(), self._resumed
        sampler = EpochSampler(len(self.train), self.seed, *self._ranks(), epoch, steps * batch)
        return self._loader(self.train, BatchSampler(sampler, batch, self.drop_last and len(sampler) >= batch))

    def val_dataloader(self) -> list[DataLoader]:
        """Return the loader that validates training."""
        return self.test_dataloader()[:1]

    def test_dataloader(self) -> list[DataLoader]:
        """Return one loader for each kind of boxes."""
        return [
            self._loader(data, evaluation_batches(data.groups(), self.batch, *self._ranks()))
            for data in self.evaluation.values()
        ]

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Move a batch to a device; Apple's GPUs have no float64, and the matrices of crops stay where they are."""
        if device.type != "mps":
            return super().transfer_batch_to_device(batch, device, dataloader_idx)
        crop = batch.crop
        moved: Batch = move_data_to_device(batch._replace(crop=Crop(torch.empty(0))), device)
        return moved._replace(crop=crop)

    def on_exception(self, exception: BaseException) -> None:
        """End the loader processes of training, too, if validation fails; Lightning ends those of the running loop."""
        if self.trainer:
            self.trainer.fit_loop.teardown()

    def _loader(self, dataset: PoseDataset | SceneDataset, batches: Iterable[list[Any]]) -> DataLoader:
        return DataLoader(
            dataset,
            batch_sampler=batches,
            num_workers=self.workers,
            worker_init_fn=_begin_worker,
            persistent_workers=self.workers > 0,
            pin_memory=torch.cuda.is_available(),
        )
