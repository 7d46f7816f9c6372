"""Two runs or readouts compared from what they left behind."""

import json
import shutil

import numpy as np
import pytest

from poserep import cli
from poserep.errors import InputError
from poserep.files import write_json, write_npz
from poserep.report.compare.command import compare
from poserep.report.compare.stored import read_side, rebuild
from poserep.training import evaluate


def truth(run_dir):
    """The annotated keypoints of a run's persons, by box."""
    scorer, predictions = rebuild(read_side(str(run_dir), "gt")[0])
    return scorer.truth.instances.keypoints[predictions.index]


def record(run_dir, change):
    """Change a run's result file."""
    path = run_dir / "result.json"
    result = json.loads(path.read_text())
    change(result)
    write_json(path, result)


def store(run_dir, **arrays):
    """Change a run's predictions, and its numbers with them."""
    path = run_dir / "predictions.npz"
    with np.load(path) as file:
        write_npz(path, {**file, **{key.replace("__", "/"): value for key, value in arrays.items()}})
    (side,) = read_side(str(run_dir), "gt")
    scorer, predictions = rebuild(side)
    record(run_dir, lambda r: r["metrics"]["gt"].update({side.readout: scorer(predictions).values}))


def another(run_dir, seed, noise, name=None):
    """A run of another seed, which finds every joint as well as the noise, px, lets it."""
    copy = run_dir.with_name(name or f"seed-{seed}")
    shutil.copytree(run_dir, copy)
    record(copy, lambda result: result["config"].update(seed=seed))
    xy = truth(copy)
    rng = np.random.default_rng(seed)
    moved = (xy + rng.normal(0, noise, xy.shape)).astype(np.float32)
    store(copy, gt__argmax__xy=moved, gt__argmax__score=rng.uniform(0.5, 1, xy.shape[:2]).astype(np.float32))
    return copy


def say(capsys, *arguments):
    assert cli.main(["compare", *map(str, arguments)]) == 0
    return capsys.readouterr()


def refuse(capsys, *arguments):
    assert cli.main(["compare", *map(str, arguments)]) == 2
    return capsys.readouterr().err


@pytest.fixture
def simcc(run):
    return run("representation=simcc", "boxes=[gt]")[0]


def test_readouts_of_a_run_are_compared_from_its_files(run, capsys, tmp_path):
    run_dir, result = run("representation=heatmap")
    capsys.readouterr()
    for boxes in ("gt", "det"):
        file = tmp_path / f"{boxes}.json"
        out, err = say(
            capsys, f"{run_dir}:dark", f"{run_dir}:argmax",
            "--boxes", boxes, "--metric", "AR50", "--samples", 50, "--json", file,
        )  # fmt: skip
        found = json.loads(file.read_text())
        assert [found[s]["mean"] for s in "ab"] == pytest.approx(
            [result["metrics"][boxes][r]["AR50"] for r in ("dark", "argmax")], abs=1e-9
        )
        assert found["metric"] == "AR50" and found["boxes"] == boxes and found["images"] == 6
        assert found["data"] == "synthetic-easy" and found["drawn"]
        assert "6 images of synthetic-easy (drawn people)" in out
        assert found["a"]["sd"] is None and found["a"]["seeds"] == [0] and found["samples"] + found["left_out"] == 50
        assert found["low"] <= found["difference"] <= found["high"]
        assert "dark" in out and "95% interval" in out and found["verdict"] in out and f"written: {file}" in out
        assert "note" not in out + err, "one run has one protocol, and its own numbers"


def test_the_better_run_is_named_and_seeds_are_averaged(simcc, capsys, tmp_path):
    good = [another(simcc, seed, 0.3) for seed in (1, 2, 3)]
    bad = [another(simcc, seed, 3.0, f"bad-{seed}") for seed in (1, 2)]
    join = [",".join(map(str, runs)) for runs in (good, bad)]
    out, err = say(capsys, *join, "--samples", 100, "--json", tmp_path / "it.json")
    found = json.loads((tmp_path / "it.json").read_text())
    assert found["metric"] == "AP" and found["verdict"] == "A better" and "A better" in out and not err
    assert found["a"]["runs"] == ["seed-1", "seed-2", "seed-3"] and found["b"]["seeds"] == [1, 2]
    for side in "ab":
        assert found[side]["mean"] == pytest.approx(np.mean(found[side]["values"]))
        assert found[side]["sd"] == pytest.approx(np.std(found[side]["values"], ddof=1))
    assert found["difference"] == pytest.approx(found["a"]["mean"] - found["b"]["mean"])
    assert "± " in out and "the interval is about the choice of images" in out
    assert "B better" in say(capsys, *reversed(join), "--samples", 100).out
    same = say(capsys, good[0], good[0], "--samples", 20).out
    assert "+0.00, 95% interval [+0.00, +0.00]: within noise" in same


def test_both_sides_are_scored_above_another_threshold(simcc, capsys, tmp_path):
    a, b = another(simcc, 1, 3.0), another(simcc, 2, 3.0)
    file = tmp_path / "it.json"
    out, err = say(capsys, a, b, "--score-threshold", 0.95, "--samples", 20, "--json", file)
    found = json.loads(file.read_text())
    for run, side in ((a, found["a"]), (b, found["b"])):
        evaluation = read_side(str(run), "gt")[0]
        usual, ap = (s(p).values["AP"] for s, p in (rebuild(evaluation), rebuild(evaluation, 0.95)))
        assert side["mean"] == pytest.approx(ap) and side["mean"] != usual
    assert "joints above 0.95" in out and not err and "protocol" not in out


