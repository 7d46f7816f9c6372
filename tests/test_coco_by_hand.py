"""COCO AP of predictions whose value can be worked out on paper: shifted, exchanged, lost."""

import json

import numpy as np
import pytest

from poserep.batch import Points
from poserep.data.loaders.coco import load_coco
from poserep.geometry import Size
from poserep.metrics import CocoAP
from test_metrics import answers, metric, person, run, skeleton, truth


def reached(oks: float) -> int:
    """How many of the thresholds .50, .55, ... .95, for persons of whom all have this similarity."""
    return int((np.linspace(0.5, 0.95, 10) <= oks).sum())


def alone(tmp_path, sigma=0.08, **changes) -> CocoAP:
    data = truth()
    data["annotations"] = [person(1, 7, [10, 20, 100, 100], **changes)]
    (tmp_path / "one.json").write_text(json.dumps(data))
    instances = load_coco(tmp_path / "one.json", tmp_path, skeleton())
    return CocoAP(instances, tmp_path / "one.json", skeleton(sigma), Size(64, 64))


@pytest.mark.parametrize("pixels", [2.0, 5.0, 9.0, 13.0, 14.0, 20.0])
def test_shifted_joints_score_what_the_formula_gives(tmp_path, pixels):
    subject = alone(tmp_path)
    # exp(-d^2 / (2 a (2 sigma)^2)) with a = 5000.
    oks = np.exp(-(pixels**2) / (2 * 5000 * 0.16**2))
    values = run(subject, answers(subject, pixels))
    assert (values["AP"], values["AR"]) == pytest.approx((10 * reached(oks),) * 2)
    assert (values["AP50"], values["AP75"]) == pytest.approx((100 * (oks >= 0.5), 100 * (oks >= 0.75)))


@pytest.mark.parametrize(("sigma", "steps"), [(0.08, 0), (0.5, 4), (0.6, 6)])
def test_left_and_right_exchanged_score_what_the_formula_gives(tmp_path, sigma, steps):
    subject = alone(tmp_path, sigma)
    points = answers(subject)
    # The nose stays, hands lie 80 px apart, feet 60.
    hands, feet = (np.exp(-(d**2) / (2 * 5000 * (2 * sigma) ** 2)) for d in (80, 60))
    assert reached((1 + 2 * hands + 2 * feet) / 5) == steps
    exchanged = Points(points.xy[:, [0, 2, 1, 4, 3]], points.score)
    assert max(run(subject, exchanged)["AP"], 0) == pytest.approx(10 * steps)


def test_lost_joints_count_as_far_away_and_unlabelled_ones_not_at_all(tmp_path):
    subject = alone(tmp_path)
    points = answers(subject, 5.0)
    points.xy[0, 3:] += 5000
    near = np.exp(-25 / (2 * 5000 * 0.16**2))
    assert (near, 3 / 5 * near) == pytest.approx((0.907, 0.544), abs=1e-3)
    assert run(subject, points)["AP"] == pytest.approx(10)
    flat = person(1, 7, [10, 20, 100, 100])["keypoints"]
    unlabelled_feet = alone(tmp_path, keypoints=[*flat[:9], *[0] * 6], num_keypoints=3)
    assert run(unlabelled_feet, points)["AP"] == pytest.approx(90)


@pytest.mark.parametrize(("sure_of_the_wrong_one", "precision"), [(False, 1), (True, 2 / 3)])
def test_a_lost_person_costs_recall_and_if_it_ranks_high_precision(tmp_path, sure_of_the_wrong_one, precision):
    subject = metric(tmp_path)
    points = answers(subject)
    points.xy[1] += 5000
    points.score[1] = 1.0 if sure_of_the_wrong_one else 0.4
    points.score[[0, 2]] = 0.7
    values = run(subject, points)
    # Two of three are found: 67 of the 101 recalls 0, .01, ... are reached.
    assert values["AP"] == pytest.approx(100 * precision * 67 / 101)
    assert values["AR"] == pytest.approx(200 / 3)


def test_resampled_images_score_as_often_as_they_are_drawn(tmp_path):
    subject = metric(tmp_path)
    values = run(subject, answers(subject, 9.0))
    resampler = subject.resampler(subject.predictions())
    assert resampler.images.tolist() == [7, 8]
    found = resampler(np.array([[1, 1], [2, 0]]))
    assert {name: found[name][0] for name in values} == pytest.approx(values)
    assert np.isnan(found["AP_L"][1])
