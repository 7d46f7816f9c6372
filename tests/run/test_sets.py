"""Every data set, drawn in its true layout, real or with any number of joints, from words to numbers."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from poserep.config import DictConfig, compose, make
from poserep.data import coco_file
from poserep.data.from_config import dataset_of, instances_of, root_of, skeleton_of, truth_of
from poserep.data.json_fields import read_json
from poserep.errors import InputError
from poserep.metrics.scorer import Predictions
from poserep.report.study import write_report
from poserep.runs.create import prepare
from poserep.training.build import build
from poserep.training.evaluate import configure as reconfigure
from poserep.training.evaluate import reevaluate
from poserep.training.fit import fit
from reference.vectors import listed
from tiny import SMOKE

DETECTIONS = {
    "coco": "person_detection_results/COCO_val2017_detections_AP_H_56_person.json",
    "crowdpose": "annotations/det_for_crowd_test_0.1_0.5.json",
}
# With which each is trained in the papers, but for the size.
WORDS = {
    "coco": ["augment=hrnet", "data.clip=hrnet", "data.crop.bgr=true", "align=corner"],
    "crowdpose": ["augment=srpose", "augment.half_body_min=6"],
    "mpii": ["augment=mpii", "align=dark"],
    "human4d": ["augment=none", "flip_test=false", "input_size=80x160"],
}
CHIEF = {"coco": "AP", "crowdpose": "AP", "mpii": "PCKh@0.5", "human4d": "PCKh-0.5"}


@pytest.fixture(scope="module")
def config(tiny_sets, tmp_path_factory) -> Callable[..., DictConfig]:
    """Composes the configuration of a set's short run, with further overrides."""
    runs = tmp_path_factory.mktemp("runs")

    def go(name: str, *overrides: str) -> DictConfig:
        detections = [f"data.detections={DETECTIONS[name]}"] if name in DETECTIONS else []
        words = [*SMOKE, f"runs={runs}", f"data={name}", f"data.root={tiny_sets[name]}"]
        return compose([*words, *WORDS[name], *detections, *overrides]).cfg

    return go


@pytest.fixture(scope="module")
def trained(config) -> dict[str, tuple[Path, dict[str, Any]]]:
    """A run of each set: directory and result."""
    runs = {name: prepare(config(name), "backbone") for name in WORDS}
    return {name: (run_dir.path, fit(run_dir)) for name, run_dir in runs.items()}


def test_each_set_trains_and_evaluates_and_has_a_table_of_its_own(trained):
    for name, (run_dir, result) in trained.items():
        assert list(result["metrics"]) == (["gt", "det"] if name in DETECTIONS else ["gt"])
        assert result["columns"][0] == CHIEF[name]
        assert result["loaded"]["train"]["taken"] == result["cost"]["train_instances"] > 0
        assert result["protocol"]["gt"]["argmax"]["hashes"].keys() >= {"annotations"}
        assert result["errors"]["gt"]["argmax"]["labelled"] > 0
        with np.load(run_dir / "worst.npz") as worst:
            assert (worst["oks"] >= 0).all() and (worst["oks"] <= 1).all() and (worst["kind"].max(1) >= 0).all()
    study = trained["coco"][0].parent
    page = write_report(study).read_text()
    for column in ("AP_E", "PCKh@0.5", "PCKh-0.5", "RMSE"):
        assert f"{column}_gt" in page
    assert page.count("<table") >= 5 and "is 0" in page
    head, *lines = (study / "table.csv").read_text().splitlines()
    # Three readouts, with annotated boxes, and for two sets with detected ones.
    assert "PCKh@0.1" in head and len(lines) == 3 * (4 + 2)


def test_crops_hold_what_the_annotations_say_and_the_truth_scores_a_hundred(config):
    for name in WORDS:
        cfg = config(name)
        skeleton, root = skeleton_of(cfg), root_of(cfg)
        instances = instances_of(cfg, "val", skeleton, root)
        data = dataset_of(cfg, instances, skeleton)
        for index, person in enumerate(instances):
            sample = data[0, index]
            back = sample.crop._replace(matrix=sample.crop.matrix[None]).to_image(sample.xy[None])[0]
            labelled = person.weight > 0
            np.testing.assert_allclose(back[labelled], person.keypoints[labelled], atol=1e-3)
            # Nobody's joints are cut off by the crop of evaluation, but for those outside their own box.
            assert sample.weight[labelled].mean() > 0.6
        xy = np.stack([person.keypoints for person in instances])
        scorer = make(cfg.data.metric, truth_of(cfg, instances, skeleton, root))
        values, _ = scorer(Predictions(np.arange(len(xy)), xy, np.ones(xy.shape[:2])))
        assert values[CHIEF[name]] == 100
        assert not any(value for column, value in values.items() if column.startswith("RMSE"))


