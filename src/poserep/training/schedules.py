"""Learning-rate schedules, stepped after every optimiser step and built from the length of the run."""

import math
from collections.abc import Sequence

from torch.optim import Optimizer
from torch.optim.lr_scheduler import ChainedScheduler, LambdaLR, LinearLR, LRScheduler, MultiStepLR, OneCycleLR

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
    _check_warmup(warmup_steps, warmup_factor)
    steps = MultiStepLR(optimizer, [round(epoch * steps_per_epoch) for epoch in milestones], gamma)
    if not warmup_steps:
        return steps
    return ChainedScheduler([steps, LinearLR(optimizer, warmup_factor, 1.0, warmup_steps)])


def flat_cosine(
    optimizer: Optimizer,
    total_steps: int,
    steps_per_epoch: int,
    flat: float = 0.5,
    floor: float = 0.05,
    warmup_steps: int = 0,
    warmup_factor: float = 1e-5,
) -> LRScheduler:
    """Make a schedule that keeps the LR during a share ``flat`` of the run, then lowers it along half a cosine.

    At the end of the run it is ``floor`` times its value. RTMPose's code does so with these numbers and a warm-up, as
    `multi_step` has it, of 1000 steps. Options out of range are an `InputError`.
    """
    _check_warmup(warmup_steps, warmup_factor)
    if not 0 <= flat < 1 or not 0 <= floor <= 1:
        raise InputError(f"optim.schedule: flat={flat} must lie in [0, 1), and floor={floor} in [0, 1]")
    begin = round(flat * total_steps)

    def factor(step: int) -> float:
        warm = min(1.0, warmup_factor + (1 - warmup_factor) * step / warmup_steps) if warmup_steps else 1.0
        share = min(max(0, step - begin) / max(1, total_steps - begin), 1)
        return warm * (floor + (1 - floor) * (1 + math.cos(math.pi * share)) / 2)

    return LambdaLR(optimizer, factor)


def _check_warmup(steps: int, factor: float) -> None:
    if steps < 0 or not 0 < factor <= 1:
        raise InputError(
            f"optim.schedule: warmup_steps={steps} must not be negative, and warmup_factor={factor} must lie in (0, 1]"
        )
