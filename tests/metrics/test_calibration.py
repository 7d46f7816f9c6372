"""Calibration on cases small enough to work out by hand, and a temperature that is known beforehand."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from poserep.codecs import Heatmap, SimCC
from poserep.errors import InputError
from poserep.geometry import Size
from poserep.instances import Instance, Truth
from poserep.metrics.calibration import (
    aurc,
    calibration_summary,
    ece,
    fit_temperature,
    labelled_joints,
    reliability,
    temper,
)
from poserep.metrics.scorer import Predictions
from poserep.skeleton import Skeleton
from poserep.training.module import score_threshold

SKELETON = Skeleton("two", ("left", "right"), (("left", "right"),), (), (0.05, 0.1))


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).random(shape)


def person(image_id: int = 1, area: float = 400.0, weight: tuple[float, float] = (1, 1)) -> Instance:
    keypoints = np.array([[10, 20], [30, 40]], np.float32)
    return Instance(Path("none"), image_id, 0, np.array([0, 0, 50, 50]), keypoints, np.array(weight), area=area)


def predictions(*persons: Instance, shift: float = 3.0) -> Predictions:
    xy = np.stack([p.keypoints for p in persons]) + np.array([shift, 0], np.float32)
    score = np.linspace(0.1, 0.9, xy.shape[0] * 2, dtype=np.float32).reshape(-1, 2)
    return Predictions(np.arange(len(persons)), xy, score)


def joints(*persons: Instance):
    return labelled_joints(predictions(*persons), Truth(persons, SKELETON, "a.json", Size(64, 64)))


def test_only_labelled_joints_of_persons_with_an_area_count():
    score, similarity, image_id = joints(person(5), person(6, weight=(0, 1)), person(7, area=0))
    assert image_id.tolist() == [5, 5, 6]
    np.testing.assert_allclose(score, np.linspace(0.1, 0.9, 6)[[0, 1, 3]], rtol=1e-6)
    # 3 px off; 2 a (2 sigma)^2 is 800 x 0.01 and 800 x 0.04.
    np.testing.assert_allclose(similarity, np.exp([-9 / 8, -9 / 32, -9 / 32]))

    for options, message in (({"weight": (0, 0)}, "no joint is labelled"), ({"area": 0}, "no annotation has an area")):
        with pytest.raises(InputError, match=message):
            joints(person(**options))


def test_bins_hold_their_lower_edge_and_the_last_one_both():
    score = np.array([0, 0.1, 0.3, 0.35, 0.6, 0.7, 1.0])
    curve = reliability(score, score**2)
    assert [bin["count"] for bin in curve] == [1, 1, 0, 2, 0, 0, 1, 1, 0, 1]
    assert [bin["low"] for bin in curve] == [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9] and curve[-1]["high"] == 1
    assert (curve[3]["score"], curve[3]["oks"]) == pytest.approx((0.325, (0.09 + 0.1225) / 2))
    assert curve[2] == {"low": 0.2, "high": 0.3, "count": 0, "score": None, "oks": None}
    # Published scores may lie outside.
    first, *_, last = reliability(np.array([-0.5, 1.5]), np.array([0.0, 1.0]))
    assert [(bin["count"], bin["score"]) for bin in (first, last)] == [(1, -0.5), (1, 1.5)]


def test_the_calibration_error_is_the_gap_of_means_weighed_by_joints():
    # In each bin the mean is what counts.
    assert ece(reliability(np.full(4, 0.25), np.array([0, 0.5, 0, 0.5]))) == pytest.approx(0)
    # Three joints 0.1 too high, one 0.3 too low.
    assert ece(reliability(np.array([0.55, 0.55, 0.55, 0.15]), np.full(4, 0.45))) == pytest.approx(0.15)


def test_the_area_under_the_risk_is_the_mean_of_the_means_over_every_order_of_equal_scores():
    score, values = np.array([0.9, 0.5, 0.5, 0.5, 0.1]), np.array([0.3, 0.9, 0.2, 0.6, 0.8])
    risks = [1 - values[[0, *order, 4]] for order in itertools.permutations((1, 2, 3))]
    expected = np.mean([(np.cumsum(risk) / np.arange(1, 6)).mean() for risk in risks])
    for order in itertools.permutations(range(5)):
        assert aurc(score[list(order)], values[list(order)]) == pytest.approx(expected)


@pytest.mark.parametrize("temperature", [0.2, 12.0])
def test_the_temperature_that_made_the_data_is_found(temperature):
    score = noise(2000)
    assert fit_temperature(score, temper(score, temperature)) == pytest.approx(temperature, rel=1e-4)
    right = (np.random.default_rng(1).random(200_000) < temper(np.resize(score, 200_000), temperature)).astype(float)
    assert fit_temperature(np.resize(score, 200_000), right) == pytest.approx(temperature, rel=0.05)
    # Scores of 0 and 1 do not move it, and hopeless joints end at a bound, not in an error.
    values = temper(score, temperature)
    padded = np.concatenate([score, [0, 1, 0, 1]]), np.concatenate([values, [1, 0, 0, 1]])
    assert fit_temperature(*padded) == fit_temperature(score, values)
    assert fit_temperature(noise(20), np.zeros(20)) == pytest.approx(0.01, rel=1e-3)
    assert fit_temperature(noise(20), np.ones(20)) == pytest.approx(100, rel=1e-3)


def test_scores_without_a_temperature_are_refused():
    for score, message in (([0.5, 1.5], r"scores from 0\.5 to 1\.5 leave \[0, 1\]"), ([0, 1], "every score is 0 or 1")):
        with pytest.raises(InputError, match=message):
            fit_temperature(np.array(score), np.array([0.5, 0.6]))


def test_tempering_is_what_codecs_do_and_keeps_order_zero_and_one():
    score = np.array([0, 1e-6, 0.1, 0.5, 0.999, 1])
    codec = Heatmap("64x64")
    for temperature in (0.3, 1.0, 4.0):
        codec.temperature.fill_(temperature)
        found = temper(score, temperature)
        assert found[0] == 0 and found[-1] == 1 and (np.diff(found) > 0).all()
        np.testing.assert_allclose(codec.contract_score(torch.from_numpy(score)), found, rtol=1e-5)
        assert aurc(found, noise(6)) == pytest.approx(aurc(score, noise(6)))


def test_published_scores_keep_their_threshold_at_any_temperature():
    codec = SimCC("64x64", score="published")
    codec.temperature.fill_(5.0)
    assert score_threshold(codec) == 0.01


def test_the_summary_is_plain_json():
    found = calibration_summary(np.array([0.05, 0.95]), np.array([0.0, 1.0]))
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["ece"] == pytest.approx(0.05) and found["aurc"] == pytest.approx(0.25) and found["joints"] == 2
    assert [b["count"] for b in found["bins"]] == [1, *[0] * 8, 1]
