"""Learning-rate schedules, all stepped per optimiser step and built from the length of the run."""

from collections.abc import Sequence

from torch.optim import Optimizer
from torch.optim.lr_scheduler import ChainedScheduler, LinearLR, LRScheduler, MultiStepLR, OneCycleLR

from poserep.errors import InputError


def one_cycle(optimizer: Optimizer, total_steps: int, steps_per_epoch: int, warmup: float = 0.3) -> LRScheduler:
    """Up to the optimiser's LR during ``warmup`` of the run, then down to nearly zero along a cosine."""
    peaks = [group["lr"] for group in optimizer.param_groups]
    # Momentum is left alone: the papers' optimisers do not cycle it.
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
    """Times ``gamma`` after each of the ``milestones``, given in epochs.

    Args:
        optimizer: Whose LR is set.
        total_steps: Of the run.
        steps_per_epoch: Of the run.
        milestones: See above.
        gamma: See above.
        warmup_steps: The LR rises along a line for so many steps at the beginning (500 in mmpose and SRPose's code).
        warmup_factor: Share of the LR that it rises from.

    Raises:
        InputError: If the warm-up makes no sense.
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
