"""Runs on whole images: trained, evaluated, stored, compared and reported as all others, under a name of their own."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from test_distributed import in_ranks, train_on_two

from official_models import CASES, FOLDER, official, same
from poserep import cli
from poserep.config import compose
from poserep.errors import InputError
from poserep.metrics.scorer import FinishedResults, Predictions
from poserep.report.compare.stored import read_side, rebuild
from poserep.runs.create import prepare
from poserep.runs.rundir import RunDir
from poserep.training.evaluate import configure as reconfigure
from poserep.training.evaluate import reevaluate, restore
from poserep.training.fit import fit
from poserep.training.import_checkpoint import import_checkpoint
from poserep.training.kept_crops import save_worst
from reference.weights import image
from tiny import SMOKE

# A network that has learnt nothing finds people where every positive value is a maximum.
FINDS = ["representation=bottomup", "augment=scenes", "representation.codec.parser.threshold=0"]
SCENES = [*SMOKE, "data.level=scenes", "data.prepare.train=10", "data.prepare.val=12", "input_size=64x64", *FINDS]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("scenes")


def composed(folder: Path, *overrides: str):
    return compose([*SCENES, f"data.root={folder}/data", f"runs={folder}/runs", *overrides]).cfg


@pytest.fixture(scope="module")
def scene_run(folder) -> RunDir:
    run_dir = prepare(composed(folder), "backbone")
    fit(run_dir)
    return run_dir


def test_people_are_found_stored_and_scored_as_they_were(scene_run, capsys):
    result = scene_run.result()
    assert list(result["metrics"]) == ["scene"]
    assert list(result["metrics"]["scene"]) == ["dark", "shift", "argmax", "adjust"]
    protocol = result["protocol"]["scene"]["dark"]
    assert (protocol["boxes"], protocol["decoding"]["threshold"], protocol["crop"]["multiple"]) == ("scene", 0, 64)
    assert "nms_threshold" not in protocol["metric"]
    for side in read_side(f"{scene_run}:shift", None):
        scorer, people = rebuild(side)
        assert isinstance(people, FinishedResults) and len(people.xy) > 0
        assert set(people.image_id.tolist()) <= set(scorer.truth.instances.image_id.tolist())
        assert side.agrees("AP", scorer(people).values["AP"])
    assert cli.main(["compare", str(scene_run), f"{scene_run}:argmax", "--samples", "20"]) == 0
    said = capsys.readouterr().out
    assert "scene boxes" in said and "A - B: " in said
    with np.load(scene_run.predictions_file()) as stored:
        assert {"scene/dark/image_id", "scene/dark/person_score", "scene/dark/xy", "scene/box"} <= {*stored}


def test_the_worst_persons_are_shown_as_those_of_boxes_would_be(scene_run, tmp_path):
    run = restore(scene_run, reconfigure(scene_run, []))
    table = run.module.scorers["scene"].truth.instances
    found = Predictions(np.arange(len(table)), table.keypoints + 3, np.ones(table.weight.shape, np.float32))
    # One readout misses whoever is first.
    save_worst(
        run, dict.fromkeys(run.module.readouts, found) | {"argmax": found.take(slice(1, None))}, tmp_path / "worst.npz"
    )
    with np.load(tmp_path / "worst.npz") as worst:
        assert worst["image"].shape == (12, 256, 192, 3) and set(worst["index"].tolist()) == set(range(12))
        shift = (worst["dark/xy"] - worst["xy"])[worst["weight"] > 0]
        np.testing.assert_allclose(shift[:, 0], shift[:, 1], atol=1e-3)


def test_evaluating_again_gives_the_same_and_what_a_test_does_may_change(scene_run, capsys):
    again = reevaluate(scene_run, reconfigure(scene_run, []))
    assert again["metrics"] == scene_run.result()["metrics"]
    other = reevaluate(scene_run, reconfigure(scene_run, ["flip_test=false", "representation.scenes.scales=[2,1]"]))
    assert other["protocol"]["scene"]["dark"]["crop"]["scales"] == [2, 1]
    assert cli.main(["compare", str(scene_run), str(scene_run.result_file(other["id"])), "--samples", "10"]) == 0
    assert "not the same protocol in: flip_test" in capsys.readouterr().out
    with pytest.raises(InputError, match=r"finds people in whole images, without boxes \(AP_scene\); set boxes=null"):
        reevaluate(scene_run, reconfigure(scene_run, ["boxes=[gt]"]))


def test_test_images_give_a_file_to_submit(scene_run, tiny_sets):
    words = ["data=coco_testdev", f"data.root={tiny_sets['coco']}", "boxes=null"]
    result = reevaluate(scene_run, reconfigure(scene_run, words))
    assert list(result["metrics"]) == ["scene"] and "errors" not in result
    files = sorted(scene_run.path.glob("person_keypoints_test-dev2017_*_results.json"))
    poses = json.loads(files[0].read_text())
    assert poses and len(files) == 4
    assert all(set(p) == {"image_id", "category_id", "keypoints", "score"} for p in poses)


def test_what_cannot_be_learnt_from_is_refused_before_the_first_batch(folder, tiny_sets):
    for overrides, message in (
        (["augment=light"], "augment=scenes"),
        (["representation.scenes.scales=[2,0.5]"], "lack 1"),
        (
            ["representation.scenes.multiple=48"],
            "multiple=48 gives inputs that backbone TimmFeatures cannot take|shorter",
        ),
        (["input_size=96x96"], "shorter side is that of evaluation, whose sides are multiples of .*=64 px"),
        (["backbone=vitpose_s"], "backbone ViTPose fails on 64x128"),
        (
            [
                *(f"~data.metric.{key}" for key in ("nms_threshold", "area", "max_detections", "matcher")),
                "data.metric._target_=poserep.metrics.EPE",
            ],
            "data.metric EPE needs to know whom a prediction is of",
        ),
        (["representation.codec.maps.heatmap.stride=5"], "does not divide into bins of 5 px"),
        (["representation.codec.readouts.mass={_target_: poserep.codecs.CentreOfMass}"], "no key|looks at a whole map"),
        (["representation.codec.parser.kernel=4"], "kernel=4 must be odd"),
    ):
        with pytest.raises(InputError, match=message):
            fit(prepare(composed(folder, *overrides), "backbone"))
    persons = [word for word in SCENES if "representation" not in word]
    mpii = [*SMOKE, *FINDS, "data=mpii", f"data.root={tiny_sets['mpii']}", f"runs={folder}/runs"]
    with pytest.raises(InputError, match="annotations in COCO's format"):
        fit(prepare(compose(mpii).cfg, "backbone"))
    with pytest.raises(InputError, match="augment=scenes is for whole images"):
        fit(prepare(compose([*persons, f"data.root={folder}/data", f"runs={folder}/runs"]).cfg, "backbone"))


@pytest.mark.long
def test_two_and_three_processes_find_what_one_finds(folder, tmp_path):
    run_dir = prepare(composed(folder, "trainer.devices=2", "trainer.epochs=2", "trainer.batch=2"), "backbone")
    train_on_two(run_dir, tmp_path / "two")
    two, predictions = run_dir.result(), run_dir.predictions_file().read_bytes()
    one = reevaluate(run_dir, reconfigure(run_dir, ["trainer.devices=1"]))["id"]
    file = run_dir.predictions_file(one)
    assert file.read_bytes() == predictions and run_dir.result(one)["metrics"] == two["metrics"]
    file.unlink()
    in_ranks(3, ["evaluate", str(run_dir), "trainer.devices=3"], tmp_path / "three")
    assert file.read_bytes() == predictions


@pytest.mark.long
@pytest.mark.skipif(not FOLDER.is_dir(), reason="POSEREP_MODELS names no folder: no manifests of official models")
def test_official_weights_are_imported_give_the_official_maps_and_decode_a_drawn_scene(folder, tmp_path):
    name = "bottomup_res50_sr_512x512"
    state, v = official(name, CASES[name]())
    torch.save({"state_dict": state}, tmp_path / "official.pth")
    words = ["backbone=resnet50", "representation=bottomup_sr", "size=512x512", "data.level=scenes"]
    drawn = ["data.prepare.train=10", "data.prepare.val=12", f"data.root={folder}/data", f"runs={tmp_path}/runs"]
    run_dir = import_checkpoint(tmp_path / "official.pth", [*words, *drawn, "trainer=smoke", "flip_test=false"])
    run = restore(run_dir, reconfigure(run_dir, ["representation.codec.parser.max_people=5"]))
    net = run.module.net.eval()
    with torch.no_grad():
        out = net.head(net.backbone(image(512, 512)))
        same(out, v["out0"], v["out0_shape"][1:], v["out0_stride"])
        # Weights that were made from names find something anywhere.
        scene = run.data.evaluation["scene"][0, 0]
        people = run.module.codec.decode(run.module.predict_batch(scene.image[None]))
    assert len(people.row) > 0 and torch.isfinite(people.xy).all()


@pytest.mark.long
def test_a_few_drawn_people_are_learnt_by_heart(folder):
    # One picture of four, which is as large in training as in evaluation.
    words = ["representation=bottomup", "representation.codec.maps.heatmap.sigma=1", "backbone=resnet18"]
    words += ["data.level=scenes", "data.prepare.train=4", "data.prepare.val=1", "input_size=192x128", "augment=none"]
    words += ["data.val.annotations=annotations/train.json", "data.val.images=images/train", "flip_test=false"]
    words += ["optim.lr=2e-3", "optim.reference_batch=1", "trainer.batch=1", "trainer.workers=0", "trainer.epochs=100"]
    words += ["trainer.evaluate_every=100", f"data.root={folder}/data", f"runs={folder}/runs"]
    result = fit(prepare(compose(words).cfg, "resnet18"))
    assert result["metrics"]["scene"]["shift"]["AP"] > 90
