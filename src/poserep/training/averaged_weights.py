"""Averages the weights over the steps of training; the averages are what is evaluated and kept."""

from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor

# The entry of a checkpoint with the weights that training continues from, as `state_dict` has the averages.
TRAINED = "trained_state_dict"


class AveragedWeights(Callback):
    """Keeps an exponential moving average of the weights, and of the statistics of batch norms.

    After step n the average moves by 1 - min(``decay``, (1 + n) / (10 + n)) towards the weights, so that it soon
    forgets those that training began with. Validation, the evaluation after training and ``state_dict`` of every
    checkpoint have the averages. Integer entries, as counts of batches, are those of the last step.
    """

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self._average: dict[str, Tensor] = {}

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin with the weights as they are, unless a checkpoint has given averages."""
        self._average = self._average or {key: value.clone() for key, value in pl_module.state_dict().items()}

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Move the averages towards the weights."""
        n, now = trainer.global_step, pl_module.state_dict()
        floating = [key for key, value in now.items() if value.is_floating_point()]
        towards = 1 - min(self.decay, (1 + n) / (10 + n))
        torch._foreach_lerp_([self._average[key] for key in floating], [now[key] for key in floating], towards)
        for key in now.keys() - floating:
            self._average[key].copy_(now[key])

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Exchange weights and averages."""
        for key, value in pl_module.state_dict().items():
            held = value.clone()
            value.copy_(self._average[key])
            self._average[key].copy_(held)

    on_validation_epoch_end = on_validation_epoch_start

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the averages to the evaluation after training."""
        pl_module.load_state_dict(self._average)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Save the averages as the weights, and the weights beside them."""
        checkpoint[TRAINED], checkpoint["state_dict"] = checkpoint["state_dict"], self._average

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Continue from the weights, and with the averages."""
        self._average = {key: value.to(pl_module.device) for key, value in checkpoint["state_dict"].items()}
        pl_module.load_state_dict(checkpoint[TRAINED])
