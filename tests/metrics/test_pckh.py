"""PCKh on a few people: exact steps at thresholds, exact moves of the shares, and what has no number."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from poserep.errors import InputError
from poserep.geometry import Size
from poserep.instances import Instance, Truth
from poserep.metrics.pckh import GROUPS, PCKh
from poserep.metrics.scorer import Predictions
from poserep.skeleton import COCO, MPII, Skeleton

K = MPII.num_keypoints
# px; thresholds are 50, 10 and 11 px.
HEAD = 100.0
SHARES = ("PCKh", *GROUPS)


def people(count: int = 3, head: float = HEAD, weight: np.ndarray | None = None) -> list[Instance]:
    xy = np.random.default_rng(0).integers(0, 2000, (count, K, 2)).astype(np.float32)
    weight = np.ones((count, K), np.float32) if weight is None else weight
    box = np.array([0.0, 0.0, 400.0, 400.0])
    return [Instance(Path(f"{i // 2}.jpg"), i // 2, i, box, xy[i], weight[i], head=head) for i in range(count)]


def scorer(instances: list[Instance], skeleton: Skeleton = MPII, **options) -> PCKh:
    return PCKh(Truth(instances, skeleton, "annot/valid.json", Size(256, 256)), **options)


def values_of(instances: list[Instance], predictions: Predictions, **options) -> dict[str, float]:
    return scorer(instances, **options)(predictions).values


def guess(instances: list[Instance], move: np.ndarray | tuple = (0, 0)) -> Predictions:
    xy = np.stack([i.keypoints for i in instances]).astype(np.float64) + np.asarray(move, np.float64)
    return Predictions(np.arange(len(xy)), xy, np.ones(xy.shape[:2]))


def at(values: dict[str, float], threshold: float) -> dict[str, float]:
    return {name: values[f"{name}@{threshold:g}"] for name in SHARES}


def test_the_truth_scores_a_hundred():
    subject = scorer(people())
    values, diagnosis = subject(guess(people()))
    assert values == {f"{name}@{t}": 100 for t in ("0.5", "0.1", "0.11") for name in SHARES}
    assert next(iter(values)) == subject.columns[0] == "PCKh@0.5" and subject.columns[1] == "PCKh@0.1"
    assert diagnosis == ""


def test_a_shift_by_known_pixels_steps_at_the_thresholds():
    for px, expected in ((9.99, (100, 100, 100)), (10.01, (100, 0, 100)), (49.99, (100, 0, 0)), (50.01, (0, 0, 0))):
        for direction in ((1, 0), (0, -1), (0.6, 0.8)):
            values = values_of(people(), guess(people(), px * np.array(direction)))
            for threshold, share in zip((0.5, 0.1, 0.11), expected, strict=True):
                assert set(at(values, threshold).values()) == {share}


def test_options_of_thresholds():
    # An error equal to the threshold counts unless strict; other thresholds have their own names.
    moved = guess(people(), (50, 0))
    assert values_of(people(), moved)["PCKh@0.5"] == 100
    assert values_of(people(), moved, strict=True)["PCKh@0.5"] == 0
    values = values_of(people(), guess(people(), (15, 0)), thresholds=[0.5, 0.1, 0.2])
    assert (values["PCKh@0.5"], values["PCKh@0.1"], values["PCKh@0.2"], values["Hip@0.2"]) == (100, 0, 100, 100)
    assert "PCKh@0.11" not in values
    for thresholds in ([0.5], [0.5, 0.1, 0.0], [0.5, 0.1, float("nan")]):
        with pytest.raises(InputError, match=r"positive and hold 0\.5 and 0\.1.*data\.metric\.thresholds"):
            scorer(people(), thresholds=thresholds)


def test_groups_weigh_left_and_right_alike_and_the_mean_weighs_joints_by_their_number():
    weight, move = np.ones((4, K), np.float32), np.zeros((4, K, 2))
    weight[1:, MPII.names.index("left_wrist")] = 0
    move[:, MPII.names.index("left_wrist")] = 1000
    instances = people(4, weight=weight)
    values = values_of(instances, guess(instances, move))
    assert values["Wrist@0.5"] == 50  # the mean of 0 of 1 and 4 of 4
    assert values["PCKh@0.5"] == pytest.approx(100 * (13 * 4) / (13 * 4 + 1))


def test_the_trunk_is_not_in_the_mean_but_the_upper_neck_is():
    move = np.zeros((3, K, 2))
    move[:, [MPII.names.index("pelvis"), MPII.names.index("thorax")]] = 1000
    assert set(at(values_of(people(), guess(people(), move)), 0.5).values()) == {100}
    move[:, MPII.names.index("upper_neck")] = 1000
    values = values_of(people(), guess(people(), move))
    assert values["PCKh@0.5"] == pytest.approx(100 * 13 / 14)
    assert {values[f"{name}@0.5"] for name in GROUPS} == {100}


def test_unlabelled_joints_and_unlabelled_persons_change_nothing():
    weight = np.ones((3, K), np.float32)
    weight[2] = weight[0, 3] = 0
    instances = people(3, weight=weight)
    object.__setattr__(instances[2], "head", 0.0)
    move = np.zeros((3, K, 2))
    move[2] = move[0, 3] = 1e6
    assert set(values_of(instances, guess(instances, move)).values()) == {100}


def test_a_joint_that_nobody_labelled_is_left_out_and_named():
    weight = np.ones((3, K), np.float32)
    weight[:, [MPII.names.index(n) for n in ("left_knee", "head_top", "pelvis")]] = 0
    instances = people(3, weight=weight)
    move = np.zeros((3, K, 2))
    move[0, MPII.names.index("right_knee")] = 1000
    values, diagnosis = scorer(instances)(guess(instances, move))
    assert values["Knee@0.5"] == pytest.approx(200 / 3)
    assert np.isnan(values["Head@0.5"])
    assert values["PCKh@0.5"] == pytest.approx(100 * (12 * 3 - 1) / (12 * 3))
    assert diagnosis == "PCKh leaves out left_knee, head_top: nobody has them labelled; groups are of the others"
    instances = people(2, head=0.0, weight=np.zeros((2, K), np.float32))
    values, diagnosis = scorer(instances)(guess(instances))
    assert all(np.isnan(v) for v in values.values()) and "nothing to measure" in diagnosis


def test_resampling_with_ones_is_the_metric_and_counts_weigh_images():
    instances = people(5)
    move = np.random.default_rng(1).normal(0, 30, (5, K, 2))
    predictions = guess(instances, move)
    subject = scorer(instances)
    resampler = subject.resampler(predictions)
    assert resampler.images.tolist() == [0, 1, 2]
    found = resampler(np.array([[1, 1, 1], [2, 0, 1], [0, 0, 0]]))
    twice = [0, 1, 0, 1, 4]
    again = Predictions(np.arange(5), predictions.xy[twice], predictions.score[twice])
    expected = subject(predictions).values, values_of([instances[i] for i in twice], again)
    for name, values in found.items():
        assert values[:2] == pytest.approx([each[name] for each in expected], abs=1e-12) and np.isnan(values[2])


def test_persons_without_a_head_are_refused_with_the_remedy():
    instances = [*people(2), *people(1, head=0.0)]
    with pytest.raises(InputError, match=r"1 of 3 persons have no head length.*data\.val\.heads=annot/gt_valid\.mat"):
        scorer(instances)


def test_joints_are_found_by_name_in_any_skeleton():
    order = np.random.default_rng(3).permutation([i for i, n in enumerate(MPII.names) if n not in ("pelvis", "thorax")])
    names = [MPII.names[i] for i in order]
    category = {"name": "other", "keypoints": names, "pairs": MPII.pairs, "sigmas": [0.08] * len(names)}
    other = Skeleton.from_category(category)
    move = np.random.default_rng(1).normal(0, 30, (3, K, 2))
    full = guess(people(), move)
    fewer = [replace(i, keypoints=i.keypoints[order], weight=i.weight[order]) for i in people()]
    ours = values_of(fewer, replace(full, xy=full.xy[:, order], score=full.score[:, order]), skeleton=other)
    assert ours == pytest.approx(values_of(people(), full))
    zero = np.zeros((17, 2), np.float32)
    instance = Instance(Path("a.jpg"), 0, 0, np.array([0.0, 0, 9, 9]), zero, zero[:, 0], head=1.0)
    with pytest.raises(InputError, match=r"skeleton 'coco' lacks: \['head_top'"):
        scorer([instance], COCO)
