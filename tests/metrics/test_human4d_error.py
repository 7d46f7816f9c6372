"""HUMAN4D's measures and the plain pixel error: what known displacements must make of them."""

from pathlib import Path

import numpy as np
import pytest

from poserep.errors import InputError
from poserep.geometry import Size
from poserep.instances import Instance, Truth
from poserep.metrics.epe import EPE
from poserep.metrics.human4d import Human4DError
from poserep.metrics.scorer import Predictions
from poserep.skeleton import COCO, HUMAN4D

K = HUMAN4D.num_keypoints
NECK, HEAD = 2, 3
SIZE = Size(160, 320)
PLAIN = ("PCKh-0.5", "PCKh-0.1", "RMSE")
NAMES = [*PLAIN, *(f"{name} (code)" for name in PLAIN)]


def persons(number: int = 3) -> np.ndarray:
    """(N, K, 2) px, left and right 60 px apart; the head is 30 px right of and 40 px above the neck: 50 px."""
    rng = np.random.default_rng(0)
    xy = rng.uniform(0, 20, (number, K, 2))
    for name, x in (("left", 100), ("right", 40)):
        xy[:, [n.startswith(name) for n in HUMAN4D.names], 0] += x
    xy[:, NECK], xy[:, HEAD] = (80, 70), (110, 30)
    return xy.astype(np.float32)


