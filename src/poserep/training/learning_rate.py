"""The effective learning rate: where the learning rate of a recipe meets the batch of a run."""

import math

from poserep.config import DictConfig
from poserep.errors import InputError


def effective_lr(optim: DictConfig, batch: int) -> float:
    """Scale ``optim.lr``, stated for ``optim.reference_batch``, to the total batch over all devices.

    ``optim.rule``: ``linear``, lr x batch / reference; ``sqrt``, lr x sqrt(batch / reference); ``none``, lr; any other
    is an `InputError`.
    """
    ratio = batch / optim.reference_batch
    factors = {"linear": ratio, "sqrt": math.sqrt(ratio), "none": 1.0}
    if optim.rule not in factors:
        raise InputError(f"optim.rule={optim.rule!r} is not one of {list(factors)}")
    return optim.lr * factors[optim.rule]
