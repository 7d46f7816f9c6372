"""Calibration: a temperature fitted on half of the images, from a run to its page, and back into a checkpoint."""

import json
import shutil

import numpy as np
import pytest

from poserep import cli
from poserep.errors import InputError
from poserep.metrics.calibration import Joints, calibration_summary, temper
from poserep.report.study import write_report
from poserep.runs.create import prepare
from poserep.training import calibrate, evaluate
from poserep.training.build import build
from poserep.training.fit import fit
from spoiling import edit


def read(run_dir, *overrides):
    result = evaluate.reevaluate(run_dir, evaluate.configure(run_dir, list(overrides)))
    with np.load(run_dir / f"evaluation-{result['id']}.npz") as file:
        return result, dict(file)


def fitted(run_dir, *overrides):
    return calibrate.calibrate(run_dir, evaluate.configure(run_dir, list(overrides)))


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).random(shape)


def test_halves_are_the_same_everywhere_and_keep_images_whole():
    image_id = np.arange(12)
    assert calibrate.first_half(image_id).astype(int).tolist() == [0, 0, 1, 1, 0, 0, 0, 0, 1, 0, 1, 0]
    assert (calibrate.first_half(np.repeat(image_id, 3)) == np.repeat(calibrate.first_half(image_id), 3)).all()
    assert calibrate.first_half(np.arange(10_000)).mean() == pytest.approx(0.5, abs=0.02)


def test_a_temperature_is_fitted_on_one_half_and_judged_on_the_other():
    score, image_id = noise(400), np.repeat(np.arange(40), 10)
    fitted = calibrate.first_half(image_id)
    # The temperature is measured on images far from those it was fitted to.
    values = np.where(fitted, temper(score, 2.0), 0.5)
    found = calibrate.fit_on_half({"a": Joints(score, values, image_id), "b": Joints(score**2, values, image_id)}, "a")
    assert found["temperature"] == pytest.approx(2, rel=1e-4) and found["readout"] == "a"
    assert found["fitted"] == {"images": fitted.sum() // 10, "joints": fitted.sum()}
    assert found["judged"] == {"images": (~fitted).sum() // 10, "joints": (~fitted).sum()}
    assert found["readouts"]["a"]["before"] == calibration_summary(score[~fitted], values[~fitted])
    tempered = temper(score[~fitted] ** 2, found["temperature"])
    assert found["readouts"]["b"]["after"] == calibration_summary(tempered, values[~fitted])
    with pytest.raises(InputError, match=r"all 1 images .* takes more images"):
        calibrate.fit_on_half({"a": Joints(noise(9), noise(9), np.zeros(9, int))}, "a")


def test_results_say_how_scores_follow_oks_on_annotated_boxes(trained, synthetic):
    run_dir, result = trained("representation=heatmap")
    (truth,) = synthetic.glob("easy-8-6-*/annotations/val.json")
    annotations = json.loads(truth.read_text())["annotations"]
    labelled = sum(flag > 0 for annotation in annotations for flag in annotation["keypoints"][2::3])
    assert json.loads((run_dir / "result.json").read_text())["calibration"] == result["calibration"]
    assert list(result["calibration"]) == ["gt"] and list(result["metrics"]) == ["gt", "det"]
    assert list(result["calibration"]["gt"]) == list(result["metrics"]["gt"]) == ["shift", "argmax", "dark"]
    for found in result["calibration"]["gt"].values():
        assert found["joints"] == sum(b["count"] for b in found["bins"]) == labelled
        assert all(0 <= found[key] <= 1 for key in ("ece", "aurc", "mean_score", "mean_oks"))
        assert len(found["bins"]) == 10


def test_a_calibrated_checkpoint_tempers_scores_and_nothing_else(trained, capsys):
    run_dir, _ = trained("representation=simcc")
    assert cli.main(["calibrate", str(run_dir), "flip_test=false"]) == 0
    assert "ECE before" in capsys.readouterr().out
    found = json.loads((run_dir / "calibration.json").read_text())
    temperature = found["temperature"]
    assert temperature != 1 and found["protocol"]["temperature"] == 1 and found["checkpoint"] == "last"
    assert found["fitted"]["images"] + found["judged"]["images"] == 6

    before, plain = read(run_dir, "flip_test=false", "boxes=[gt]")
    after, tempered = read(run_dir, "flip_test=false", "checkpoint=calibrated", "boxes=[gt]")
    np.testing.assert_array_equal(tempered["gt/argmax/xy"], plain["gt/argmax/xy"])
    score = tempered["gt/argmax/score"]
    np.testing.assert_allclose(score, plain["gt/argmax/score"].astype(float) ** (1 / temperature), rtol=1e-4)
    protocol, untempered = after["protocol"]["gt"]["argmax"], before["protocol"]["gt"]["argmax"]
    assert protocol["temperature"] == temperature
    assert protocol["score_threshold"] == pytest.approx(untempered["score_threshold"] ** (1 / temperature))

    # A temperature that the checkpoint has is replaced, and one device works whatever the run had.
    again = fitted(run_dir, "flip_test=false", "checkpoint=calibrated", "trainer.devices=2")
    assert again["temperature"] == temperature
    assert "calibrates on one device, not on trainer.devices=2" in capsys.readouterr().err
    # Detected boxes have no joints of their own to compare scores with.
    assert "calibration" not in read(run_dir, "boxes=[det]", "flip_test=false")[0]


def test_published_scores_are_not_calibrated(trained):
    run_dir, _ = trained("representation=heatmap")
    with pytest.raises(InputError, match=r"no temperature changes; .* with representation\.codec\.score=contract"):
        fitted(run_dir, "+representation.codec.score=published")
    assert not (run_dir / "calibration.json").exists()


def test_annotations_without_area_leave_calibration_out_with_a_note(configure, synthetic, tmp_path, capsys):
    folder = tmp_path / "set"
    shutil.copytree(next(synthetic.glob("easy-8-6-*")), folder)
    edit(folder / "annotations/val.json", lambda data: [a.update(area=0) for a in data["annotations"]])
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


def test_a_page_shows_calibration_and_still_takes_results_without(trained):
    old, result = trained("representation=heatmap")
    del result["calibration"]
    (old / "result.json").write_text(json.dumps(result))
    page = write_report(old.parent).read_text()
    assert "AURC" not in page and page.count("<img") == 7

    trained("representation=simcc")
    page = write_report(old.parent).read_text()
    assert ">AURC</th>" in page and page.count("<img") == 9 and page.count("<span>–</span>") >= 4
    head, *lines = (old.parent / "table.csv").read_text().splitlines()
    # Six lines of the run without, and that of detected boxes of the other.
    assert "calibration_ece" in head and sum(",,,," in line for line in lines) == 7
