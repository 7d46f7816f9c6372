"""Ends a training that is asked to stop, as by SIGTERM or SIGUSR1, with a checkpoint to continue from."""

import signal
import threading
from pathlib import Path
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from poserep.runs.stop_request import SIGNALS, StopRequest

# Steps, at most, between two agreements of several processes on whether to stop.
AGREE = 8


class CheckpointOnStop(Callback):
    """Ends training on request: after the running step it saves a checkpoint that records the steps of its epoch.

    A request during an epoch's last step stops before the next epoch. A request during the evaluation that ends an
    epoch saves nothing, and that epoch is trained again; several processes end that evaluation first and lose nothing.
    """

    def __init__(self, request: StopRequest, path: Path) -> None:
        self.request, self.path = request, path
        self._within: dict[str, int] | None = None

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop if asked; all processes of a run stop after the same step."""
        if self.request.lost:
            self.request.check()
        steps = batch_idx + 1
        # Short epochs have an agreement too; after the last step the next epoch begins with one.
        often = min(AGREE, max(1, int(trainer.num_training_batches) // 2))
        if steps < trainer.num_training_batches and self._asked(trainer, steps % often == 0):
            self._within = {"epoch": trainer.current_epoch, "steps": steps}
            trainer.save_checkpoint(self.path)
            self.request.check()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop if asked; the epoch before has been saved."""
        if self._asked(trainer, True):
            self.request.check()

    def _asked(self, trainer: Trainer, agree: bool) -> bool:
        asked = bool(self.request.why)
        if trainer.world_size == 1:
            return asked
        asked = agree and bool(trainer.strategy.reduce_boolean_decision(asked, all=False))
        if asked:
            self.request.ask("another process was asked")
        return asked

    def on_validation_batch_end(self, trainer: Trainer, *_: Any, **__: Any) -> None:
        """Stop if asked; what was trained has been saved, or was one epoch.

        Several processes continue to the end: the others would wait for what a stopped one does not send.
        """
        if trainer.world_size == 1:
            self.request.check()

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restore our signal handlers, which Lightning has replaced by its own."""
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                signal.signal(number, self.request.on_signal)

    # The evaluation after training is Lightning's test.
    on_validation_start = on_test_start = on_fit_start
    on_test_batch_end = on_validation_batch_end

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Record the steps of the epoch; a checkpoint from an epoch's end has no such record."""
        if self._within:
            checkpoint["within"] = self._within
