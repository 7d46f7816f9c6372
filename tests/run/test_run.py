"""A run from the command line to the page, and its repetition."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from poserep.report.collect import collect, report

from poserep.metrics.protocol import Protocol
from poserep.runs.create import prepare
from poserep.runs.rundir import RunDir
from poserep.training.fit import fit
from poserep.training.module import PoseModule


def command(*arguments: object, cwd=None) -> subprocess.CompletedProcess:
    program = [sys.executable, "-m", "poserep", *map(str, arguments)]
    return subprocess.run(program, capture_output=True, text=True, cwd=cwd)


def weights(run_dir):
    return torch.load(run_dir / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


def test_train_evaluate_report(synthetic, tmp_path):
    tiny = ["trainer=smoke", "data.prepare.train=8", "data.prepare.val=6", f"data.root={synthetic}", "study=table"]
    done = command("train", *tiny, "representation=simcc", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "batch 4 on 1 cpu" in done.stdout and "GMACs" in done.stdout and "img/s" in done.stdout
    (run_dir,) = (tmp_path / "runs" / "table").iterdir()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["runs"], "a run leaves nothing but its directory"
    assert {"config.yaml", "status.json", "metrics.jsonl", "checkpoints", "predictions.npz", "result.json"} <= {
        p.name for p in run_dir.iterdir()
    }
    result = json.loads((run_dir / "result.json").read_text())
    assert run_dir.name.endswith(result["id"]) and run_dir.name.startswith("simcc-resnet18_s8-synthetic-easy-64x64-s0")
    protocol = result["protocol"]
    assert protocol["gt"]["argmax"]["boxes"] == "gt" and protocol["det"]["argmax"]["hashes"].keys() >= {"detections"}

    again = command("train", *tiny, "representation=simcc", cwd=tmp_path)
    assert "finished before" in again.stdout

    read = command("evaluate", run_dir, "checkpoint=best", "boxes=[gt]", "flip_test=false")
    assert read.returncode == 0, read.stderr
    row = next(line for line in read.stdout.splitlines() if line.startswith("│ gt"))
    ece, aurc = (float(cell) for cell in row.split("│")[-3:-1])
    assert 0 <= ece <= 1 and 0 <= aurc <= 1
    (path,) = run_dir.glob("evaluation-*.json")
    evaluation = json.loads(path.read_text())
    assert list(evaluation["metrics"]) == ["gt"] and evaluation["protocol"]["gt"]["argmax"]["flip_test"] is False

    shown = command("report", "table", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "SimCC Gaussian" in shown.stdout and "AP_gt" in shown.stdout and "not photographs" in shown.stdout
    page = (tmp_path / "runs" / "table" / "report.html").read_text()
    assert page.count("<img") == 8 and 'src="http' not in page and "SimCC Gaussian" in page


def test_evaluation_reads_what_training_reported(run):
    run_dir, result = run("representation=heatmap")
    done = command("evaluate", run_dir)
    assert done.returncode == 0, done.stderr
    (path,) = run_dir.glob("evaluation-*.json")
    assert json.loads(path.read_text())["metrics"] == result["metrics"]


def test_trained_checkpoint_is_read_with_a_new_readout(run):
    run_dir, result = run("representation=heatmap", "boxes=[gt]")
    readout = "+representation.codec.readouts.wide={_target_:poserep.codecs.DARK,kernel:7}"
    done = command("evaluate", run_dir, readout, "readouts=[wide,argmax]")
    assert done.returncode == 0, done.stderr
    (path,) = run_dir.glob("evaluation-*.json")
    found = json.loads(path.read_text())["metrics"]["gt"]
    assert list(found) == ["wide", "argmax"] and found["argmax"] == result["metrics"]["gt"]["argmax"]


@pytest.mark.parametrize("workers", [0, 1])
def test_resumed_run_equals_uninterrupted(configure, monkeypatch, tmp_path, workers):
    overrides = [f"trainer.workers={workers}", "trainer.epochs=3", "augment=hrnet", "boxes=[gt]", "optim.lr=1e-2"]
    whole = prepare(configure(*overrides), "whole")
    fit(whole)

    broken = prepare(configure(*overrides, f"runs={tmp_path}/other"), "broken")
    start = PoseModule.on_train_epoch_start

    def fail_in_second_epoch(self):
        if self.current_epoch == 1:
            raise RuntimeError("power cut")
        start(self)

    with monkeypatch.context() as patch:
        patch.setattr(PoseModule, "on_train_epoch_start", fail_in_second_epoch)
        with pytest.raises(RuntimeError, match="power cut"):
            fit(broken)
    status = json.loads((broken / "status.json").read_text())
    assert status["state"] == "failed" and "power cut" in status["error"]
    assert not (broken / "result.json").exists()
    torch.manual_seed(123)
    fit(broken)
    for (name, a), b in zip(weights(whole).items(), weights(broken).values(), strict=True):
        assert torch.equal(a, b), name
    # The fourth line is the evaluation after training.
    assert [row["epoch"] for row in RunDir(broken).curve()] == [0, 1, 2, 3]


def test_number_of_workers_changes_nothing(run):
    a, _ = run("augment=photometric", "trainer.workers=0", "study=a", "boxes=[gt]")
    b, _ = run("augment=photometric", "trainer.workers=2", "study=b", "boxes=[gt]")
    assert a.name == b.name
    assert all(torch.equal(x, y) for x, y in zip(weights(a).values(), weights(b).values(), strict=True))


def test_curves_have_the_same_keys_for_every_representation(run):
    keys = []
    for representation in ("heatmap", "simcc", "sr"):
        run_dir, _ = run(f"representation={representation}")
        keys.append({k for row in RunDir(run_dir).curve() for k in row if k.count("/") == 1})
    assert keys[0] == keys[1] == keys[2]
    assert {"train/loss", "val/AP_gt", "speed/img_s", "speed/data_wait"} <= keys[0]


def test_precision_of_training_does_not_touch_evaluation(run):
    run_dir, _ = run("representation=simcc", "trainer.precision=bf16-mixed", "boxes=[gt]")
    done = command("evaluate", run_dir, "trainer.precision=32-true")
    assert done.returncode == 0, done.stderr
    (path,) = run_dir.glob("evaluation-*.npz")
    with np.load(path) as single, np.load(run_dir / "predictions.npz") as mixed:
        np.testing.assert_array_equal(single["gt/argmax/xy"], mixed["gt/argmax/xy"])
        np.testing.assert_array_equal(single["gt/argmax/score"], mixed["gt/argmax/score"])


def test_another_data_set_is_another_run(configure, synthetic, tmp_path):
    runs = []
    for name in ("a", "b"):
        folder = tmp_path / name
        shutil.copytree(next(synthetic.glob("easy-8-6-*")), folder)
        if name == "b":
            path = folder / "annotations" / "train.json"
            data = json.loads(path.read_text())
            data["annotations"].pop()
            path.write_text(json.dumps(data))
        runs.append(prepare(configure("data.prepare=null", f"data.root={folder}"), "backbone").name)
    shutil.copytree(tmp_path / "a", tmp_path / "c")
    runs.append(prepare(configure("data.prepare=null", f"data.root={tmp_path}/c"), "backbone").name)
    assert runs[0] != runs[1] and runs[0] == runs[2]


def test_report_joins_seeds_and_nothing_else():
    def result(seed, k, ap, digest="x"):
        config = {"seed": seed, "input_size": "64x64", "representation": {"title": "S", "codec": {"k": k}}}
        protocol = Protocol(
            "d", True, "val.json", "gt", {"annotations": digest}, 1, True, "argmax", "contract", 1.0, 0.2, {}, "mask",
            "64x64", "centre",
        )  # fmt: skip
        return {
            "config": config | {"trainer": {"workers": seed}},
            "cost": {"params": 1, "gmacs": 1},
            "metrics": {"gt": {"argmax": {"AP": ap}}},
            "columns": ["AP"],
            "lower": [],
            "protocol": {"gt": {"argmax": protocol.record()}},
        }

    rows = collect([result(0, 1, 20), result(1, 1, 30), result(0, 2, 60), result(0, 2, 70, "y")])
    found = [(r.setting, r.cell("gt", "AP"), r.seeds) for r in rows]
    assert found == [
        ("representation.codec.k=1", "25.0 ± 7.1", 2),
        ("representation.codec.k=2", "60.0", 1),
        ("representation.codec.k=2", "70.0", 1),
    ]


def test_rows_without_published_settings_are_marked(run):
    run_dir, _ = run("representation=rle", "boxes=[gt]")
    report(run_dir.parent)
    page, table = ((run_dir.parent / name).read_text() for name in ("report.html", "table.csv"))
    assert "RLE †" in page and "† RLE: settings not published" in page and "RLE †" in table


def test_failed_row_does_not_stop_a_sweep(synthetic, tmp_path):
    (tmp_path / "sweeps").mkdir()
    rows = "[{overrides: [input_size=60x60]}, {overrides: [representation=simcc]}]"
    (tmp_path / "sweeps" / "two.yaml").write_text(
        f"# Two.\ndefaults: [config, override hydra/sweeper: rows, _self_]\nstudy: two\n"
        f"table: {{title: Two, rows: {rows}}}\nhydra: {{mode: MULTIRUN}}\n"
    )
    done = command(
        "train", "--config-dir", tmp_path / "sweeps", "--config-name", "two", "trainer=smoke",
        "data.prepare.train=8", "data.prepare.val=6", f"data.root={synthetic}", "seed=0,1", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 1
    assert "2 of 4 cells failed" in done.stderr and "multiple of 8" in done.stderr
    assert len(list((tmp_path / "runs" / "two").glob("*/result.json"))) == 2
    shown = command("report", "two", cwd=tmp_path)
    assert "missing" in shown.stdout and "60x60" in shown.stdout


def test_predictions_are_kept_in_image_pixels(run):
    run_dir, _ = run("representation=simcc", "boxes=[gt]")
    with np.load(run_dir / "predictions.npz") as file:
        assert file["gt/argmax/xy"].shape == (6, 17, 2) and list(file["gt/index"]) == list(range(6))
        assert ((file["gt/argmax/score"] >= 0) & (file["gt/argmax/score"] <= 1)).all()
        middle = file["gt/box"][:, :2] + file["gt/box"][:, 2:] / 2
        assert (np.abs(file["gt/argmax/xy"].mean(1) - middle) < file["gt/box"][:, 2:].max(1, keepdims=True)).all()
