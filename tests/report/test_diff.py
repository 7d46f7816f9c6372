"""What differs between two results, as a structure and as printed."""

import json
from pathlib import Path

from poserep import cli
from poserep.files import load_yaml
from poserep.report.diff import ABSENT, difference, paired_readouts

RESULT = (Path(__file__).parents[1] / "reference/result.yaml").read_text()


def result(**changes) -> dict:
    found = load_yaml(RESULT)
    for dotted, value in changes.items():
        *parents, last = dotted.split("__")
        node = found
        for key in parents:
            node = node[key]
        node[last] = value
    return found


def test_what_differs_has_its_part():
    other = result(
        config__seed=1, config__optim={"lr": 0.1, "milestones": [1, 3], "beta": None}, config__runs="elsewhere",
        config__contents={"train": "ccc", "val": "bbb"}, provenance__packages={"torch": "2.1", "timm": "1"},
        device="H100", seconds={"fit": 3.0, "all": 2.0}, speed={"img_s": 50.0}, cost={"lr": 0.1, "parts": []},
    )  # fmt: skip
    other["protocol"]["gt"]["shift"]["crop"] = {"padding": 1.5}
    found = difference(result(), other)
    assert {name: found[name]["differ"] for name in found if name != "metrics"} == {
        "configuration": {"seed": [0, 1], "optim.milestones": [[1, 2], [1, 3]], "optim.beta": [ABSENT, None]},
        "elsewhere": {"runs": ["runs", "elsewhere"]},
        "data": {"contents.train": ["aaa", "ccc"]},
        "protocol": {"gt.crop.padding": [1.25, 1.5]},
        "versions": {"torch": ["2.0", "2.1"], "timm": [ABSENT, "1"], "device": ["1 x cpu", "1 x H100"]},
        "training": {"seconds.fit": [1.5, 3.0], "speed.img_s": [100.0, 50.0]},
    }
    assert found["configuration"]["equal"] == {"optim.lr": 0.1, "augment": None, "trainer.epochs": 2}


def test_metrics_stand_side_by_side():
    found = difference(result(), result(metrics={"gt": {"shift": {"AP": 47.5, "AP_L": 3.0, "EPE": 2.0}}}))["metrics"]
    rows = {(row["readout"][0], row["metric"]): (row["a"], row["b"], row["difference"]) for row in found}
    assert rows["shift", "AP"] == (50.0, 47.5, -2.5)
    assert rows["shift", "AP_L"] == (-1.0, 3.0, None) and rows["shift", "AR"] == (60.0, None, None)
    assert rows["shift", "EPE"] == (None, 2.0, None) and rows["dark", "AP"] == (52.0, None, None)
    # Boxes that one side was evaluated on.
    other = result(metrics={"det": {"shift": {"AP": 40.0}}}, protocol={"det": result()["protocol"]["gt"]})
    found = difference(result(), other)
    assert found["protocol"] == {"differ": {}, "equal": {}}
    assert found["data"]["differ"] == {"gt.annotations": ["bbb", ABSENT], "det.annotations": [ABSENT, "bbb"]}
    assert [(r["boxes"], r["readout"]) for r in found["metrics"]][-1] == ("det", [None, "shift"])
    assert all(row["difference"] is None for row in found["metrics"])


def test_default_readouts_are_held_against_each_other():
    found = paired_readouts(["dark", "shift", "x"], ["shift", "x", "y"])
    assert found == [("dark", "shift"), ("x", "x"), ("shift", None), (None, "y")]


def stored(folder, **changes):
    folder.mkdir()
    (folder / "result.json").write_text(json.dumps(result(name=folder.name, **changes)))
    return str(folder)


def test_the_command_prints_tables_and_says_what_is_equal(tmp_path, capsys):
    runs = stored(tmp_path / "a"), stored(tmp_path / "[b]", config__seed=1, metrics={"gt": {"shift": {"AP": 51.0}}})
    assert cli.main(["diff", *runs, "--json", str(tmp_path / "x" / "d.json")]) == 0
    out = capsys.readouterr().out
    for part in ("B: [b]", "Configuration; 4 more are equal", "+1.00", "equal: poserep 0.1.0, commit abc", "val bbb"):
        assert part in out
    assert "AP_L" not in out
    found = json.loads((tmp_path / "x" / "d.json").read_text())
    assert found["configuration"]["differ"] == {"seed": [0, 1]} and found["b"] == runs[1]
    assert cli.main(["diff", *runs, "--all"]) == 0
    assert "AP_L" in capsys.readouterr().out
    # Evaluations are results as well, of no device and no training.
    left_out = ("name", "device", "devices", "seconds", "speed")
    evaluation = {key: value for key, value in result(run="a").items() if key not in left_out}
    (tmp_path / "a" / "evaluation-x.json").write_text(json.dumps(evaluation))
    assert cli.main(["diff", runs[0], f"{runs[0]}/evaluation-x.json"]) == 0
    out = capsys.readouterr().out
    assert "1 x cpu" in out and "seconds.fit" in out


def test_runs_without_a_result_are_one_clear_error(tmp_path, capsys):
    a, b = stored(tmp_path / "a"), tmp_path / "b"
    for name, text, expected in (
        ("", "", "there is no such run directory"),
        ("note", "", "it is not a run directory"),
        ("config.yaml", "x: 1", "it has not been started"),
        ("status.json", '{"state": "failed", "error": "memory"}', "is failed, memory"),
        ("result.json", "{", "is damaged"),
        ("result.json", '{"metrics": {}}', "it has no config, protocol"),
        ("result.json", "[]", "is damaged (it holds no object)"),
    ):
        if name:
            b.mkdir(exist_ok=True)
            (b / name).write_text(text)
        assert cli.main(["diff", a, str(b)]) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ") and error.count("\n") == 1 and expected in error and str(b) in error
