"""Ends training when the chief metric has not become better for some epochs."""

from typing import Any

from lightning import Trainer
from lightning.pytorch.callbacks import Callback

from poserep.training.module import PoseModule


class EarlyStopping(Callback):
    """Ends training at the first validation that comes ``patience`` epochs or more after the best one.

    The chief metric is the scorer's first column, of the default readout with the first kind of boxes. The schedule of
    the learning rate stays that of all epochs. A run that is resumed after it has ended trains no more.
    """

    def __init__(self, patience: int) -> None:
        self.patience = patience
        # The best value so far, its epoch, and whether training has ended.
        self._best, self._epoch, self._ended = float("nan"), 0, False

    def on_validation_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Compare the metric with the best so far; no number is never the best."""
        assert isinstance(pl_module, PoseModule)
        chief, epoch = pl_module.scorer.columns[0], trainer.current_epoch
        value = pl_module.scored[pl_module.boxes[0]][pl_module.readouts[0]].scores.values[chief]
        sign = -1 if chief in pl_module.scorer.lower else 1
        if not sign * value <= sign * self._best and value == value:
            self._best, self._epoch = value, epoch
        self._ended = trainer.should_stop = epoch - self._epoch >= self.patience

    def on_fit_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Train no more if the checkpoint is that of the last epoch."""
        trainer.should_stop = self._ended

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {"best": self._best, "epoch": self._epoch, "ended": self._ended}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up what a checkpoint has kept."""
        self._best, self._epoch, self._ended = state_dict["best"], state_dict["epoch"], state_dict["ended"]
