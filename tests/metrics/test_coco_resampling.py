"""COCO's values of resampled images against pycocotools on data that really hold images twice."""

import gzip
import json
import math
from collections import defaultdict
from typing import get_args

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from poserep.metrics.coco_matching import CocoResults, Matcher, match
from poserep.metrics.coco_resampling import CocoResampler
from poserep.skeleton import COCO as SKELETON
from reference.vectors import HERE, arrays

SIGMAS = np.array([0.08, 0.1, 0.05])
RANGES = ("all", "medium", "large")
SIDES = (40, 70, 150)  # of boxes: below the medium area, medium, large


def scene(seed=0, images=9, persons=3, extra=4, ties=False):
    """Images, persons (some are crowds, unlabelled or small) and detections, good and bad, by image."""
    rng = np.random.default_rng(seed)
    truth, found = {}, {}
    for image in range(10, 10 + images):
        truth[image], found[image] = [], []
        for _ in range(rng.integers(0, persons + 1)):
            side, kind = rng.choice(SIDES), rng.choice(["person", "person", "person", "crowd", "unlabelled"])
            corner = rng.uniform(0, 400, 2)
            xy = corner + rng.uniform(0, side, (3, 2))
            seen = np.zeros(3) if kind == "unlabelled" else np.full(3, 2.0)
            place = {"bbox": [*corner, side, side], "area": 0.5 * side**2, "iscrowd": int(kind == "crowd")}
            keypoints = np.column_stack([xy, seen]).ravel().tolist()
            truth[image].append({**place, "num_keypoints": int((seen > 0).sum()), "keypoints": keypoints})
            for _ in range(rng.integers(0, 3)):
                found[image].append(xy + rng.normal(0, side * rng.choice([0.01, 0.05, 0.3]), (3, 2)))
        found[image] += list(rng.uniform(0, 400, (rng.integers(0, extra + 1), 1, 2)) + rng.uniform(0, 90, (3, 2)))
    count = sum(map(len, found.values()))
    scores = iter(rng.integers(1, 4, count) / 4 if ties else rng.permutation(count) / count + 0.01)
    return truth, {image: [(xy, float(next(scores))) for xy in poses] for image, poses in found.items()}


def matched(truth, found, weights=None, sigmas=SIGMAS, matcher="hotcoco", limit=20):
    """The match of a set that holds each image as often as its weight says."""
    weights = np.ones(len(truth), int) if weights is None else weights
    images, persons, ids, poses, scores = [], [], [], [], []
    for (image, people), weight in zip(sorted(truth.items()), weights, strict=True):
        for copy in range(weight):
            # Ids on both sides of 0.
            number = 1000 * image + copy - 12000
            images.append(number)
            persons += [
                {**p, "id": len(persons) + n, "image_id": number, "category_id": 1} for n, p in enumerate(people, 1)
            ]
            for xy, score in found[image]:
                joints = np.column_stack([xy, np.ones(len(xy))]).ravel().tolist()
                ids.append(number)
                poses.append(joints)
                scores.append(score)
    detections = CocoResults(np.array(ids, int), np.reshape(poses, (len(ids), -1 if ids else 0)), np.array(scores))
    return match(images, persons, detections, sigmas, RANGES, limit, matcher)


def official(truth, found, weights=None, sigmas=SIGMAS):
    values = np.array(list(matched(truth, found, weights, sigmas, "pycocotools").values().values()))
    return np.where(values < 0, np.nan, values)


def table(resampler, weights):
    return np.stack(list(resampler(weights).values()), 1)


few = st.integers(0, 3)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), few, few, st.lists(few, min_size=4, max_size=4), st.booleans())
@example(0, 20, 3, 4, [1] * 20, True)
def test_a_resample_gives_what_pycocotools_gives_on_repeated_images(seed, images, persons, extra, weights, ties):
    weights = np.array(weights[:images])
    # Copies of an image whose scores are tied take turns in pycocotools.
    truth, found = scene(seed, images, persons, extra, ties and weights.max() == 1)
    if weights.any():
        values = table(CocoResampler(matched(truth, found)), weights[None])
        np.testing.assert_allclose(values[0], official(truth, found, weights), rtol=0, atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5), few, st.integers(0, 30), st.booleans(), st.integers(1, 25))
