"""Learning-rate schedules, stepped after every optimiser step and built from the length of the run."""

from collections.abc import Sequence

from torch.optim import Optimizer
from torch.optim.lr_scheduler import ChainedScheduler, LinearLR, LRScheduler, MultiStepLR, OneCycleLR

from poserep.errors import InputError


def one_cycle(optimizer: Optimizer, total_steps: int, steps_per_epoch: int, warmup: float = 0.3) -> LRScheduler:
    """Make a schedule: up to the optimiser's LR during a share ``warmup`` of the run, then down along a cosine."""
    peaks = [group["lr"] for group in optimizer.param_groups]
    # The papers' optimisers do not cycle momentum.
    return OneCycleLR(optimizer, peaks, total_steps=total_steps, pct_start=warmup, cycle_momentum=False)


def multi_step(
    optimizer: Optimizer,
    total_steps: int,
    steps_per_epoch: int,
    milestones: Sequence[float],
    gamma: float = 0.1,
    warmup_steps: int = 0,
    warmup_factor: float = 0.001,
) -> LRScheduler:
    """Make a schedule that multiplies the LR by ``gamma`` after each of the ``milestones``, which are epochs.

    During the first ``warmup_steps`` (500 in mmpose and SRPose's code) the LR rises linearly from ``warmup_factor``
    times its value; either of them out of range is an `InputError`.
    """
    if warmup_steps < 0 or not 0 < warmup_factor <= 1:
        raise InputError(
            f"optim.schedule: warmup_steps={warmup_steps} must not be negative, and warmup_factor={warmup_factor} must "
            "lie in (0, 1]"
        )
    steps = MultiStepLR(optimizer, [round(epoch * steps_per_epoch) for epoch in milestones], gamma)
    if not warmup_steps:
        return steps
    return ChainedScheduler([steps, LinearLR(optimizer, warmup_factor, 1.0, warmup_steps)])
