"""The progress of training: speed, waiting for data, and a line per epoch."""

import time
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback

from poserep.training.module import PoseModule


class Progress(Callback):
    """Reports speed and the share of time spent waiting for data, in the bar, in the logs and as a line per epoch.

    Args:
        verbose: Print a line per epoch.
    """

    def __init__(self, verbose: bool = True) -> None:
        self.verbose = verbose
        self.images, self.waited, self.spent = 0, 0.0, 0.0
        self._epoch = [0, 0.0, 0.0]
        self._mark = 0.0

    def summary(self) -> dict[str, float]:
        """Return images per second and the share of time spent waiting for data, over the whole run."""
        spent = max(self.spent, 1e-9)
        return {"img_s": self.images / spent, "data_wait": self.waited / spent}

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Start the epoch's clock."""
        self._epoch = [0, 0.0, 0.0]
        self._mark = time.perf_counter()

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Count the time since the last step as waiting for data."""
        self._add(waiting=True)

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the step, and show the speed in the bar."""
        self._add(waiting=False)
        self._epoch[0] += len(batch.index) * trainer.world_size
        self.images += len(batch.index) * trainer.world_size
        images, waited, spent = self._epoch
        pl_module.log_dict(
            {"img_s": images / spent, "data_wait": waited / spent},
            prog_bar=True, logger=False, on_step=True, on_epoch=False, batch_size=1,
        )  # fmt: skip

    def tick(self) -> None:
        """Count the time since the last mark as computation."""
        self._add(waiting=False)

    def _add(self, waiting: bool) -> None:
        now = time.perf_counter()
        passed, self._mark = now - self._mark, now
        self.spent += passed
        self._epoch[2] += passed
        if waiting:
            self.waited += passed
            self._epoch[1] += passed

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Log the epoch's speed; print a line with loss, the chief metric of every readout, and speed."""
        images, waited, spent = self._epoch
        speed = {"speed/img_s": images / max(spent, 1e-9), "speed/data_wait": waited / max(spent, 1e-9)}
        pl_module.log_dict(speed, rank_zero_only=True)
        if self.verbose and trainer.is_global_zero:
            self._line(trainer, pl_module)

    def _line(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        assert isinstance(pl_module, PoseModule)
        images, waited, spent = self._epoch
        loss = trainer.callback_metrics.get("train/loss")
        chief = pl_module.scorer.columns[0]
        scored = [(n, s.scores.values[chief]) for by in pl_module.scored.values() for n, s in by.items()]
        values = ", ".join(f"{readout} {value:.1f}" for readout, value in scored)
        spent = max(spent, 1e-9)
        print(
            f"  epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
            + (f"  loss {float(loss):.3g}" if loss is not None else "")
            + (f"  {chief}_{pl_module.boxes[0]} {values}" if values else "")
            + f"  {images / spent:.0f} img/s  {waited / spent:.0%} waiting for data",
            flush=True,
        )