@example(0, 1, 0, 0, False, 20)
def test_both_libraries_have_the_same_numbers_to_the_last_bit(seed, images, persons, extra, ties, limit):
    truth, found = scene(seed, images, persons, extra, ties)
    one, two = (matched(truth, found, matcher=name, limit=limit) for name in get_args(Matcher))
    assert one.values() == two.values()
    mask = np.arange(images) % 2 == 1
    assert one.on(mask).values() == two.on(mask).values()
    for ours, theirs in zip(one.by_image(RANGES)["medium"], two.by_image(RANGES)["medium"], strict=True):
        assert (ours is None) == (theirs is None)
        for key in ("dtScores", "dtMatches", "dtIgnore", "gtIgnore") if ours else ():
            np.testing.assert_array_equal(np.array(ours[key], float), np.array(theirs[key], float))


@pytest.mark.real
def test_real_persons_give_pycocotools_numbers_once_and_resampled(coco_subset):
    data, found, sigmas = json.loads(coco_subset.read_text()), defaultdict(list), np.array(SKELETON.sigmas)
    truth = {image["id"]: [] for image in data["images"]}
    for person in data["annotations"]:
        truth[person["image_id"]].append(person)
    for result in json.loads(gzip.decompress((HERE / "coco_results_A.json.gz").read_bytes())):
        found[result["image_id"]].append((np.reshape(result["keypoints"], (17, 3))[:, :2], result["score"]))
    resampler = CocoResampler(matched(truth, found, sigmas=sigmas))
    expected = arrays("coco_eval")["A_stats"] * 100
    np.testing.assert_allclose(table(resampler, np.ones((1, len(truth)), int))[0], expected, rtol=0, atol=1e-7)
    weights = np.random.default_rng(0).multinomial(len(truth), np.full(len(truth), 1 / len(truth)))
    again = official(truth, found, weights, sigmas)
    np.testing.assert_allclose(table(resampler, weights[None])[0], again, rtol=0, atol=1e-9)
    assert abs(again[0] - expected[0]) > 0.1


def test_recall_thresholds_are_met_as_floating_point_division_meets_them():
    # 29 of 100 and 57 of 100 are 0.29 and 0.57 less a rounding error in linspace's steps, or more.
    for persons in (7, 25, 50, 100):
        one = {"bbox": [0, 0, 150, 150], "area": 2e4, "iscrowd": 0, "num_keypoints": 3}
        one["keypoints"] = [10.0, 10.0, 2.0, 90.0, 20.0, 2.0, 50.0, 120.0, 2.0]
        xy = np.array(one["keypoints"]).reshape(3, 3)[:, :2]
        truth = {i: [one] for i in range(persons)}
        found = {i: [(xy + (500 if i % 3 else 0), 1 - i / 200), (xy, 0.2 - i / 1000)] for i in range(persons)}
        values = table(CocoResampler(matched(truth, found)), np.ones((1, persons), int))
        np.testing.assert_allclose(values[0], official(truth, found), rtol=0, atol=1e-9)


def test_other_resamples_and_fewer_names_change_no_value():
    once = matched(*scene())
    every, some = CocoResampler(once), CocoResampler(once, ["AP75", "AR_L"])
    weights = np.random.default_rng(0).integers(0, 3, (67, len(every.images)))
    values, found = every(weights), some(weights)
    assert list(found) == ["AP75", "AR_L"]
    for name, value in found.items():
        np.testing.assert_array_equal(value, values[name])
    np.testing.assert_allclose(table(every, weights[5:6])[0], [v[5] for v in values.values()], rtol=1e-14)


def test_nothing_to_find_is_nan_and_nothing_found_is_zero():
    truth, found = scene()
    found = {image: [] for image in found}
    truth[10] = []
    weights = np.zeros((2, len(truth)), int)
    weights[0, 0] = weights[1, 1:] = 1
    values = CocoResampler(matched(truth, found))(weights)
    assert math.isnan(values["AP"][0]) and math.isnan(values["AR"][0])
    assert values["AP"][1] == values["AR"][1] == 0
