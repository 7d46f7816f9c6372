"""Ends a training that is asked to stop, so that it can go on from there."""

from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback

from poserep.runs.interrupt import StopRequest

# Steps between two agreements of several processes on whether to stop, at most.
AGREE = 8


class Stop(Callback):
    """Ends training when asked: after the running step it saves a checkpoint that says how far its epoch was.

    Asked in an epoch's last step, it stops before the next one. Asked during the evaluation that ends an epoch, nothing
    is saved, and that epoch is trained again; several processes end that evaluation first, and lose nothing.

    Args:
        request: Who asks.
        path: The checkpoint to resume from.
    """

    def __init__(self, request: StopRequest, path: Path) -> None:
        self.request, self.path = request, path
        self._within: dict[str, int] | None = None

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look whether to stop; the processes of a run stop after the same step."""
        if self.request.lost:
            self.request.check()
        steps = batch_idx + 1
        # In a short epoch there is an agreement too; at its last step the next epoch's beginning has it.
        often = min(AGREE, max(1, int(trainer.num_training_batches) // 2))
        if steps < trainer.num_training_batches and self._asked(trainer, steps % often == 0):
            self._within = {"epoch": trainer.current_epoch, "steps": steps}
            trainer.save_checkpoint(self.path)
            self.request.ask("another process was asked")
            self.request.check()

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Look whether to stop; the epoch before has been saved."""
        if self._asked(trainer, True):
            self.request.ask("another process was asked")
            self.request.check()

    def _asked(self, trainer: lightning.Trainer, agree: bool) -> bool:
        asked = bool(self.request.why)
        if trainer.world_size == 1:
            return asked
        return agree and bool(trainer.strategy.reduce_boolean_decision(asked, all=False))

    def on_validation_batch_end(self, trainer: lightning.Trainer, *_: Any, **__: Any) -> None:
        """Look whether to stop; what was trained has been saved, or was one epoch.

        Several processes go on to the end: the others would wait for what one that stops does not send.
        """
        if trainer.world_size == 1:
            self.request.check()

    def on_fit_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Lightning has put its own handlers of signals in place of ours."""
        self.request.catch_signals()

    def on_validation_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """As `on_fit_start`."""
        self.request.catch_signals()

    def on_save_checkpoint(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Say how far the epoch was; nothing in a checkpoint from an epoch's end."""
        if self._within:
            checkpoint["within"] = self._within
