"""The worst predicted persons, worked out by hand, and their crops that runs keep."""

from pathlib import Path

import numpy as np
import pytest

from poserep.errors import InputError
from poserep.geometry import Size
from poserep.instances import Instance, Truth
from poserep.metrics.scorer import Predictions
from poserep.report.compare.stored import read_side, rebuild
from poserep.skeleton import Skeleton
from poserep.training.build import build
from poserep.training.evaluate import configure as reconfigure
from poserep.training.kept_crops import save_worst, worst_persons

SKELETON = Skeleton("three", ("left_hand", "right_hand", "nose"), (("left_hand", "right_hand"),), (), (0.1, 0.1, 0.2))
POSE = np.array([[0, 0], [20, 0], [10, -20]], np.float32)


def person(weight=(1, 1, 1), area: float = 100, box=(-5, -25, 30, 30), image_id: int = 1) -> Instance:
    return Instance(Path("a.jpg"), image_id, 7, np.array(box), POSE, np.array(weight), area=area)


def found(*persons_and_offsets, count: int = 12):
    persons, offsets = zip(*persons_and_offsets, strict=True)
    xy = np.stack([POSE + np.array(offset, np.float32) for offset in offsets])
    truth = Truth(persons, SKELETON, "a.json", Size(64, 64))
    return worst_persons(Predictions(np.arange(len(xy)), xy, np.ones(xy.shape[:2])), truth, count)


def test_the_lowest_similarity_comes_first():
    worst = found((person(), (0, 0)), (person(), (2, 0)), (person(), (1, 0)))
    assert worst["index"].tolist() == [1, 2, 0]
    # exp(-d^2 / (2 a (2 sigma)^2)): of sigmas of 0.1, 0.1 and 0.2 and an area of 100.
    expected = [(2 * np.exp(-4 / 8) + np.exp(-4 / 32)) / 3, (2 * np.exp(-1 / 8) + np.exp(-1 / 32)) / 3, 1]
    np.testing.assert_allclose(worst["oks"], expected)
    np.testing.assert_allclose(worst["error"], [0.2, 0.1, 0], atol=1e-9)
    assert found((person(), (0, 0)), (person(), (2, 0)), count=1)["index"].tolist() == [1]

    # Of equal similarities the larger error comes first, and then the first person.
    worst = found(*((person(image_id=i), (offset, 0)) for i, offset in enumerate((900, 1800, 900))))
    assert worst["oks"].tolist() == [0, 0, 0] and worst["index"].tolist() == [1, 0, 2]


def test_unlabelled_joints_and_persons_count_for_nothing():
    far = np.zeros((3, 2))
    far[0] = 500, 0
    worst = found((person(weight=(0, 1, 1)), far), (person(weight=(0, 0, 0)), (9, 9)), (person(), (1, 0)))
    assert worst["index"].tolist() == [2, 0] and worst["oks"][1] == 1
    assert worst["kind"].tolist()[1] == [-1, 0, 0]


def test_the_furthest_joint_is_told_in_units_of_its_own_spread_with_its_kind():
    moved = np.zeros((3, 2))
    moved[1], moved[2] = (0, 60), (0, -90)
    worst = found((person(), moved))
    # 600 of one sigma, 450 of the other.
    assert worst["joint"].tolist() == [1]
    assert worst["kinds"][worst["kind"][0, 1]] == "miss" and worst["kinds"][worst["kind"][0, 0]] == "good"


def test_sets_without_areas_take_those_of_the_joints():
    np.testing.assert_allclose(found((person(area=0), (2, 0)))["error"], 2 / np.sqrt(0.53 * 20 * 20))
    assert not len(found((person(weight=(0, 0, 0)), (0, 0)))["index"])
    with pytest.raises(InputError, match="no scale"):
        found((person(weight=(1, 0, 0), area=0, box=(0, 0, 0, 0)), (0, 0)))


def load(run_dir, name: str) -> dict[str, np.ndarray]:
    with np.load(run_dir / name) as file:
        return dict(file)


def test_a_run_keeps_the_worst_of_its_predictions(trained):
    run_dir, result = trained("representation=heatmap")
    worst, samples = load(run_dir, "worst.npz"), load(run_dir, "samples.npz")
    apart = ("bins/", "density/")
    assert set(worst) - set(samples) == {"oks", "error", "joint", "kind", "kinds"}
    assert {key for key in samples if key not in worst and not key.startswith(apart)} == set()
    assert (np.diff(worst["oks"]) >= 0).all() and len(worst["index"]) == 6
    # On this set both hold everybody, so that the crops and what was read from them are the same.
    order = np.searchsorted(samples["index"], worst["index"])
    np.testing.assert_array_equal(worst["image"], samples["image"][order])
    for key in ("xy", "weight", "shift/xy", "shift/score", "argmax/xy"):
        np.testing.assert_allclose(worst[key], samples[key][order], atol=2e-3)
    # With similarities as evaluation has them.
    recorded = result["errors"]["gt"]["shift"]["joints"].values()
    total = sum(joint["labelled"] * (joint["mean_oks"] or 0) for joint in recorded)
    np.testing.assert_allclose((worst["oks"] * (worst["kind"] >= 0).sum(1)).sum(), total, rtol=1e-6)


def test_it_is_the_same_from_the_stored_predictions(trained, tmp_path):
    run_dir, _ = trained("representation=simcc")
    scorer, predictions = rebuild(read_side(str(run_dir), "gt")[0])
    assert len(scorer.truth.instances) == 6
    objects = build(reconfigure(run_dir, []), train=False)
    save_worst(objects, {"argmax": predictions}, tmp_path / "again.npz")
    again = load(tmp_path, "again.npz")
    for key, value in load(run_dir, "worst.npz").items():
        np.testing.assert_array_equal(value, again[key])
    # There is no file where nobody is labelled, or without predictions on annotated boxes.
    save_worst(objects, {}, tmp_path / "none.npz")
    objects.module.scorers["gt"].truth.instances.weight[:] = 0
    save_worst(objects, {"argmax": predictions}, tmp_path / "none.npz")
    assert not (tmp_path / "none.npz").exists()
