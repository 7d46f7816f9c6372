"""Every data set, in its true layout, from the command line's words to numbers."""

import json
from pathlib import Path

import numpy as np
import pytest
from poserep.report.collect import report

from layouts import generate_coco, generate_crowdpose, generate_human4d, generate_mpii
from poserep.errors import InputError
from poserep.metrics.scorer import Predictions
from poserep.runs.create import prepare
from poserep.training.build import build
from poserep.training.evaluate import configure as reconfigure
from poserep.training.evaluate import reread
from poserep.training.fit import fit

MAKE = {
    "coco": lambda root: generate_coco(root, train=6, val=6),
    "crowdpose": lambda root: generate_crowdpose(root, train=6, val=6, test=6),
    "mpii": lambda root: generate_mpii(root, train=6, val=6),
    "human4d": lambda root: generate_human4d(root, frames=2),
}
DETECTIONS = {
    "coco": "person_detection_results/COCO_val2017_detections_AP_H_56_person.json",
    "crowdpose": "annotations/det_for_crowd_test_0.1_0.5.json",
}
# With which each is trained in the papers, but for the size.
WORDS = {
    "coco": ["augment=hrnet", "data.clip=hrnet", "data.crop.bgr=true", "align=corner"],
    "crowdpose": ["augment=srpose", "augment.half_body_min=6"],
    "mpii": ["augment=mpii", "align=dark"],
    "human4d": ["augment=none", "flip_test=false", "input_size=80x160", "representation.head.joint_channels=null"],
}
CHIEF = {"coco": "AP", "crowdpose": "AP", "mpii": "PCKh@0.5", "human4d": "PCKh-0.5"}
SETS = list(MAKE)


@pytest.fixture(scope="module")
def roots(tmp_path_factory) -> dict[str, Path]:
    return {name: make(tmp_path_factory.mktemp(name)) for name, make in MAKE.items()}


def words(name: str, root: Path) -> list[str]:
    chosen = [w for w in WORDS[name] if not w.startswith("representation")]
    detections = [f"data.detections={DETECTIONS[name]}"] if name in DETECTIONS else []
    return [f"data={name}", f"data.root={root}", *chosen, *detections]


@pytest.mark.parametrize("name", SETS)
def test_a_set_trains_and_evaluates(configure, roots, name):
    run_dir = prepare(configure(*words(name, roots[name])), "backbone")
    result = fit(run_dir)
    boxes = ["gt", "det"] if name in DETECTIONS else ["gt"]
    assert list(result["metrics"]) == boxes and result["columns"][0] == CHIEF[name]
    assert result["loaded"]["train"]["taken"] == result["cost"]["train_instances"] > 0
    assert result["protocol"]["gt"]["argmax"]["hashes"].keys() >= {"annotations"}
    assert result["errors"]["gt"]["argmax"]["labelled"] > 0
    again = reread(run_dir, reconfigure(run_dir, []))
    assert json.dumps(again["metrics"]) == json.dumps(result["metrics"])


@pytest.mark.parametrize("name", SETS)
def test_ground_truth_as_prediction_is_perfect(configure, roots, name):
    run = build(configure(*words(name, roots[name]), "boxes=[gt]"), train=False)
    xy = run.module.scorer.truth.instances.keypoints
    values, _ = run.module.scorer(Predictions(np.arange(len(xy)), xy, np.ones(xy.shape[:2])))
    assert values[CHIEF[name]] == 100
    assert {k: v for k, v in values.items() if k.startswith("RMSE")} == dict.fromkeys(
        (k for k in values if k.startswith("RMSE")), 0
    )


@pytest.mark.parametrize("name", SETS)
def test_crops_hold_what_the_annotations_say(configure, roots, name):
    cfg = configure(*words(name, roots[name]), "boxes=[gt]")
    run = build(cfg, train=False)
    data = run.data.evaluation["gt"]
    for index in range(len(data)):
        sample = data[0, index]
        back = sample.crop._replace(matrix=sample.crop.matrix[None]).to_image(sample.xy[None])[0]
        labelled = data.instances.weight[index] > 0
        np.testing.assert_allclose(back[labelled], data.instances.keypoints[index][labelled], atol=1e-3)
        # Nobody's joints are cut off by the crop of evaluation, but for those outside their own box.
        assert sample.weight[labelled].mean() > 0.6


def test_depths_arrive_as_metres_and_whole(configure, roots):
    cfg = configure(*words("human4d", roots["human4d"]), "input_size=160x320")
    sample = build(cfg, train=False).data.evaluation["gt"][0, 0]
    assert sample.image.shape == (1, 160, 320) and str(sample.image.dtype) == "torch.float32"
    assert 0.5 < sample.image[sample.image > 0].median() < 6
    np.testing.assert_allclose(sample.crop.matrix, [[1, 0, 0], [0, 1, 0]], atol=1e-12)


def test_options_of_loading_can_be_changed_for_an_evaluation(run, configure, roots):
    run_dir, result = run(*words("coco", roots["coco"]), "boxes=[gt]")
    assert result["protocol"]["gt"]["argmax"]["loader"] == {"skip_invalid": False, "clip": "hrnet"}
    exact = reread(run_dir, reconfigure(run_dir, ["data.clip=exact"]))
    assert exact["protocol"]["gt"]["argmax"]["loader"]["clip"] == "exact" and exact["loaded"]["gt"]["taken"] == 6
    boxes = [
        build(reconfigure(run_dir, [f"data.clip={clip}"]), train=False).data.evaluation["gt"].instances.box
        for clip in ("hrnet", "exact")
    ]
    assert (boxes[0][:, 2:] < boxes[1][:, 2:]).any()
    with pytest.raises(InputError, match="nonsense"):
        build(reconfigure(run_dir, ["data.clip=nonsense"]), train=False)


def test_metrics_that_differ_share_no_table(run, roots):
    for name in SETS:
        run_dir, _ = run(*words(name, roots[name]))
    page = report(run_dir.parent).read_text()
    for column in ("AP_E", "PCKh@0.5", "PCKh-0.5", "RMSE"):
        assert f"<th>{column}<sub>gt</sub></th>" in page
    assert page.count("<table") >= 5 and "is 0" in page
    head, *lines = (run_dir.parent / "table.csv").read_text().splitlines()
    # Three readouts, with annotated boxes, and for two sets with detected ones.
    assert "PCKh@0.1" in head and len(lines) == 3 * (4 + 2)


def test_pixels_of_photographs_are_not_for_depths(configure, roots):
    cfg = configure(*words("human4d", roots["human4d"]), "augment=photometric")
    with pytest.raises(InputError, match="no photographs"):
        build(cfg)


def test_test_dev_gives_a_file_to_submit(configure, roots, run):
    run_dir, _ = run(*words("coco", roots["coco"]), "boxes=[gt]")
    found = reread(run_dir, reconfigure(run_dir, ["data=coco_testdev", f"data.root={roots['coco']}", "boxes=null"]))
    assert found["metrics"] == {"det": {"shift": {}, "argmax": {}, "dark": {}}}
    files = sorted(run_dir.glob("person_keypoints_test-dev2017_*_results.json"))
    assert [f.stem.split("_")[-2].split("-")[-1] for f in files] == ["argmax", "dark", "shift"]
    poses = json.loads(files[0].read_text())
    assert poses and all(set(p) == {"image_id", "category_id", "keypoints", "score"} for p in poses)
    assert all(len(p["keypoints"]) == 51 for p in poses)
