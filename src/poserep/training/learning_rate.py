"""The effective learning rate: where the learning rate of a recipe meets the batch of a run."""

import math

from poserep.config import DictConfig


def effective_lr(optim: DictConfig, batch: int) -> float:
    """Scale ``optim.lr``, stated for ``optim.reference_batch``, to the total batch over all devices.

    ``optim.rule``: ``linear``, lr x batch / reference; ``sqrt``, lr x sqrt(batch / reference); ``none``, lr.
    """
    ratio = batch / optim.reference_batch
    return optim.lr * {"linear": ratio, "sqrt": math.sqrt(ratio), "none": 1.0}[optim.rule]
