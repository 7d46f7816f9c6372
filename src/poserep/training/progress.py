"""The progress of training: speed, waiting for data, and a line per epoch."""

import time
from typing import Any

import lightning
import numpy as np
from lightning.pytorch.callbacks import Callback

from poserep.training.module import PoseModule


class Progress(Callback):
    """Reports speed and waiting for data in the bar, in the logs and, if ``verbose``, as a line per epoch."""

    def __init__(self, verbose: bool = True) -> None:
        self.verbose = verbose
        # Images, seconds spent waiting for data, and seconds: of the run, and of the run before this epoch.
        self.totals, self._before = np.zeros(3), np.zeros(3)
        self._mark = 0.0

    def summary(self) -> dict[str, float]:
        """Return images per second and the share of time spent waiting for data, over the whole run."""
        return _speed(self.totals)

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Start the epoch's clock."""
        self._before = self.totals.copy()
        self._mark = time.perf_counter()

    # An epoch that is resumed within has no start of its own.
    on_train_start = on_train_epoch_start

    def on_train_batch_start(self, *_: Any, **__: Any) -> None:
        """Count the time since the last step as waiting for data."""
        self.tick(waiting=True)

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the step, and show the speed in the bar."""
        self.tick(images=len(batch.index) * trainer.world_size)
        speed = _speed(self.totals - self._before)
        pl_module.log_dict(speed, prog_bar=True, logger=False, on_step=True, on_epoch=False, batch_size=1)

    def state_dict(self) -> dict[str, Any]:
        """Return the counts of the run so far, for its checkpoint."""
        return {"totals": self.totals.tolist()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Add the counts of the processes that trained before this one."""
        self.totals = np.array(state_dict["totals"])

    def tick(self, waiting: bool = False, images: int = 0) -> None:
        """Count images, and the time since the last call as waiting for data or as computation."""
        now = time.perf_counter()
        passed, self._mark = now - self._mark, now
        self.totals += (images, passed if waiting else 0.0, passed)

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Log the epoch's loss and speed; print a line with both and the chief metric of every readout."""
        speed, loss = _speed(self.totals - self._before), trainer.callback_metrics.get("train/loss")
        values = {f"speed/{name}": value for name, value in speed.items()}
        values |= {"train/loss": float(loss)} if loss is not None else {}
        for logger in trainer.loggers:
            # At once, as Lightning's own logging follows the checkpoint: a run that is killed between lost the line.
            logger.log_metrics({**values, "epoch": trainer.current_epoch}, trainer.global_step - 1)
        if not (self.verbose and trainer.is_global_zero):
            return
        assert isinstance(pl_module, PoseModule)
        chief = pl_module.scorer.columns[0]
        scored = [(n, s.scores.values[chief]) for by in pl_module.scored.values() for n, s in by.items()]
        metrics = ", ".join(f"{readout} {value:.1f}" for readout, value in scored)
        print(
            f"  epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
            + (f"  loss {float(loss):.3g}" if loss is not None else "")
            + (f"  {chief}_{pl_module.boxes[0]} {metrics}" if metrics else "")
            + f"  {speed['img_s']:.0f} img/s  {speed['data_wait']:.0%} waiting for data",
            flush=True,
        )


def _speed(counts: np.ndarray) -> dict[str, float]:
    images, waited, spent = counts.tolist()
    return {"img_s": images / max(spent, 1e-9), "data_wait": waited / max(spent, 1e-9)}
