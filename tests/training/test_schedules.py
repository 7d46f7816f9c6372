"""Learning rates over steps, as numbers."""

import math

import pytest
import torch

from poserep.errors import InputError
from poserep.training.schedules import flat_cosine, multi_step


def optimizer() -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)


def rates(steps: int, **options: float) -> list[float]:
    """The LR of each step; milestones are 3 and 4 epochs of 2 steps."""
    made = optimizer()
    return over(made, multi_step(made, steps, steps_per_epoch=2, milestones=[3, 4], **options), steps)


def over(made: torch.optim.Optimizer, schedule: torch.optim.lr_scheduler.LRScheduler, steps: int) -> list[float]:
    found = []
    for _ in range(steps):
        found.append(made.param_groups[0]["lr"])
        made.step()
        schedule.step()
    return found


def test_rates_fall_after_milestones_and_rise_along_a_line_before():
    assert rates(10) == pytest.approx([0.5] * 6 + [0.05] * 2 + [0.005] * 2)
    warmed = rates(10, warmup_steps=4, warmup_factor=0.2)
    assert warmed == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.5, 0.05, 0.05, 0.005, 0.005])
    # As mmpose writes it.
    last = [0.5, 0.05, 0.005]
    expected = [last[(i >= 6) + (i >= 8)] * (1 - (1 - min(i, 500) / 500) * (1 - 0.001)) for i in range(501)]
    assert rates(501, warmup_steps=500) == pytest.approx(expected)


def test_warm_up_that_makes_no_sense_is_refused():
    for key, value in (("warmup_steps", -1), ("warmup_factor", 0), ("warmup_factor", 1.5)):
        with pytest.raises(InputError, match=f"{key}={value}"):
            multi_step(optimizer(), 10, 2, [3], **{key: value})
        with pytest.raises(InputError, match=f"{key}={value}"):
            flat_cosine(optimizer(), 10, 2, **{key: value})
    for key, value in (("flat", 1), ("flat", -0.1), ("floor", 1.5)):
        with pytest.raises(InputError, match=f"{key}={value}"):
            flat_cosine(optimizer(), 10, 2, **{key: value})


def test_rates_stay_and_then_follow_half_a_cosine():
    made = optimizer()
    found = over(made, flat_cosine(made, 20, 2, floor=0.1), 21)
    half = [0.05 + 0.45 * (1 + math.cos(math.pi * i / 10)) / 2 for i in range(11)]
    assert found == pytest.approx([0.5] * 10 + half) and found[-1] == pytest.approx(0.05)
    made = optimizer()
    warmed = over(made, flat_cosine(made, 20, 2, floor=0.1, warmup_steps=4, warmup_factor=0.2), 21)
    assert warmed == pytest.approx([0.1, 0.2, 0.3, 0.4, *found[4:]])
    # A run that is continued has the rates of one that was not.
    made, again = optimizer(), optimizer()
    schedule, other = (flat_cosine(o, 20, 2, floor=0.1, warmup_steps=4) for o in (made, again))
    whole = over(made, schedule, 20)
    over(again, other, 13)
    resumed = optimizer()
    resumed.load_state_dict(again.state_dict())
    later = flat_cosine(optimizer(), 20, 2, floor=0.1, warmup_steps=4)
    later.load_state_dict(other.state_dict())
    later.optimizer = resumed
    assert over(resumed, later, 7) == pytest.approx(whole[13:])
