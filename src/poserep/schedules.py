"""Learning-rate schedules, all stepped per optimiser step and built from the length of the run."""

from collections.abc import Sequence

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, MultiStepLR, OneCycleLR


def one_cycle(optimizer: Optimizer, total_steps: int, steps_per_epoch: int, warmup: float = 0.3) -> LRScheduler:
    """Up to the optimiser's LR during ``warmup`` of the run, then down to nearly zero along a cosine."""
    peaks = [group["lr"] for group in optimizer.param_groups]
    # Momentum is left alone: the papers' optimisers do not cycle it.
    return OneCycleLR(optimizer, peaks, total_steps=total_steps, pct_start=warmup, cycle_momentum=False)


def multi_step(
    optimizer: Optimizer, total_steps: int, steps_per_epoch: int, milestones: Sequence[float], gamma: float = 0.1
) -> LRScheduler:
    """Times ``gamma`` after each of the ``milestones``, given in epochs."""
    return MultiStepLR(optimizer, [round(epoch * steps_per_epoch) for epoch in milestones], gamma)
