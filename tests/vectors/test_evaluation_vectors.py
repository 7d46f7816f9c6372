"""OKS, suppression, rescoring and COCO numbers against HRNet's code and pycocotools."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from poserep.geometry import Size
from poserep.instances import Instance, Truth
from poserep.metrics.coco import CocoAP
from poserep.metrics.oks import oks_nms, pose_oks
from poserep.metrics.scorer import Predictions
from poserep.skeleton import COCO
from reference.vectors import HERE, arrays, full

# Only the full set holds C.
RESULTS = [(HERE / "coco_eval.npz", name) for name in "AB"]
RESULTS += [pytest.param(*param.values, "C", marks=param.marks, id="C") for param in full("coco_eval")]


def test_oks_matrix_and_poses_kept_are_hrnets():
    v, sigmas, suppressed = arrays("oks_nms"), np.array(COCO.sigmas), 0
    columns = (v[k] for k in ("kpts", "area", "score", "n", "thr", "keep", "oks"))
    for kpts, area, score, n, thr, keep, theirs in zip(*columns, strict=True):
        a, b = np.divmod(np.arange(n * n), n)
        similar = pose_oks(kpts[a, :, :2], kpts[b, :, :2], area[a], area[b], sigmas)
        np.testing.assert_allclose(similar, theirs[:n, :n].ravel(), atol=1e-9)
        ours = oks_nms(kpts[:n, :, :2], score[:n], area[:n], np.zeros(n), sigmas, thr)
        # NumPy's argsort leaves the order of equal scores to the processor, and the reference with it.
        assert sorted(ours) == sorted(keep[keep >= 0])
        assert score[ours].tolist() == score[keep[keep >= 0]].tolist()
        suppressed += n - len(ours)
    assert suppressed > 20


def scorer(image_id, wh, score, annotations, **options) -> CocoAP:
    nothing = np.zeros((17, 2), np.float32), np.zeros(17, np.float32)
    instances = [
        Instance(Path("none"), int(i), n, np.array([0, 0, *box]), *nothing, score=float(s))
        for n, (i, box, s) in enumerate(zip(image_id, wh, score, strict=True))
    ]
    return CocoAP(Truth(instances, COCO, annotations, Size(256, 192)), **options)


@pytest.mark.real
@pytest.mark.parametrize(
    ("variant", "nms", "threshold"), [("hard9", 0.9, 0.2), ("hard5", 0.5, 0.2), ("simcc", 0.9, 0.01)]
)
def test_rescored_and_suppressed_results_score_as_in_hrnets_evaluate(coco_subset, variant, nms, threshold):
    v = arrays("coco_hrnet_evaluate")
    image_id, wh, score = v["image_id"], v["boxes"][:, 2:4] * 200, v["boxes"][:, 5]
    subject = scorer(image_id, wh, score, coco_subset, nms_threshold=nms)
    # The reference's boxes do not have the aspect ratio of an input, as those of a real run do.
    subject.crop_areas = v["boxes"][:, 4]
    preds = v["preds"].astype(np.float32)
    predictions = Predictions(np.arange(len(preds)), preds[..., :2], preds[..., 2], threshold)
    results = subject.results(predictions)
    assert len(results) == v[f"{variant}_n"]
    if f"{variant}_score" in v:
        np.testing.assert_allclose([d["score"] for d in results], v[f"{variant}_score"], rtol=1e-5)
    # Ten values in percent; the reference has float32 coordinates as well, so the matching is the same.
    np.testing.assert_allclose(list(subject(predictions).values.values()), v[f"{variant}_stats"] * 100, atol=1e-6)


@pytest.mark.real
@pytest.mark.parametrize(("file", "name"), RESULTS)
def test_coco_numbers_are_those_of_pycocotools(coco_subset, file, name):
    results = json.loads(gzip.decompress((file.parent / f"coco_results_{name}.json.gz").read_bytes()))
    image_id, score = ([r[key] for r in results] for key in ("image_id", "score"))
    subject = scorer(image_id, [(1, 1)] * len(results), score, coco_subset, nms_threshold=None)
    xy = np.array([r["keypoints"] for r in results], np.float32).reshape(-1, 17, 3)[..., :2]
    values, _ = subject(Predictions(np.arange(len(xy)), xy, np.ones((len(xy), 17), np.float32)))
    fractions = [value if value < 0 else value / 100 for value in values.values()]
    np.testing.assert_allclose(fractions, arrays(file)[f"{name}_stats"], rtol=0, atol=1e-9)
