"""COCO AP on three persons: values worked out on paper, scores of persons, suppression, diagnoses."""

import re

import numpy as np
import pytest
from coco_files import alone, annotations, person, predicted, scorer

from poserep.metrics.coco import COCO_VALUES


def test_the_truth_scores_a_hundred_on_every_measure(tmp_path):
    subject = scorer(tmp_path)
    values, diagnosis = subject(predicted(subject))
    assert list(values) == list(COCO_VALUES) and list(values.values()) == pytest.approx([100] * 10)
    assert diagnosis == ""


def test_shifted_joints_score_what_the_formula_gives(tmp_path):
    subject = alone(tmp_path)
    for pixels in (2.0, 9.0, 14.0, 20.0):
        # exp(-d^2 / (2 a (2 sigma)^2)) with a = 5000.
        oks = np.exp(-(pixels**2) / (2 * 5000 * 0.16**2))
        values, _ = subject(predicted(subject, pixels))
        reached = 10 * (np.linspace(0.5, 0.95, 10) <= oks).sum()
        expected = (reached, reached, 100 * (oks >= 0.5), 100 * (oks >= 0.75))
        assert [values[name] for name in ("AP", "AR", "AP50", "AP75")] == pytest.approx(expected)


def test_lost_joints_count_as_far_away_and_unlabelled_ones_not_at_all(tmp_path):
    subject = alone(tmp_path)
    predictions = predicted(subject, 5.0)
    predictions.xy[0, 3:] += 5000
    near = np.exp(-25 / (2 * 5000 * 0.16**2))
    assert (near, 3 / 5 * near) == pytest.approx((0.907, 0.544), abs=1e-3)
    assert subject(predictions).values["AP"] == pytest.approx(10)
    flat = person(1, 7, [10, 20, 100, 100])["keypoints"]
    unlabelled_feet = alone(tmp_path, keypoints=[*flat[:9], *[0] * 6], num_keypoints=3)
    assert unlabelled_feet(predictions).values["AP"] == pytest.approx(90)


@pytest.mark.parametrize(("score_of_the_lost_one", "precision"), [(0.4, 1), (1.0, 2 / 3)])
def test_a_lost_person_costs_recall_and_if_it_ranks_high_precision(tmp_path, score_of_the_lost_one, precision):
    subject = scorer(tmp_path)
    predictions = predicted(subject, score=0.7)
    predictions.xy[1] += 5000
    predictions.score[1] = score_of_the_lost_one
    values, _ = subject(predictions)
    # Two of three are found: 67 of the 101 recalls 0, .01, ... are reached.
    assert values["AP"] == pytest.approx(100 * precision * 67 / 101)
    assert values["AR"] == pytest.approx(200 / 3)


def test_resampled_images_score_as_often_as_they_are_drawn(tmp_path):
    subject = scorer(tmp_path)
    predictions = predicted(subject, 9.0)
    resampler = subject.resampler(predictions)
    drawn, values = resampler(np.array([[1, 1], [2, 0]])), subject(predictions).values
    assert resampler.images.tolist() == [7, 8] and np.isnan(drawn["AP_L"][1])
    assert {name: drawn[name][0] for name in values} == pytest.approx(values)


def test_joints_count_in_the_persons_score_only_above_the_threshold(tmp_path):
    subject = scorer(tmp_path)
    predictions = predicted(subject, threshold=0.5)
    predictions.score[:] = [[1.0, 0.8, 0.5, 0.4, 0.0], [0.5] * 5, [0.6] * 5]
    assert sorted(row["score"] for row in subject.results(predictions)) == pytest.approx([0.0, 0.6, 0.9])


def test_duplicates_of_a_pose_are_suppressed_and_the_best_kept(tmp_path):
    subject = scorer(tmp_path)
    predictions = predicted(subject)
    predictions.xy[2] = predictions.xy[1] + 0.5
    predictions.score[2] = 0.7
    kept = subject.results(predictions)
    assert [row["image_id"] for row in kept] == [7, 8] and kept[1]["score"] == 1
    assert len(scorer(tmp_path, nms_threshold=None).results(predictions)) == 3


def test_size_classes_without_persons_are_minus_one_and_without_hits_zero(tmp_path):
    data = annotations()
    each(area=2e4)(data)
    subject = scorer(tmp_path, data)
    values, diagnosis = subject(predicted(subject))
    assert values["AP"] == values["AP_L"] == pytest.approx(100) and values["AP_M"] == -1
    assert diagnosis == "AP_M is undefined: no annotated person has an area between 32^2 and 96^2 px"
    subject = scorer(tmp_path)
    predictions = predicted(subject)
    predictions.xy[1:] += 500
    values, diagnosis = subject(predictions)
    assert values["AP"] > 0 and values["AP_L"] == 0
    assert diagnosis == "AP_L is 0: no prediction finds a person who has an area above 96^2 px"


def moved_to_another_image(data):
    data["images"].append({"id": 9, "file_name": "9.png", "width": 400, "height": 300})
    each(image_id=9)(data)


def each(**fields):
    return lambda data: [annotation.update(fields) for annotation in data["annotations"]]


def test_an_ap_of_zero_has_a_reason(tmp_path):
    for change, shift, score, message in (
        (lambda data: data["annotations"].clear(), 0, 1, "annotates nobody, as test sets do"),
        (each(num_keypoints=0, keypoints=[0] * 15), 0, 1, "no annotation .* has num_keypoints > 0"),
        (moved_to_another_image, 0, 1, "share no image id"),
        (each(area=0), 60, 1, "annotations have no area, by which OKS is scaled"),
        (lambda data: None, 900, 0.1, "every person's score is 0; no joint's score exceeds 0.2"),
        (lambda data: None, 900, 1, "no prediction comes within OKS 0.5"),
    ):
        data = annotations()
        change(data)
        subject = scorer(tmp_path, data)
        values, diagnosis = subject(predicted(subject, shift, score))
        assert values["AP"] <= 0
        assert re.search(rf"^AP is (0|undefined): .*{message}", diagnosis)


@pytest.mark.parametrize("matcher", ["hotcoco", "pycocotools"])
def test_any_count_of_joints_and_any_limit_is_taken(tmp_path, matcher):
    data = annotations()
    for one, count in zip(data["annotations"], (-1, 2**70), strict=False):
        one["num_keypoints"] = count
    subject = scorer(tmp_path, data, matcher=matcher, max_detections=2**70)
    values, diagnosis = subject(predicted(subject))
    assert list(values.values()) == pytest.approx([100] * 10) and diagnosis == ""
