"""A run from the command line to the page, and what changes none of its numbers."""

import json
import shutil

import numpy as np

from poserep import cli
from poserep.report.study import write_report
from poserep.runs.create import prepare
from poserep.runs.rundir import RunDir
from poserep.training.evaluate import configure as reconfigure
from poserep.training.evaluate import reevaluate
from spoiling import edit


def test_train_evaluate_report(synthetic, tmp_path, monkeypatch, capsys):
    def poserep(*words):
        assert cli.main([str(word) for word in words]) == 0
        return capsys.readouterr().out

    monkeypatch.chdir(tmp_path)
    tiny = ["trainer=smoke", "data.prepare.train=8", "data.prepare.val=6", f"data.root={synthetic}", "study=table"]
    out = poserep("train", *tiny, "representation=simcc")
    assert "batch 4 on 1 cpu" in out and "GMACs" in out and "img/s" in out
    (run_dir,) = (tmp_path / "runs" / "table").iterdir()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["runs"], "a run leaves nothing but its directory"
    files = {"config.yaml", "status.json", "metrics.jsonl", "checkpoints", "predictions.npz", "result.json"}
    assert files <= {p.name for p in run_dir.iterdir()}
    result = json.loads((run_dir / "result.json").read_text())
    assert run_dir.name.endswith(result["id"]) and run_dir.name.startswith("simcc-resnet18_s8-synthetic-easy-64x64-s0")
    protocol = result["protocol"]
    assert protocol["gt"]["argmax"]["boxes"] == "gt" and protocol["det"]["argmax"]["hashes"].keys() >= {"detections"}
    assert "finished before" in poserep("train", *tiny, "representation=simcc")

    out = poserep("evaluate", run_dir, "checkpoint=best", "boxes=[gt]", "flip_test=false")
    row = next(line for line in out.splitlines() if line.startswith("│ gt"))
    ece, aurc = (float(cell) for cell in row.split("│")[-3:-1])
    assert 0 <= ece <= 1 and 0 <= aurc <= 1
    (path,) = run_dir.glob("evaluation-*.json")
    evaluation = json.loads(path.read_text())
    assert list(evaluation["metrics"]) == ["gt"] and evaluation["protocol"]["gt"]["argmax"]["flip_test"] is False

    out = poserep("report", "table")
    assert "SimCC Gaussian" in out and "AP_gt" in out and "not photographs" in out
    page = (tmp_path / "runs" / "table" / "report.html").read_text()
    assert page.count("<img") == 8 and 'src="http' not in page and "SimCC Gaussian" in page


def test_a_checkpoint_is_evaluated_as_in_training_and_with_a_new_readout(trained):
    run_dir, result = trained("representation=heatmap")
    assert reevaluate(run_dir, reconfigure(run_dir, []))["metrics"] == result["metrics"]
    readout = "+representation.codec.readouts.wide={_target_:poserep.codecs.DARK,kernel:7}"
    again = reevaluate(run_dir, reconfigure(run_dir, [readout, "readouts=[wide,argmax]"]))
    for boxes in ("gt", "det"):
        assert list(again["metrics"][boxes]) == ["wide", "argmax"]
        assert again["metrics"][boxes]["argmax"] == result["metrics"][boxes]["argmax"]


def test_curves_have_the_same_keys_for_every_representation(trained_once):
    runs = [trained_once(f"representation={name}") for name in ("heatmap", "simcc", "sr")]
    first, *others = [{k for row in RunDir(r).curve() for k in row if k.count("/") == 1} for r in runs]
    assert all(keys == first for keys in others)
    assert {"train/loss", "val/AP_gt", "speed/img_s", "speed/data_wait"} <= first


def test_precision_of_training_does_not_touch_evaluation(run):
    run_dir, _ = run("representation=simcc", "trainer.precision=bf16-mixed", "boxes=[gt]")
    result = reevaluate(run_dir, reconfigure(run_dir, ["trainer.precision=32-true"]))
    single, mixed = RunDir(run_dir).predictions(result["id"]), RunDir(run_dir).predictions()
    for key in ("gt/argmax/xy", "gt/argmax/score"):
        np.testing.assert_array_equal(single[key], mixed[key])


def test_another_data_set_is_another_run(configure, synthetic, tmp_path):
    runs = []
    for name in ("a", "b"):
        folder = tmp_path / name
        shutil.copytree(next(synthetic.glob("easy-8-6-*")), folder)
        if name == "b":
            edit(folder / "annotations/train.json", lambda data: data["annotations"].pop())
        runs.append(prepare(configure("data.prepare=null", f"data.root={folder}"), "backbone").name)
    shutil.copytree(tmp_path / "a", tmp_path / "c")
    runs.append(prepare(configure("data.prepare=null", f"data.root={tmp_path}/c"), "backbone").name)
    assert runs[0] != runs[1] and runs[0] == runs[2]


def test_rows_without_published_settings_are_marked(trained):
    run_dir, _ = trained("representation=rle", "boxes=[gt]")
    write_report(run_dir.parent)
    page, table = ((run_dir.parent / name).read_text() for name in ("report.html", "table.csv"))
    assert "RLE †" in page and "† RLE: settings not published" in page and "RLE †" in table


def test_predictions_are_kept_in_image_pixels(trained_once):
    arrays = RunDir(trained_once("representation=simcc")).predictions()
    assert arrays["gt/argmax/xy"].shape == (6, 17, 2) and list(arrays["gt/index"]) == list(range(6))
    assert ((arrays["gt/argmax/score"] >= 0) & (arrays["gt/argmax/score"] <= 1)).all()
    middle = arrays["gt/box"][:, :2] + arrays["gt/box"][:, 2:] / 2
    assert (np.abs(arrays["gt/argmax/xy"].mean(1) - middle) < arrays["gt/box"][:, 2:].max(1, keepdims=True)).all()
