"""Kinds of errors on persons made by hand; means and medians worked out by hand."""

import json
from pathlib import Path

import numpy as np
import pytest

from poserep.errors import InputError
from poserep.geometry import Size
from poserep.instances import Instance, Truth
from poserep.metrics.scorer import Predictions
from poserep.metrics.taxonomy import KINDS, error_breakdown
from poserep.skeleton import COCO, Skeleton

NAMES = ("left_hand", "right_hand", "nose")
# With an area of 100 a joint's similarity is exp(-d^2 / 8): 1.14 px are 0.85, 2.35 px are 0.5.
SKELETON = Skeleton("three", NAMES, (("left_hand", "right_hand"),), (), (0.1, 0.1, 0.1))
POSE = np.array([[0, 0], [20, 0], [10, -20]], np.float32)


def moved_by(x: float, y: float) -> np.ndarray:
    return POSE + np.array([x, y], np.float32)


def person(offset: float = 0, image_id: int = 1, weight=(1, 1, 1), area: float = 100, **more) -> Instance:
    box = more.pop("box", np.array([offset - 5, -25, 30, 30]))
    return Instance(Path("a.jpg"), image_id, 7, box, moved_by(offset, 0), np.array(weight), area=area, **more)


def predicted(*poses, index=None) -> Predictions:
    xy = np.array(poses, np.float32)
    return Predictions(np.arange(len(xy)) if index is None else np.array(index), xy, np.ones(xy.shape[:2], np.float32))


def breakdown(predictions: Predictions, instances, skeleton: Skeleton) -> dict:
    return error_breakdown(predictions, Truth(instances, skeleton, "a.json", Size(64, 64)))


def counts(found: dict) -> dict[str, int]:
    return {kind: n for kind, n in found["taxonomy"]["count"].items() if n}


def moved(joint: int, to) -> np.ndarray:
    pose = POSE.copy()
    pose[joint] = to
    return pose


def test_a_joint_is_of_the_first_kind_that_holds():
    for pose, expected in (
        (moved(0, [1.1, 0]), {"good": 3}),
        (moved(0, [1.2, 0]), {"good": 2, "jitter": 1}),
        (moved(0, [0, 2.3]), {"good": 2, "jitter": 1}),
        (moved(0, [0, 2.4]), {"good": 2, "miss": 1}),
        # Left and right exchanged; another joint.
        (POSE[[1, 0, 2]], {"good": 1, "inversion": 2}),
        (moved(2, [1, 1]), {"good": 2, "inversion": 1}),
        # The neighbour's same joint, another of its joints, and all of them.
        (moved(0, [102, 0]), {"good": 2, "swap": 1}),
        (moved(0, [111, -19]), {"good": 2, "swap": 1}),
        (moved_by(100, 0), {"swap": 3}),
    ):
        persons = [person(offset=100), person(), person(image_id=2)]
        found = breakdown(predicted(pose, index=[1]), persons, SKELETON)
        assert counts(found) == expected
        assert (found["persons"], found["labelled"]) == (1, 3)


def test_kinds_are_counted_by_joint():
    found = breakdown(predicted(POSE[[1, 0, 2]], moved_by(0, 90)), [person(), person()], SKELETON)
    assert found["pairs"] == [["left_hand", "right_hand"]]
    left, right, nose = (counts(found["joints"][name]) for name in NAMES)
    assert left == right == {"inversion": 1, "miss": 1} and nose == {"good": 1, "miss": 1}
    assert found["joints"]["nose"]["taxonomy"]["share"] == dict(zip(KINDS, (0.5, 0, 0, 0, 0.5), strict=True))
    assert found["taxonomy"]["share"]["miss"] == 0.5


def test_unlabelled_joints_neither_count_nor_are_met():
    # The right hand lies on the unlabelled left one, the nose on the neighbour's unlabelled nose.
    pose = np.array([[500, 500], [0, 0], [110, -20]])
    persons = [person(weight=(0, 1, 1)), person(100, weight=(1, 1, 0))]
    found = breakdown(predicted(pose, index=[0]), persons, SKELETON)
    assert counts(found) == {"miss": 2} and found["labelled"] == 2
    assert found["joints"]["left_hand"] == {
        "labelled": 0, "mean_px": None, "median_px": None, "mean_normalised": None, "mean_oks": None,
        "taxonomy": {"count": dict.fromkeys(KINDS, 0), "share": dict.fromkeys(KINDS)},
    }  # fmt: skip


def test_the_area_is_that_of_the_neighbour_in_the_image():
    # exp(-25 / 8) by an area of 100, exp(-25 / 128) by one of 1600.
    for neighbour, kind in (({}, "miss"), ({"area": 1600}, "swap"), ({"area": 1600, "image_id": 2}, "miss")):
        persons = [person(), person(100, **neighbour)]
        assert counts(breakdown(predicted(moved_by(105, 0), index=[0]), persons, SKELETON)) == {kind: 3}


