"""Two runs or readouts compared from the files that they left."""

import json
from dataclasses import replace

import numpy as np
import pytest

from poserep import cli
from poserep.files import write_npz
from poserep.report.compare.stored import read_side, rebuild
from poserep.runs.rundir import RunDir
from poserep.training import evaluate
from run_records import change_result, score_again


def compared(capsys, *arguments, samples=20):
    assert cli.main(["compare", *map(str, arguments), "--samples", str(samples)]) == 0
    return capsys.readouterr()


def refused(capsys, *arguments):
    assert cli.main(["compare", *map(str, arguments)]) == 2
    return capsys.readouterr().err


def test_readouts_of_a_run_are_compared_from_its_files(trained, capsys, tmp_path):
    run_dir, file = trained["heatmap"], tmp_path / "it.json"
    for boxes, metrics in RunDir(run_dir).result()["metrics"].items():
        sides = [f"{run_dir}:{readout}" for readout in ("dark", "argmax")]
        options = ["--boxes", boxes, "--metric", "AR50", "--json", file]
        out, err = compared(capsys, *sides, *options, samples=50)
        found = json.loads(file.read_text())
        recorded = [metrics[readout]["AR50"] for readout in ("dark", "argmax")]
        assert [found[side]["mean"] for side in "ab"] == pytest.approx(recorded, abs=1e-9)
        assert {"metric": "AR50", "boxes": boxes}.items() <= found.items()
        assert "6 images of synthetic-easy (drawn people)" in out and f"written: {file}" in out
        assert found["a"]["sd"] is None and found["a"]["seeds"] == [0] and found["samples"] + found["left_out"] == 50
        assert found["low"] <= found["difference"] <= found["high"]
        assert "note" not in out + err, "one run has one protocol, and its own numbers"


def test_the_better_run_is_named_and_seeds_are_averaged(copied, capsys, tmp_path, monkeypatch):
    good = [copied("simcc", f"seed-{seed}", seed, 0.3) for seed in (1, 2, 3)]
    bad = [copied("simcc", f"bad-{seed}", seed, 3.0) for seed in (1, 2)]
    join = [",".join(map(str, runs)) for runs in (good, bad)]
    out, err = compared(capsys, *join, "--json", tmp_path / "it.json", samples=50)
    found = json.loads((tmp_path / "it.json").read_text())
    assert found["metric"] == "AP" and found["verdict"] == "A better" and not err
    assert found["a"]["runs"] == ["seed-1", "seed-2", "seed-3"] and found["b"]["seeds"] == [1, 2]
    for side in "ab":
        values = found[side].pop("values")
        assert (found[side]["mean"], found[side]["sd"]) == pytest.approx((np.mean(values), np.std(values, ddof=1)))
    assert found["difference"] == pytest.approx(found["a"]["mean"] - found["b"]["mean"])
    for part in ("A better", "95% interval", "± ", "over seeds and images; over images alone it is"):
        assert part in out
    over = found["over_seeds"]
    assert over["low"] < found["low"] < found["high"] < over["high"] and [*over["power"]] == ["0.3", "1", "3"]
    assert 0.05 <= over["power"]["0.3"] <= over["power"]["1"] <= over["power"]["3"] <= 1
    assert "B better" in compared(capsys, *reversed(join)).out
    assert "+0.00, 95% interval [+0.00, +0.00]: within noise" in compared(capsys, good[0], good[0]).out
    monkeypatch.setattr("poserep.metrics.CocoAP.lower", frozenset({"AP"}))
    change_result(good[0], lambda result: result["metrics"]["gt"]["argmax"].update(AP=12.5))
    out, err = compared(capsys, good[0], bad[0])
    assert "B better" in out, "less is better"
    assert "note: AP of seed-1 is" in err and "12.5 in result.json; was it evaluated by another version?" in err


def test_nothing_is_tested_where_both_sides_find_nothing(copied, capsys, tmp_path):
    run_dir = copied("simcc", "off", 1, 1e4)
    change_result(run_dir, lambda result: result.update(diagnosis={"gt": {"argmax": "no joint is near"}}))
    out, _ = compared(capsys, run_dir, run_dir, "--json", tmp_path / "it.json")
    assert "nothing to test, as AP is 0 on both sides in every resample (no joint is near)" in out
    assert "interval" not in out and json.loads((tmp_path / "it.json").read_text())["verdict"] == "not tested"


