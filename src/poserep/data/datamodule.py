"""Loaders for training and for evaluation with each kind of boxes."""

from collections.abc import Mapping

import cv2
import lightning
import torch
from torch.utils.data import DataLoader

from poserep.data.dataset import BlockSampler, EpochSampler, PoseDataset
from poserep.errors import InputError


def _one_thread(_: int) -> None:
    # Workers are the parallelism; OpenCV's and torch's own threads on top of them only fight for the cores.
    cv2.setNumThreads(0)
    torch.set_num_threads(1)


class PoseDataModule(lightning.LightningDataModule):
    """Batches for the trainer.

    Args:
        train: None where nothing is trained.
        evaluation: Data sets by the name of their boxes, ``gt`` and/or ``det``. Training is validated with the first,
            a trained network is tested with all, one loader each, in this order.
        batch: Training samples per step over all devices; evaluation takes as many on every device.
        seed: Of the order of training samples.
        workers: Loader processes per device.
        drop_last: Leave out the last training batch of an epoch if it is not full, unless it is the only one. The code
            of HRNet, DarkPose, SimCC and mmpose trains on it. On several devices those few persons that would give some
            of them more than others are left out in either case, see `EpochSampler`.
    """

    def __init__(
        self,
        train: PoseDataset | None,
        evaluation: Mapping[str, PoseDataset],
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

        Lightning makes the loader, whose workers fetch at once, before it restores a checkpoint and tells the sampler.
        """
        self._resumed = epoch, steps

    def per_device(self) -> int:
        """Samples per step on one device.

        Raises:
            InputError: If the batch does not divide by the number of devices.
        """
        _, world = self._ranks()
        if self.batch % world:
            raise InputError(f"trainer.batch={self.batch} does not divide by {world} devices")
        return self.batch // world

    def _ranks(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def train_dataloader(self) -> DataLoader:
        """Shuffled; see ``drop_last``."""
        assert self.train is not None
        batch = self.per_device()
        sampler = EpochSampler(len(self.train), self.seed, *self._ranks())
        epoch, steps = self._resumed
        sampler.resume(epoch, steps * batch)
        return self._loader(self.train, sampler, batch, self.drop_last and len(sampler) >= batch)

    def val_dataloader(self) -> list[DataLoader]:
        """Return the loader that training is validated with."""
        return self.test_dataloader()[:1]

    def test_dataloader(self) -> list[DataLoader]:
        """Return one loader for each kind of boxes."""
        return [
            self._loader(data, BlockSampler(len(data), self.batch, *self._ranks()), self.batch, False)
            for data in self.evaluation.values()
        ]

    def _loader(
        self, dataset: PoseDataset, sampler: EpochSampler | BlockSampler, batch: int, drop_last: bool
    ) -> DataLoader:
        return DataLoader(
            dataset,
            batch_size=batch,
            sampler=sampler,
            drop_last=drop_last,
            num_workers=self.workers,
            worker_init_fn=_one_thread,
            persistent_workers=self.workers > 0,
            pin_memory=torch.cuda.is_available(),
        )