def test_means_by_hand():
    offsets = np.array([[[3, 4], [3, 4], [3, 4]], [[0, 0], [0, 0], [0, 0]], [[2, 0], [50, 50], [0, 0]]])
    persons = [person(area=100), person(area=400), person(area=400, weight=(1, 0, 1))]
    found = breakdown(predicted(*(POSE + offsets)), persons, SKELETON)["joints"]
    left = found["left_hand"]
    assert (left["labelled"], left["median_px"]) == (3, 2)
    assert left["mean_px"] == pytest.approx((5 + 0 + 2) / 3)
    assert left["mean_normalised"] == pytest.approx((5 / 10 + 0 + 2 / 20) / 3)
    assert left["mean_oks"] == pytest.approx((np.exp(-25 / 8) + 1 + np.exp(-4 / 32)) / 3)
    assert found["right_hand"]["labelled"] == 2 and found["right_hand"]["mean_px"] == pytest.approx(2.5)


def test_without_areas_similarity_goes_by_the_joints_extent_and_errors_by_heads():
    # 0.53 x 20 x 20 = 212, whatever the box, which may be the whole image.
    bare = {"area": 0, "box": np.array([0, 0, 320, 160])}
    pose = predicted(moved_by(2.4, 0))
    boxed = breakdown(pose, [person(**bare)], SKELETON)
    assert (boxed["area"], boxed["scale"]) == ("0.53 of the joints' extent", "sqrt(area)")
    assert counts(boxed) == {"jitter": 3}
    assert boxed["joints"]["nose"]["mean_normalised"] == pytest.approx(2.4 / np.sqrt(212))
    headed = breakdown(pose, [person(**bare, head=8)], SKELETON)
    assert (headed["area"], headed["scale"]) == ("0.53 of the joints' extent", "head")
    assert headed["joints"]["nose"]["mean_normalised"] == pytest.approx(0.3)
    assert headed["joints"]["nose"]["mean_oks"] == boxed["joints"]["nose"]["mean_oks"]

    assert breakdown(pose, [person(head=3)], SKELETON)["area"] == "annotation"
    mixed = breakdown(pose, [person(head=3), person(**bare, head=3)], SKELETON)
    assert mixed["area"] == "annotation, 0.53 of the joints' extent where it has none"
    assert mixed["scale"] == "sqrt(area)"


def test_joints_that_span_nothing_leave_the_box():
    # One labelled joint, in a box of 20 x 10 px: 106.
    lonely = person(area=0, box=np.array([0, 0, 20, 10]), weight=(1, 0, 0))
    found = breakdown(predicted(moved_by(2.4, 0)), [lonely], SKELETON)
    assert found["joints"]["left_hand"]["mean_normalised"] == pytest.approx(2.4 / np.sqrt(106))


@pytest.mark.filterwarnings("error")
def test_persons_without_labels_need_no_scale():
    unlabelled = person(area=0, box=np.zeros(4), weight=(0, 0, 0))
    found = breakdown(predicted(POSE, POSE), [person(), unlabelled], SKELETON)
    assert (found["area"], found["persons"], found["labelled"]) == ("annotation", 1, 3)
    assert breakdown(predicted(POSE, POSE), [person(area=0, head=4), unlabelled], SKELETON)["scale"] == "head"


@pytest.mark.parametrize("joints", [1, 133])
def test_any_number_of_joints_is_plain_json(joints):
    rng, box = np.random.default_rng(0), np.array([0, 0, 300, 300])
    truth = rng.uniform(0, 200, (30, joints, 2)).astype(np.float32)
    persons = [
        Instance(Path("a.jpg"), i // 3, i, box, xy, rng.random(joints) < 0.8, area=2e4) for i, xy in enumerate(truth)
    ]
    names = tuple(f"joint_{i}" for i in range(joints))
    skeleton = Skeleton("crowd", names, (), (), tuple(np.linspace(0.03, 0.1, joints)))
    found = breakdown(predicted(*(truth + rng.normal(0, 20, truth.shape))), persons, skeleton)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert list(found["joints"]) == list(skeleton.names)


def test_persons_that_cannot_be_judged_are_refused_with_the_reason():
    with pytest.raises(InputError, match="no joint is labelled"):
        breakdown(predicted(POSE), [person(weight=(0, 0, 0))], SKELETON)
    with pytest.raises(InputError, match=r"a\.jpg: person 7 has no area and the box \[0\. 0\. 0\. 0\.\].* positive"):
        breakdown(predicted(POSE), [person(area=0, box=np.zeros(4), weight=(1, 0, 0))], SKELETON)
    with pytest.raises(InputError, match=r"predictions of 3 joints, annotations of 3 and skeleton 'coco' of 17"):
        breakdown(predicted(POSE), [person()], COCO)