def test_both_sides_are_scored_above_another_threshold(copied, capsys, tmp_path):
    run, file = copied("simcc", "seed-1", 1, 3.0), tmp_path / "it.json"
    out, err = compared(capsys, run, run, "--score-threshold", 0.95, "--json", file)
    (stored,) = read_side(str(run), "gt")
    for side in "ab":
        mean = json.loads(file.read_text())[side]["mean"]
        assert mean == pytest.approx(score_again(stored, 0.95)["AP"]) != score_again(stored)["AP"]
    assert "joints above 0.95" in out and not err and "protocol" not in out


def test_another_evaluation_of_a_run_is_a_side_and_what_differs_is_noted(copied, capsys):
    simcc = copied("simcc", "simcc")
    flipped, clipped = (
        evaluate.reevaluate(simcc, evaluate.configure(simcc, ["boxes=[gt]", *overrides]))
        for overrides in (["flip_test=false"], ["data.clip=dark", "align=edge"])
    )
    capsys.readouterr()
    # As version 0.1 recorded it, without options that have their usual values.
    change_result(simcc, lambda result: (protocol(result).pop("uncounted"), protocol(result)["metric"].popitem()))
    other = simcc / f"evaluation-{flipped['id']}.json"
    out = compared(capsys, simcc, other, "--metric", "AR").out
    assert "not the same protocol in: flip_test (True, False)\n" in out and f"evaluation-{flipped['id']}" in out
    assert "flip_test; compare them as A and B" in refused(capsys, f"{simcc},{other}", other)
    # Boxes that were clipped otherwise are of the same persons.
    out = compared(capsys, simcc, simcc / f"evaluation-{clipped['id']}.json").out
    assert "align (centre, edge)" in out and "'clip': 'dark'" in out


def test_a_run_on_some_of_the_persons_is_compared_on_those(trained_once, synthetic):
    (data,) = synthetic.glob("easy-8-6-*")
    words = "representation=simcc", "data.prepare=null", f"data.root={data}", "trainer.limit=4", "boxes=[gt]"
    (side,) = read_side(str(trained_once(*words)), "gt")
    assert score_again(side)["AP"] == side.values["AP"] and side.protocol.instances == 4
    # The others' images were not looked at, and nobody in them is missed.
    scorer, predictions = rebuild(side)
    assert len(scorer.file.images_by_id) == 6 and len(scorer.match(predictions).images) == 4
    people = scorer.truth.instances
    perfect = replace(predictions, xy=people.keypoints[predictions.index], score=np.ones_like(predictions.score))
    assert scorer(perfect).values["AP"] == pytest.approx(100)


def protocol(result):
    return result["protocol"]["gt"]["argmax"]


def test_runs_that_do_not_compare_are_refused(copied, capsys):
    simcc, twin = copied("simcc", "simcc"), copied("simcc", "twin")
    assert "simcc and twin have the same seed" in refused(capsys, f"{simcc},{twin}", simcc)
    change_result(twin, lambda result: result["config"].update(seed=1, align="edge"))
    error = refused(capsys, f"{simcc},{twin}", simcc)
    assert "may differ in their seed only" in error and "differ in align; compare them as A and B" in error
    other = copied("simcc", "other")
    change_result(other, lambda result: protocol(result).update(instances=7, metric={"_target_": "Other"}))
    error = refused(capsys, simcc, other)
    assert "were not evaluated on the same: they differ in instances (" in error and "Other" in error
    assert "has no readout 'dark'; it has argmax" in refused(capsys, f"{simcc}:dark", simcc)
    assert "has no metric 'PCKh'; it has AP, AP50" in refused(capsys, simcc, simcc, "--metric", "PCKh")
    change_result(simcc, lambda result: result["metrics"].pop("det"))
    assert "was not evaluated with --boxes det, only with gt" in refused(capsys, simcc, simcc, "--boxes", "det")


def test_files_that_have_changed_since_are_refused_by_name(copied, capsys):
    simcc = copied("simcc", "simcc")
    file = simcc / "predictions.npz"
    with np.load(file) as arrays:
        write_npz(file, {**arrays, "gt/id": arrays["gt/id"] + 1})
    assert "predictions of other boxes" in refused(capsys, simcc, simcc)
    file.write_bytes(file.read_bytes()[:100])
    assert f"{file} is damaged" in refused(capsys, simcc, simcc)
    file.unlink()
    assert "predictions.npz does not exist" in refused(capsys, simcc, simcc)
    change_result(simcc, lambda result: protocol(result)["hashes"].update(annotations="0123456789ab"))
    error = refused(capsys, simcc, simcc)
    assert "val.json with SHA-256 0123456789ab, but there is" in error and "bring back the file" in error
