"""Learning rates over steps, as numbers."""

import pytest
import torch

from poserep.errors import InputError
from poserep.training.schedules import multi_step


def optimizer() -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)


def rates(steps: int, **options: float) -> list[float]:
    """The LR of each step; milestones are 3 and 4 epochs of 2 steps."""
    made = optimizer()
    schedule = multi_step(made, steps, steps_per_epoch=2, milestones=[3, 4], **options)
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