def test_a_run_parses_its_validation_file_once(config, monkeypatch):
    parsed = []
    monkeypatch.setattr(coco_file, "read_json", lambda path, what: parsed.append(path.name) or read_json(path, what))
    coco_file._parse.cache_clear()
    run = build(config("coco"))
    instances = run.data.evaluation["gt"].instances
    run.module.scorer(Predictions(np.arange(len(instances)), instances.keypoints, np.ones(instances.weight.shape)))
    assert [name for name in parsed if "keypoints_val" in name] == ["person_keypoints_val2017.json"]


def test_options_of_loading_can_be_changed_for_an_evaluation(trained, tmp_path):
    run_dir, result = trained["coco"]
    copy = Path(shutil.copytree(run_dir, tmp_path / "run"))
    loader = {"category": None, "boxes": "annotated", "fields": None, "skip_invalid": False, "clip": "hrnet"}
    assert result["protocol"]["gt"]["argmax"]["loader"] == loader
    words = ["data.clip=exact", "boxes=[gt]", "data.orientation=upright", "data.range=[0,4095]"]
    exact = reevaluate(copy, reconfigure(copy, words))
    protocol = exact["protocol"]["gt"]["argmax"]
    assert protocol["loader"]["clip"] == "exact" and exact["loaded"]["gt"]["taken"] == 6
    assert (protocol["loader"]["orientation"], protocol["loader"]["range"]) == ("upright", [0, 4095])
    assert protocol["pictures"] == exact["config"]["contents"]["pictures val"]
    with pytest.raises(InputError, match=r"optim\.lr changes nothing of a trained run; leave it out"):
        reconfigure(copy, ["optim.lr=1"])
    with pytest.raises(InputError, match="nonsense"):
        build(reconfigure(copy, ["data.clip=nonsense"]), train=False)


def test_test_dev_gives_a_file_to_submit(trained, tiny_sets, tmp_path):
    run_dir = Path(shutil.copytree(trained["coco"][0], tmp_path / "run"))
    words = ["data=coco_testdev", f"data.root={tiny_sets['coco']}", "boxes=null"]
    metrics = reevaluate(run_dir, reconfigure(run_dir, words))["metrics"]
    assert metrics == {"det": {"shift": {}, "argmax": {}, "dark": {}}}
    files = sorted(run_dir.glob("person_keypoints_test-dev2017_*_results.json"))
    assert [f.stem.split("_")[-2].split("-")[-1] for f in files] == ["argmax", "dark", "shift"]
    poses = json.loads(files[0].read_text())
    assert poses and all(set(p) == {"image_id", "category_id", "keypoints", "score"} for p in poses)
    assert all(len(p["keypoints"]) == 51 for p in poses)


REAL = listed("real_sets")


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_real_files_train_and_evaluate(configure, real_data, name):
    cfg = configure(*REAL[name], f"data.root={real_data / name}", "trainer.batch=8", "trainer.limit=8")
    result = fit(prepare(cfg, "backbone"))
    assert list(result["metrics"]) == (["gt", "det"] if "data.detections" in " ".join(REAL[name]) else ["gt"])
    assert result["protocol"]["gt"]["argmax"]["real"] and result["errors"]["gt"]["argmax"]["labelled"] > 10
    assert result["loaded"]["train"]["taken"] > 0


def names(count):
    return [f"{side}_{i}" for i in range(count // 2) for side in ("left", "right")] + ["middle"] * (count % 2)


def crowd(source, folder, count):
    """Write the tiny data set with that many random joints in every box, and a skeleton file for them."""
    rng = np.random.default_rng(count)
    for split in ("train", "val"):
        data = json.loads((source / f"annotations/{split}.json").read_text())
        data["categories"] = [{"id": 1, "name": "person", "keypoints": names(count)}]
        for annotation in data["annotations"]:
            x, y, w, h = annotation["bbox"]
            points = rng.uniform((x, y), (x + w - 1, y + h - 1), (count, 2))
            annotation["keypoints"] = [v for point in points.tolist() for v in (*point, 2)]
            annotation["num_keypoints"] = count
        (folder / f"{split}.json").write_text(json.dumps(data))
    skeleton = {"keypoints": names(count), "sigmas": [0.05] * count, "upper": names(count)[: count // 2]}
    skeleton["pairs"] = [[f"left_{i}", f"right_{i}"] for i in range(count // 2)]
    (folder / "skeleton.yaml").write_text(yaml.safe_dump(skeleton))
    images = [f"data.{split}.images={source}/images/{split}" for split in ("train", "val")]
    return ["data=lspet", f"data.root={folder}", f"data.skeleton={folder}/skeleton.yaml", *images]


def test_any_number_of_joints_trains_and_reports(run, synthetic, tmp_path):
    source = next(synthetic.glob("easy-8-6-*"))
    for count, representation in (1, "heatmap"), (133, "simcc"):
        words = [f"representation={representation}", "augment=hrnet", f"study=joints{count}"]
        run_dir, result = run(*crowd(source, tmp_path, count), *words)
        readout = next(iter(result["metrics"]["gt"]))
        assert len(result["errors"]["gt"][readout]["joints"]) == count
        with np.load(run_dir / "predictions.npz") as file:
            assert file[f"gt/{readout}/xy"].shape == (6, count, 2)
    assert write_report(run_dir.parent).is_file()
