"""What a view of a person may be: moves, halves, and what is refused."""

import numpy as np
import pytest

from poserep.data.augment import Augment, CropRegion
from poserep.errors import InputError
from poserep.geometry import Size
from poserep.skeleton import COCO

BOX = np.array([10.0, 20.0, 40.0, 80.0])


def test_boxes_move_within_the_stated_share_as_often_as_stated():
    augment = Augment(jitter=0.4, jitter_prob=0.3)
    rng = np.random.default_rng(0)
    boxes = np.array([augment.move(rng, BOX) for _ in range(4000)])
    moves = (boxes - BOX)[:, :2] / BOX[2:]
    assert (boxes[:, 2:] == BOX[2:]).all()
    assert np.abs(moves).max() <= 0.2 and np.abs(moves).max() > 0.19
    assert (moves != 0).any(1).mean() == pytest.approx(0.3, abs=0.03)
    assert moves.mean(0) == pytest.approx([0, 0], abs=0.01)


def test_without_jitter_nothing_is_drawn():
    rng = np.random.default_rng(0)
    assert Augment().move(rng, BOX) is BOX
    assert rng.random() == np.random.default_rng(0).random()


XY = np.stack([np.linspace(10, 50, 17), np.linspace(10, 90, 17)], 1).astype(np.float32)
VIEW = CropRegion(np.array([30.0, 50.0]), np.array([64.0, 96.0]))


def halved(seed: int = 0, labelled: int = 17, **options) -> CropRegion:
    augment, weight = Augment(half_body=1.0, **options), (np.arange(17) < labelled).astype(np.float32)
    return augment.region(np.random.default_rng(seed), VIEW, XY, weight, COCO.upper_mask(), Size(96, 64))


def test_half_body_looks_at_one_half_of_those_who_have_enough_joints():
    centres = {round(float(halved(seed).centre[1]), 3) for seed in range(20)}
    assert centres == {round(float(XY[:11, 1].mean()), 3), round(float(XY[11:, 1].mean()), 3)}
    assert halved(labelled=8).centre is VIEW.centre


def test_half_body_may_count_pixels():
    extents = [halved(upper_prob=1.0, half_body_px=px).extent for px in (0.0, 1.0)]
    # The upper body spans 50 px downwards, which decide; 1.5 is the official padding of halves.
    assert extents[1][1] - extents[0][1] == pytest.approx(1.5)


def test_impossible_settings_are_refused():
    for wrong in {"jitter_prob": 1.5}, {"jitter": -0.1}, {"upper_prob": -1}, {"scale": 1.0}:
        with pytest.raises(InputError, match=next(iter(wrong)).split("_")[0]):
            Augment(**wrong)
