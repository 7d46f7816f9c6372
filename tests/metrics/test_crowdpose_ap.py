"""CrowdPose AP against the official tool's numbers; easy, medium and hard images; what cannot be told apart."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from poserep.data.loaders.crowdpose import load_crowdpose
from poserep.errors import InputError
from poserep.geometry import Size
from poserep.instances import Instance, Truth
from poserep.metrics.crowdpose import CrowdPoseAP
from poserep.metrics.scorer import Predictions
from poserep.skeleton import CROWDPOSE
from reference.vectors import arrays, full

SIZE = Size(64, 64)
VALUES = ["AP", "AP50", "AP75", "AR", "AR50", "AR75", "AP_E", "AP_M", "AP_H"]


def truth(*crowding) -> dict:
    """One image for each crowd index, with one person of 14 joints on a line."""
    xy = np.stack([np.linspace(20, 60, 14), np.linspace(30, 110, 14), np.full(14, 2)], 1)
    person = {"category_id": 1, "bbox": [10, 20, 60, 100], "iscrowd": 0, "keypoints": xy.ravel().tolist()}
    images = [{"id": i, "file_name": f"{i}.jpg", "width": 200, "height": 200} for i in range(1, len(crowding) + 1)]
    return {
        "images": [{**image, "crowdIndex": c} for image, c in zip(images, crowding, strict=True)],
        "annotations": [{**person, "id": i["id"], "image_id": i["id"], "num_keypoints": 14} for i in images],
        "categories": [{"id": 1, "name": "person", "keypoints": [*CROWDPOSE.names[:12], "top_head", "neck"]}],
    }


def scorer(folder: Path, data: dict, **options) -> CrowdPoseAP:
    path = folder / "a.json"
    path.write_text(json.dumps(data))
    return CrowdPoseAP(Truth(load_crowdpose(path, folder, CROWDPOSE), CROWDPOSE, path, SIZE), **options)


def predicted(subject: CrowdPoseAP, shift=0.0) -> Predictions:
    xy = subject.truth.instances.keypoints.copy()
    xy[..., 0] += np.reshape(shift, (-1, 1))
    return Predictions(np.arange(len(xy)), xy, np.ones(xy.shape[:2], np.float32))


def run(subject: CrowdPoseAP, shift=0.0) -> dict[str, float]:
    return subject(predicted(subject, shift)).values


def test_the_truth_scores_a_hundred_on_every_measure(tmp_path):
    subject = scorer(tmp_path, truth(0.0, 0.5, 0.9))
    values, diagnosis = subject(predicted(subject))
    assert list(values) == VALUES and list(values.values()) == pytest.approx([100] * 9)
    assert diagnosis == "" and subject.area == "box"


@pytest.mark.parametrize(("splits", "where"), [((0.2, 0.8), [0, 1, 1, 2]), ((0.1, 0.8), [1, 1, 1, 2])])
def test_parts_are_half_open_and_see_their_own_images_alone(tmp_path, splits, where):
    # One image after the other is missed; a part's AP falls only with its own.
    for lost in range(4):
        subject = scorer(tmp_path, truth(0.19, 0.2, 0.79, 0.8), splits=splits)
        values = run(subject, [500.0 * (i == lost) for i in range(4)])
        for part, name in enumerate(("AP_E", "AP_M", "AP_H")):
            if part not in where:
                assert values[name] == -1
            elif where[lost] != part:
                assert values[name] == pytest.approx(100)
            else:
                assert values[name] < 70


def test_joints_shifted_by_known_pixels_score_what_the_formula_gives(tmp_path):
    subject = scorer(tmp_path, truth(0.5))
    squared, area, variance = 8.0**2, 0.53 * 60 * 100, (2 * np.array(CROWDPOSE.sigmas)) ** 2
    assert np.exp(-squared / (2 * area * variance)).mean() == pytest.approx(0.6742, abs=1e-4)
    # Of the thresholds .50, .55, ... it reaches four.
    assert run(subject, 8.0)["AP"] == pytest.approx(40)


def test_parts_without_persons_say_so(tmp_path):
    subject = scorer(tmp_path, truth(0.5, 0.9))
    values, diagnosis = subject(predicted(subject, [0.0, 500.0]))
    assert values["AP_E"] == -1 and values["AP_H"] == 0
    assert diagnosis == (
        "AP_E is undefined: there is no labelled person on an image with a crowdIndex below 0.2; "
        "AP_H is 0: no prediction finds a person on an image with a crowdIndex of 0.8 or more"
    )


def test_images_without_crowd_index_and_splits_that_do_not_ascend_are_refused(tmp_path):
    for index in (None, "dense", float("nan"), -1, 1e400):
        with pytest.raises(InputError, match=r"a\.json: images \[2\] have no crowdIndex, .*CocoAP with area=box"):
            run(scorer(tmp_path, truth(0.5, index)))
    for splits in ((0.8, 0.2), (0.5,), (0.2, 0.2)):
        with pytest.raises(InputError, match="must be two ascending crowd indices"):
            scorer(tmp_path, truth(0.5), splits=splits)


def test_resampled_images_count_as_often_as_they_are_drawn(tmp_path):
    subject = scorer(tmp_path, truth(0.1, 0.5, 0.6, 0.3))
    predictions = predicted(subject, [0.0, 9.0, 500.0, 3.0])
    values = subject(predictions).values
    resampler = subject.resampler(predictions)
    assert resampler.images.tolist() == [1, 2, 3, 4]
    found = resampler(np.array([[1, 1, 1, 1], [1, 2, 0, 0]]))
    assert [found[name][0] for name in VALUES[:8]] == pytest.approx([values[name] for name in VALUES[:8]])
    assert np.isnan(found["AP_H"]).all()
    alone = run(scorer(tmp_path, truth(0.1, 0.5)), [0.0, 9.0])
    assert found["AP_M"][1] == pytest.approx(alone["AP_M"]) and found["AP_E"][1] == pytest.approx(100)


@pytest.mark.real
@pytest.mark.parametrize("file", full("crowd_eval"))
def test_numbers_are_those_of_the_official_tool(real_data, file):
    v, results = arrays(file), json.loads(gzip.decompress((file.parent / "crowd_results_A.json.gz").read_bytes()))
    nothing = np.array([0, 0, 1, 1.0]), np.zeros((14, 2), np.float32), np.zeros(14, np.float32)
    instances = [Instance(Path("none"), r["image_id"], n, *nothing, score=r["score"]) for n, r in enumerate(results)]
    truth = Truth(instances, CROWDPOSE, real_data / "crowdpose" / "crowdpose_val.json", SIZE)
    xy = np.array([r["keypoints"] for r in results], np.float32).reshape(-1, 14, 3)[..., :2]
    subject, other = (CrowdPoseAP(truth, nms_threshold=None, splits=(low, 0.8)) for low in (0.2, 0.1))
    evaluation = subject.match(Predictions(np.arange(len(xy)), xy, np.ones(xy.shape[:2], np.float32)))
    found, otherwise = (np.array(list(s.summary(evaluation).values())) / 100 for s in (subject, other))
    np.testing.assert_allclose(found[:6], v["A_stats"][[0, 1, 2, 5, 6, 7]], atol=1e-9)
    np.testing.assert_allclose(found[6:], v["A_types_unrounded"], atol=1e-9)
    np.testing.assert_allclose(otherwise[6:], v["A_types_split_01_08"], atol=1e-9)
    # The tool rounds them.
    np.testing.assert_array_equal(found[6:].round(4), v["A_stats"][8:])
    np.testing.assert_array_equal(np.bincount(subject.crowding(evaluation.images.tolist())), v["split_counts"])