def instances(xy: np.ndarray, weight: np.ndarray | None = None) -> list[Instance]:
    weight = np.ones(xy.shape[:2], np.float32) if weight is None else weight
    return [
        Instance(Path("x.pgm"), n // 2, n, np.array([0.0, 0, 320, 160]), points, known)
        for n, (points, known) in enumerate(zip(xy, weight, strict=True))
    ]


def scorer(kind, xy=None, weight=None, **options):
    return kind(Truth(instances(persons() if xy is None else xy, weight), HUMAN4D, "list.txt", SIZE), **options)


def values(subject, xy, score=1.0) -> dict[str, float]:
    score = np.broadcast_to(np.asarray(score, np.float32), xy.shape[:2])
    return subject(Predictions(np.arange(len(xy)), xy.astype(np.float32), score)).values


def test_the_truth_has_no_error_and_tables_know_which_way_is_better():
    found = values(scorer(Human4DError), persons())
    assert list(found) == NAMES and list(found.values()) == [100, 100, 0] * 2
    assert set(values(scorer(EPE), persons()).values()) == {0}
    for subject in (scorer(Human4DError), scorer(EPE)):
        names = values(subject, persons())
        assert set(subject.columns) <= set(names)
        assert subject.lower == {name for name in names if "PCKh" not in name}


def test_shifts_move_every_measure_as_computed_by_hand():
    for shift, half, tenth, code_half, code_tenth in (
        # A tenth of the head is 5 px; per axis 3 and 4, half of it 15 and 20.
        ((0, 4.9), 100, 100, 100, 50),
        ((2.9, 3.9), 100, 100, 100, 100),
        ((24.9, 0), 100, 0, 50, 50),
        ((15, 20), 0, 0, 0, 0),
        ((15.1, 19.9), 100, 0, 50, 0),
    ):
        # Whole numbers, so that 15 px are half the head's width to the last bit.
        truth = np.round(persons())
        found = values(scorer(Human4DError, truth), truth + np.float32(shift))
        assert [found[n] for n in NAMES if "PCKh" in n] == pytest.approx([half, tenth, code_half, code_tenth])
        length = np.hypot(*shift)
        assert found["RMSE"] == pytest.approx(length, rel=1e-5)
        assert found["RMSE (code)"] == pytest.approx(length / np.sqrt(2), rel=1e-5)
        errors = values(scorer(EPE, truth), truth + np.float32(shift))
        assert list(errors) == ["EPE", *(f"EPE/{name}" for name in HUMAN4D.names)]
        assert list(errors.values()) == pytest.approx([length] * (K + 1), rel=1e-5)


def test_lost_joints_count_as_far_away():
    xy = persons()
    xy[0, HUMAN4D.names.index("left_hand")] += (300, 400)
    found = values(scorer(Human4DError), xy)
    # One of 3 x 18 joints, 500 px away; in the code both of its coordinates.
    assert found["PCKh-0.5"] == found["PCKh-0.5 (code)"] == pytest.approx(100 * 53 / 54)
    assert found["RMSE"] == pytest.approx(500 / np.sqrt(18) / 3, rel=1e-5)
    assert found["RMSE (code)"] == pytest.approx(500 / np.sqrt(36) / 3, rel=1e-5)


def test_samples_count_alike_in_rmse_and_joints_in_epe():
    truth, weight = persons(2), np.ones((2, K), np.float32)
    weight[1, 2:] = 0
    guess = truth.copy()
    guess[0, 0] += (0, 6)
    guess[1, 0] += (8, 0)
    found = values(scorer(Human4DError, truth, weight), guess)
    assert found["RMSE"] == pytest.approx((6 / np.sqrt(K) + 8 / np.sqrt(2)) / 2, rel=1e-5)
    errors = values(scorer(EPE, truth, weight), guess)
    assert errors["EPE"] == pytest.approx(14 / (K + 2), rel=1e-5)
    assert errors["EPE/hips"] == pytest.approx(7, rel=1e-5) and errors["EPE/head"] == 0


def test_unlabelled_joints_change_nothing_but_the_codes_count():
    truth, weight = persons(), np.ones((3, K), np.float32)
    weight[:, 10:14] = 0
    guess = truth.copy()
    guess[:, 10:14] += 500
    found = values(scorer(Human4DError, truth, weight), guess)
    assert [found[name] for name in PLAIN] == [100, 100, 0] and found["RMSE (code)"] == 0
    # The network is sure of joints that are not in view.
    assert found["PCKh-0.5 (code)"] == pytest.approx(100 * (K - 4) / K)
    sure = np.where(weight > 0, 1.0, 0.4).astype(np.float32)
    assert values(scorer(Human4DError, truth, weight), guess, sure)["PCKh-0.5 (code)"] == 100
    errors = values(scorer(EPE, truth, weight), guess)
    assert errors["EPE"] == 0 and np.isnan(errors[f"EPE/{HUMAN4D.names[10]}"])
    # Joints that the network is not sure of are wrong in the code only.
    score = np.ones((3, K), np.float32)
    score[:, :6] = 0.3
    found = values(scorer(Human4DError), persons(), score)
    assert [found[name] for name in PLAIN] == [100, 100, 0]
    assert found["PCKh-0.1 (code)"] == pytest.approx(100 * (K - 6) / K)
    assert values(scorer(Human4DError, visible=0.2), persons(), score)["PCKh-0.1 (code)"] == 100


@pytest.mark.parametrize("end", [NECK, HEAD])
def test_without_neck_or_head_a_sample_has_no_pckh(end):
    truth, weight = persons(2), np.ones((2, K), np.float32)
    weight[0, end] = 0
    guess = truth.copy()
    guess[0] += (90, 0)
    found = values(scorer(Human4DError, truth, weight), guess)
    assert found["PCKh-0.5"] == found["PCKh-0.1"] == 100
    assert found["RMSE"] == pytest.approx(45, rel=1e-5)
    weight[1, end] = 0
    assert np.isnan(values(scorer(Human4DError, truth, weight), guess)["PCKh-0.5"])


def test_a_head_without_extent_measures_nothing_and_is_wrong_in_the_code():
    truth = persons()
    truth[:, HEAD, 0] = truth[:, NECK, 0]
    found = values(scorer(Human4DError, truth), truth)
    assert found["PCKh-0.5"] == 100 and found["PCKh-0.5 (code)"] == 50
    truth[:, HEAD] = truth[:, NECK]
    found = values(scorer(Human4DError, truth), truth)
    assert np.isnan(found["PCKh-0.5"]) and found["PCKh-0.5 (code)"] == 0


def test_skeletons_without_neck_and_head_are_refused():
    nobody = Instance(Path("x"), 0, 0, np.ones(4), np.zeros((17, 2)), np.ones(17))
    with pytest.raises(InputError, match="'coco' has no `neck` and `head`"):
        Human4DError(Truth([nobody], COCO, "a.json", SIZE))
    assert EPE(Truth([nobody], COCO, "a.json", SIZE)).columns == ("EPE",)
