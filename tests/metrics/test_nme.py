"""Normalised errors of landmarks: values by hand, the curve by its definition, resamples, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest

from poserep.errors import InputError
from poserep.geometry import Size
from poserep.instances import Instance, Truth
from poserep.metrics.nme import LandmarkAP, LandmarkErrors
from poserep.metrics.scorer import FinishedResults, Predictions
from poserep.skeleton import Skeleton

FACE = Skeleton("face", ("left_eye", "right_eye", "nose"), (("left_eye", "right_eye"),), (), (0.025,) * 3)
EYES = ["left_eye", "right_eye"]


def truth_of(tmp_path: Path, faces: int, unlabelled: tuple[int, ...] = ()) -> Truth:
    """Return faces whose eyes are 50 px apart, one an image; of some the left eye is not labelled."""
    xy = np.array([[100.0, 100.0], [50.0, 100.0], [75.0, 130.0]])
    weights = [np.array([i not in unlabelled, 1, 1], np.float32) for i in range(faces)]
    box = np.array([40.0, 80.0, 90.0, 40.0])
    persons = [
        {
            "id": i + 1, "image_id": i, "category_id": 1, "bbox": box.tolist(), "area": 900.0, "iscrowd": 0,
            "num_keypoints": int(weight.sum()), "keypoints": np.column_stack([xy, 2 * weight]).ravel().tolist(),
        }
        for i, weight in enumerate(weights)
    ]  # fmt: skip
    images = [{"id": i, "file_name": f"{i}.jpg", "width": 200, "height": 200} for i in range(faces)]
    file = tmp_path / "faces.json"
    file.write_text(json.dumps({"images": images, "annotations": persons, "categories": [{"id": 1, "name": "person"}]}))
    instances = [Instance(Path("none"), i, i + 1, box, xy.astype(np.float32), w) for i, w in enumerate(weights)]
    return Truth(instances, FACE, file, Size(64, 64))


def predictions_of(truth: Truth, off: list[list[float]]) -> Predictions:
    """Return predictions that are off by some px to the right, for each face and joint."""
    xy = truth.instances.keypoints + np.stack([off, np.zeros_like(off)], -1)
    return Predictions(np.arange(len(off)), xy.astype(np.float32), np.ones((len(off), 3), np.float32))


def test_values_by_hand(tmp_path):
    truth = truth_of(tmp_path, 4, unlabelled=(3,))
    found = predictions_of(truth, [[0, 0, 0], [1, 2, 3], [10, 10, 10], [5, 5, 5]])
    # Of 50 px: 0, 4, 20 percent; of the last face the length is not known.
    by_eyes = LandmarkErrors(truth, EYES)
    assert by_eyes(found).values == pytest.approx({"NME": 8, "AUC10": (100 + 60) / 3, "FR10": 100 / 3})
    assert by_eyes.uncounted() == {"without the length that NME is measured in": 1}
    # Of the box's 60 px, by the two labelled joints of the last.
    by_box = LandmarkErrors(truth, limit=8)
    assert by_box(found).values["NME"] == pytest.approx((0 + 2 + 10 + 5) / 4 / 60 * 100, rel=1e-6)
    assert by_box.lower == {"NME", "FR8"} and not by_box.uncounted()


def test_the_area_is_that_under_the_curve(tmp_path):
    rng = np.random.default_rng(0)
    truth = truth_of(tmp_path, 40)
    found = predictions_of(truth, rng.exponential(4, (40, 3)).tolist())
    scorer = LandmarkErrors(truth, EYES, limit=10)
    errors = scorer.sums(found)[:, 0]
    at = np.linspace(0, 10, 20001)
    curve = (errors[:, None] <= at).mean(0)
    assert scorer(found).values["AUC10"] == pytest.approx(100 * np.trapezoid(curve, at) / 10, abs=0.01)
    assert scorer(found).values["FR10"] == pytest.approx(100 * (errors > 10).mean())


def test_beside_ap_with_resamples_of_both(tmp_path):
    truth = truth_of(tmp_path, 12)
    found = predictions_of(truth, np.random.default_rng(1).exponential(2, (12, 3)).tolist())
    scorer = LandmarkAP(truth, EYES)
    values = scorer(found).values
    assert scorer.columns == ("AP", "NME", "AUC10", "FR10") and {"AP_M", *scorer.columns} <= values.keys()
    ones = np.ones((1, 12), np.int32)
    for names in (None, ["AP"], ["NME"], ["AP", "NME"]):
        resampled = scorer.resampler(found, names)(ones)
        assert all(resampled[name][0] == pytest.approx(values[name]) for name in names or scorer.columns)
    of_six = np.arange(12)[None] % 2
    half = scorer.resampler(found, ["AP", "NME"])(of_six)["NME"][0]
    assert half == pytest.approx(scorer.landmarks(found.take(np.arange(1, 12, 2))).values["NME"])


def test_nobody_knows_whose_errors_those_of_found_people_are(tmp_path):
    truth = truth_of(tmp_path, 2)
    near = predictions_of(truth, [[1, 1, 1], [1, 1, 1]])
    finished = FinishedResults(near.index, near.xy, near.score, image_id=near.index, person_score=np.ones(2))
    values = LandmarkAP(truth, EYES)(finished).values
    assert values["AP"] > 0 and np.isnan(values["NME"])


@pytest.mark.parametrize(
    "options, message",
    [
        ({"normaliser": ["left_eye", "ear"]}, "neither box nor two joints of face, such as [left_eye,nose]"),
        ({"normaliser": ["nose", "nose"]}, "neither box nor two joints"),
        ({"normaliser": "eyes"}, "data.metric.normaliser=eyes is neither"),
        ({"limit": 0}, "data.metric.limit=0 is not a number above 0"),
    ],
)
def test_what_is_no_length_or_limit_is_refused(options, message, tmp_path):
    with pytest.raises(InputError) as error:
        LandmarkAP(truth_of(tmp_path, 1), **options)
    assert message in str(error.value)
