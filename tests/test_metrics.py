"""COCO AP on a file of three persons: what must and what must not change it, and what a zero is told."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from poserep.batch import Points
from poserep.data.loaders.coco import load_coco
from poserep.errors import InputError
from poserep.geometry import Size
from poserep.metrics import CocoAP
from poserep.skeleton import Skeleton

NAMES = ["nose", "left_hand", "right_hand", "left_foot", "right_foot"]
SHAPE = np.array([[0.5, 0.1], [0.9, 0.5], [0.1, 0.5], [0.8, 0.9], [0.2, 0.9]])


def skeleton(sigma: float = 0.08) -> Skeleton:
    pairs = [["left_hand", "right_hand"], ["left_foot", "right_foot"]]
    return Skeleton.from_category({"name": "five", "keypoints": NAMES, "pairs": pairs, "sigmas": [sigma] * 5})


def person(number: int, image: int, box: list[float], **changes) -> dict:
    xy = np.array(box[:2]) + SHAPE * box[2:]
    keypoints = np.concatenate([xy, np.full((5, 1), 2.0)], 1)
    return {
        "id": number,
        "image_id": image,
        "category_id": 1,
        "bbox": box,
        "area": 0.5 * box[2] * box[3],
        "iscrowd": 0,
        "num_keypoints": 5,
        "keypoints": keypoints.ravel().tolist(),
        **changes,
    }


def truth() -> dict:
    return {
        "images": [{"id": i, "file_name": f"{i}.png", "width": 400, "height": 300} for i in (7, 8)],
        # One of medium area, two large ones.
        "annotations": [
            person(1, 7, [10, 20, 80, 90]),
            person(2, 8, [20, 30, 150, 200]),
            person(3, 8, [200, 40, 150, 200]),
        ],
        "categories": [{"id": 1, "name": "person", "keypoints": NAMES, "skeleton": []}],
    }


def metric(tmp_path: Path, data: dict | None = None, sigma: float = 0.08, **options) -> CocoAP:
    loaded, scored = tmp_path / "loaded.json", tmp_path / "scored.json"
    loaded.write_text(json.dumps(truth()))
    scored.write_text(json.dumps(data or truth()))
    options = {"score_threshold": 0.2, **options}
    instances = load_coco(loaded, tmp_path, skeleton())
    return CocoAP(instances, scored, skeleton(sigma), Size(64, 64), **options)


def answers(subject: CocoAP, shift: float = 0.0, score: float = 1.0) -> Points:
    xy = np.stack([i.keypoints for i in subject.instances]) + np.array([shift, 0.0])
    return Points(torch.from_numpy(xy), torch.full((len(xy), 5), score))


def pick(points: Points, index: list[int]) -> Points:
    return Points(points.xy[index], points.score[index])


def run(subject: CocoAP, points: Points) -> dict[str, float]:
    subject.update(torch.arange(len(points.xy)), points)
    return subject.compute()


def test_the_truth_scores_a_hundred_on_every_measure(tmp_path):
    subject = metric(tmp_path)
    values = run(subject, answers(subject))
    assert list(values) == ["AP", "AP50", "AP75", "AP_M", "AP_L", "AR", "AR50", "AR75", "AR_M", "AR_L"]
    assert list(values.values()) == pytest.approx([100] * 10)
    assert subject.diagnosis == ""


def test_a_missing_size_class_is_minus_one_not_zero(tmp_path):
    data = truth()
    for annotation in data["annotations"]:
        annotation["area"] = 2e4
    subject = metric(tmp_path, data)
    values = run(subject, answers(subject))
    assert values["AP"] == values["AP_L"] == pytest.approx(100) and values["AP_M"] == -1
    assert subject.diagnosis == "AP_M is -1: no annotated person has an area between 32^2 and 96^2 px"


def test_a_size_class_of_which_nothing_is_found_says_so(tmp_path):
    subject = metric(tmp_path)
    points = answers(subject)
    points.xy[1:] += 500
    values = run(subject, points)
    assert values["AP"] > 0 and values["AP_L"] == 0
    assert subject.diagnosis == "AP_L is 0: no prediction finds a person who has an area above 96^2 px"


def test_repeated_indices_and_the_order_of_batches_change_nothing(tmp_path):
    plain, other = metric(tmp_path), metric(tmp_path)
    points = answers(plain, shift=9.0)
    expected = run(plain, points)
    assert 0 < expected["AP"] < 100
    for batch in ([2, 0], [1, 2], [0]):
        other.update(torch.tensor(batch), pick(points, batch))
    assert other.compute() == expected
    for a, b in zip(plain.predictions(), other.predictions(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_was_gathered_is_forgotten_on_reset(tmp_path):
    subject = metric(tmp_path)
    run(subject, answers(subject, shift=500.0))
    subject.reset()
    with pytest.raises(InputError, match="no predictions"):
        subject.compute()
    assert run(subject, answers(subject))["AP"] == pytest.approx(100)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_predictions_that_are_no_numbers_are_refused_by_instance(tmp_path, value):
    subject = metric(tmp_path)
    points = answers(subject)
    points.xy[1, 2, 0] = value
    with pytest.raises(InputError, match=r"instances \[1\] are not finite; the network has diverged"):
        run(subject, points)


def test_the_skeletons_own_sigmas_decide(tmp_path):
    strict, loose = metric(tmp_path, sigma=0.02), metric(tmp_path, sigma=0.3)
    points = answers(strict, shift=9.0)
    low, high = run(strict, points)["AP"], run(loose, points)["AP"]
    assert low < 20 < 80 < high


def test_joints_count_toward_the_persons_score_only_above_the_threshold(tmp_path):
    subject = metric(tmp_path, score_threshold=0.5)
    points = answers(subject)
    points.score[:] = torch.tensor([[1.0, 0.8, 0.5, 0.4, 0.0], [0.5] * 5, [0.6] * 5])
    subject.update(torch.arange(3), points)
    scores = [d["score"] for d in subject.results(subject.predictions())]
    assert sorted(scores) == pytest.approx(sorted([0.9, 0.0, 0.6]))


def test_the_threshold_moves_the_ranking_and_with_it_ap(tmp_path):
    def ap(threshold):
        subject = metric(tmp_path, score_threshold=threshold)
        points = answers(subject)
        points.xy[1] += 300  # a false alarm with two sure joints, against persons of medium confidence throughout
        points.score[:] = torch.tensor([[0.6] * 5, [0.9, 0.9, 0.1, 0.1, 0.1], [0.6] * 5])
        return run(subject, points)["AP"]

    assert ap(0.0) > ap(0.2)


def test_duplicates_of_a_pose_are_suppressed_and_the_best_kept(tmp_path):
    subject = metric(tmp_path)
    points = answers(subject)
    points.xy[2] = points.xy[1] + 0.5
    points.score[2] = 0.7
    subject.update(torch.arange(3), points)
    kept = subject.results(subject.predictions())
    assert [d["image_id"] for d in kept] == [7, 8] and kept[1]["score"] == 1
    subject.nms_threshold = None
    assert len(subject.results(subject.predictions())) == 3


def unlabelled(data):
    for annotation in data["annotations"]:
        annotation |= {"num_keypoints": 0, "keypoints": [0] * 15}


def moved_to_another_image(data):
    data["images"].append({"id": 9, "file_name": "9.png", "width": 400, "height": 300})
    for annotation in data["annotations"]:
        annotation["image_id"] = 9


def without_area(data):
    for annotation in data["annotations"]:
        annotation["area"] = 0


@pytest.mark.parametrize(
    ("change", "shift", "score", "message"),
    [
        (lambda data: data["annotations"].clear(), 0, 1, "annotates nobody, as test sets do"),
        (unlabelled, 0, 1, "no annotation .* has num_keypoints > 0"),
        (moved_to_another_image, 0, 1, "share no image id"),
        (without_area, 60, 1, "annotations have no area, by which OKS is scaled"),
        (lambda data: None, 900, 0.1, "every person's score is 0; no joint's score exceeds 0.2"),
        (lambda data: None, 900, 1, "no prediction comes within OKS 0.5"),
    ],
)
def test_a_zero_says_why(tmp_path, change, shift, score, message):
    data = truth()
    change(data)
    subject = metric(tmp_path, data)
    values = run(subject, answers(subject, shift, score))
    assert values["AP"] <= 0
    assert re.search(rf"^AP is (0|-1): .*{message}", subject.diagnosis)