def test_less_is_better_where_the_metric_says_so(simcc, monkeypatch, capsys):
    good, bad = another(simcc, 1, 0.3), another(simcc, 1, 3.0, "bad")
    monkeypatch.setattr("poserep.metrics.coco.CocoAP.lower", frozenset({"AP"}))
    assert "B better" in say(capsys, good, bad, "--samples", 50).out


def test_what_was_made_otherwise_is_said_and_another_evaluation_of_a_run_is_a_side(simcc, capsys):
    found = evaluate.reread(simcc, evaluate.configure(simcc, ["flip_test=false"]))
    capsys.readouterr()
    other = simcc / f"evaluation-{found['id']}.json"
    out = say(capsys, simcc, other, "--samples", 5, "--metric", "AR").out
    assert "not the same protocol in: flip_test (True, False)" in out and f"evaluation-{found['id']}" in out
    assert "differ in checkpoint, flip_test; compare them as A and B" in refuse(capsys, f"{simcc},{other}", other)


def test_runs_that_evaluate_other_things_are_refused(simcc, capsys):
    other = another(simcc, 1, 1.0)

    def change(result):
        result["protocol"]["gt"]["argmax"] |= {"instances": 7, "metric": {"_target_": "Other"}}

    record(other, change)
    said = refuse(capsys, simcc, other)
    assert "were not evaluated on the same: they differ in instances (" in said and "Other" in said


def test_boxes_that_were_clipped_otherwise_are_the_same_persons(simcc, capsys):
    found = evaluate.reread(simcc, evaluate.configure(simcc, ["data.clip=dark", "align=edge"]))
    out = say(capsys, simcc, simcc / f"evaluation-{found['id']}.json", "--samples", 5).out
    assert "align (centre, edge)" in out and "'clip': 'dark'" in out and "95% interval" in out


def test_runs_of_a_side_differ_in_seed_and_nothing_else(simcc, capsys):
    twin = simcc.with_name("twin")
    shutil.copytree(simcc, twin)
    assert f"{simcc.name} and twin have the same seed" in refuse(capsys, f"{simcc},{twin}", simcc)
    record(twin, lambda result: result["config"].update(seed=1, align="edge"))
    assert "may differ in their seed only" in refuse(capsys, f"{simcc},{twin}", simcc)
    assert "differ in align; compare them as A and B" in refuse(capsys, f"{simcc},{twin}", simcc)


def test_files_that_have_changed_since_are_refused_by_name(simcc, capsys):
    def change(result):
        result["protocol"]["gt"]["argmax"]["hashes"]["annotations"] = "0123456789ab"

    record(simcc, change)
    said = refuse(capsys, simcc, simcc)
    assert "val.json with SHA-256 0123456789ab, but there is" in said and "bring back the file" in said


def test_predictions_of_other_boxes_are_refused(simcc, capsys):
    path = simcc / "predictions.npz"
    with np.load(path) as file:
        write_npz(path, {**file, "gt/id": file["gt/id"] + 1})
    assert "predictions of other boxes" in refuse(capsys, simcc, simcc)
    path.unlink()
    assert "predictions.npz does not exist" in refuse(capsys, simcc, simcc)


def test_a_run_on_some_of_the_persons_is_compared_on_those(run, synthetic):
    (data,) = synthetic.glob("easy-8-6-*")
    run_dir, result = run("representation=simcc", "data.prepare=null", f"data.root={data}", "trainer.limit=4")
    scorer, predictions = rebuild(read_side(str(run_dir), "gt")[0])
    assert len(scorer.truth.instances) == 4
    assert scorer(predictions).values["AP"] == result["metrics"]["gt"]["argmax"]["AP"]


def test_numbers_that_cannot_be_reproduced_are_noted(simcc, capsys):
    good = another(simcc, 1, 0.3)
    record(good, lambda result: result["metrics"]["gt"]["argmax"].update(AP=12.5))
    err = say(capsys, good, good, "--samples", 5).err
    assert "note: AP of seed-1 is" in err and "12.5 in result.json; was it evaluated by another version?" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("{run}:dark", "{run}"), "has no readout 'dark'; it has argmax"),
        (("{run}", "{run}", "--boxes", "det"), "was not evaluated with --boxes det, only with gt"),
        (("{run}", "{run}", "--metric", "PCKh"), "has no metric 'PCKh'; it has AP, AP50"),
        (("{run}", "{run}/nothing"), "has no result: .*nothing/result.json does not exist"),
    ],
)
def test_what_a_run_does_not_have_is_said(simcc, arguments, message):
    def go():
        a, b, *rest = (text.format(run=simcc) for text in arguments)
        options = dict(zip(rest[::2], rest[1::2], strict=True))
        sides = [read_side(side, options.get("--boxes")) for side in (a, b)]
        compare(*sides, options.get("--metric"))

    with pytest.raises(InputError, match=message):
        go()
