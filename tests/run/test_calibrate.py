"""Calibration from a run to its page, and back into a checkpoint."""

import json
import shutil

import numpy as np
import pytest
import torch
from poserep.report.collect import report

from poserep import cli
from poserep.errors import InputError
from poserep.runs.create import prepare
from poserep.training import calibrate, evaluate
from poserep.training.build import build
from poserep.training.fit import fit


def read(run_dir, *overrides):
    result = evaluate.reread(run_dir, evaluate.configure(run_dir, list(overrides)))
    with np.load(run_dir / f"evaluation-{result['id']}.npz") as file:
        return result, dict(file)


def fitted(run_dir, *overrides):
    return calibrate.calibrate(run_dir, evaluate.configure(run_dir, list(overrides)))


def test_results_say_how_scores_follow_oks_on_annotated_boxes(run, synthetic):
    run_dir, result = run("representation=heatmap")
    (truth,) = synthetic.glob("easy-8-6-*/annotations/val.json")
    labelled = sum(
        np.array(a["keypoints"])[2::3].astype(bool).sum() for a in json.loads(truth.read_text())["annotations"]
    )
    assert json.loads((run_dir / "result.json").read_text())["calibration"] == result["calibration"]
    assert list(result["calibration"]) == ["gt"] and list(result["metrics"]) == ["gt", "det"]
    assert list(result["calibration"]["gt"]) == list(result["metrics"]["gt"]) == ["shift", "argmax", "dark"]
    for found in result["calibration"]["gt"].values():
        assert found["joints"] == sum(b["count"] for b in found["bins"]) == labelled
        assert all(0 <= found[key] <= 1 for key in ("ece", "aurc", "mean_score", "mean_oks"))
        assert len(found["bins"]) == 10


def test_detected_boxes_alone_have_no_calibration(run):
    _, result = run("boxes=[det]")
    assert "calibration" not in result


def test_a_calibrated_checkpoint_tempers_scores_and_nothing_else(run, monkeypatch, capsys):
    run_dir, _ = run("representation=simcc", "boxes=[gt]")
    assert cli.main(["calibrate", str(run_dir), "flip_test=false"]) == 0
    assert "ECE before" in capsys.readouterr().out
    found = json.loads((run_dir / "calibration.json").read_text())
    temperature = found["temperature"]
    assert temperature != 1 and found["protocol"]["temperature"] == 1 and found["checkpoint"] == "last"
    assert found["fitted"]["images"] + found["judged"]["images"] == 6

    before, plain = read(run_dir, "flip_test=false")
    after, tempered = read(run_dir, "flip_test=false", "checkpoint=calibrated")
    np.testing.assert_array_equal(tempered["gt/argmax/xy"], plain["gt/argmax/xy"])
    score = tempered["gt/argmax/score"]
    np.testing.assert_allclose(score, plain["gt/argmax/score"].astype(float) ** (1 / temperature), rtol=1e-4)
    threshold = after["protocol"]["gt"]["argmax"]["score_threshold"]
    assert after["protocol"]["gt"]["argmax"]["temperature"] == temperature
    assert threshold == pytest.approx(before["protocol"]["gt"]["argmax"]["score_threshold"] ** (1 / temperature))
    assert (
        (score > threshold) == (plain["gt/argmax/score"] > before["protocol"]["gt"]["argmax"]["score_threshold"])
    ).all()

    # From the calibrated checkpoint it starts anew.
    assert fitted(run_dir, "flip_test=false", "checkpoint=calibrated")["temperature"] == temperature


def test_the_metric_takes_the_tempered_threshold(run, monkeypatch):
    run_dir, _ = run("boxes=[gt]")
    state = torch.load(run_dir / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    torch.save({"state_dict": state | {"codec.temperature": torch.tensor(2.0)}}, run_dir / "checkpoints" / "half.ckpt")
    seen = []
    monkeypatch.setattr(evaluate, "save_predictions", lambda run, path: seen.append(run.module.metrics_of("gt")))
    evaluate.reread(run_dir, evaluate.configure(run_dir, ["checkpoint=half"]))
    assert {metric.score_threshold for metric in seen[0].values()} == {0.2**0.5}


def test_published_scores_are_not_calibrated(run):
    run_dir, _ = run("boxes=[gt]", "+representation.codec.score=published")
    with pytest.raises(
        InputError, match=r"no temperature changes; calibrate with representation\.codec\.score=contract"
    ):
        fitted(run_dir)
    assert not (run_dir / "calibration.json").exists()
    assert fitted(run_dir, "representation.codec.score=contract")["protocol"]["score"] == "contract"


def test_one_device_calibrates_whatever_the_run_had(run, capsys):
    run_dir, _ = run("boxes=[gt]")
    fitted(run_dir, "trainer.devices=2")
    assert "calibrates on one device, not on trainer.devices=2" in capsys.readouterr().err


def test_annotations_without_area_leave_calibration_out_with_a_note(configure, synthetic, tmp_path, capsys):
    folder = tmp_path / "set"
    shutil.copytree(next(synthetic.glob("easy-8-6-*")), folder)
    path = folder / "annotations" / "val.json"
    data = json.loads(path.read_text())
    for annotation in data["annotations"]:
        annotation["area"] = 0
    path.write_text(json.dumps(data))
    run_dir = prepare(configure("data.prepare=null", f"data.root={folder}", "boxes=[gt]"), "backbone")
    assert "calibration" not in fit(run_dir)
    assert "note: calibration is left out: no annotation has an area" in capsys.readouterr().err
    with pytest.raises(InputError, match="no annotation has an area"):
        fitted(run_dir)


def test_a_checkpoint_from_before_temperatures_is_read_as_untempered(configure):
    module = build(configure("boxes=[gt]"), train=False).module
    state = module.state_dict()
    module.codec.temperature.fill_(3.0)
    del state["codec.temperature"]
    module.load_state_dict(state)
    assert module.codec.temperature == 1


def test_a_page_shows_calibration_and_still_takes_results_without(run):
    old, _ = run("representation=heatmap", "boxes=[gt]")
    path = old / "result.json"
    result = json.loads(path.read_text())
    del result["calibration"]
    path.write_text(json.dumps(result))
    page = report(old.parent).read_text()
    assert "AURC" not in page and page.count("<img") == 7

    run("representation=simcc", "boxes=[gt]")
    page = report(old.parent).read_text()
    assert "<th>AURC</th>" in page and page.count("<img") == 9 and page.count("<td>–</td>") >= 4
    head, *lines = (old.parent / "table.csv").read_text().splitlines()
    assert "calibration_ece" in head and sum(",,,," in line for line in lines) == 3
