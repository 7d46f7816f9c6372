"""Rows of a paper's table with made-up runs: every status and mark, Δ, seeds, and what sheets show of them."""

import pytest

from poserep.files import write_json
from poserep.metrics.protocol import Protocol
from poserep.report.baseline_differences import chief_metric, with_baseline_differences
from poserep.report.paper_rows import PaperRow, paper_rows, vanished_rows
from poserep.report.paper_sheets import paper_csv, paper_sheets
from poserep.report.run_sheets import mean_and_sd, run_rows
from poserep.runs.plan import Cell, remember
from poserep.runs.rundir import RunDir
from poserep.sweeps.table import read_table

WEIGHTS = "backbone.weights=weights/r50.pth"


def table(**changes):
    row = {"name": "A", "overrides": ["size=64x64"], "readout": "shift", "values": {"AP": 70.4}}
    rows = [row, {**row, "name": "B", "against": "A"}]
    return read_table({"title": "T", "paper": "P", "data": "coco", "columns": ["AP"], "rows": rows} | changes)


def config(seed=0, data="coco", limit=None, weights=None, size="64x64", **more):
    about = {"seed": seed, "input_size": size, "data": {"name": data}, "trainer": {"limit": limit, "workers": seed}}
    return {**about, "backbone": {"weights": weights}, "representation": {"title": "S"}, **more}


def result(cfg, ap, readouts=("argmax", "shift"), boxes="gt", instances=6352, digest="x"):
    protocol = Protocol(
        cfg["data"]["name"], True, "val.json", boxes, {"annotations": digest}, instances, True, "shift", "contract",
        1.0, 0.2, {}, "mask", "64x64", "centre",
    )  # fmt: skip
    values = {"argmax": {"AP": ap - 10, "AR": 1.0}, "shift": {"AP": ap, "AR": 2.0}}
    measured = {"metrics": {boxes: {name: values[name] for name in readouts}}, "columns": ["AP", "AR"], "lower": []}
    protocols = {boxes: {name: protocol.record() for name in readouts}}
    return {"config": cfg, **measured, "protocol": protocols, "provenance": {}, "cost": {"params": 1, "gmacs": 1}}


def plan(study, name, rows=("A", "B"), arguments=(), mode="published", overrides=(), **about):
    """Ask for a run, and give it what ``about`` says: ``ap`` for a result, ``state`` for a status, ``cfg`` for both."""
    asked = (f"seed={name}", "size=64x64", *overrides, *arguments)
    remember(study, name, Cell(asked, tuple(rows), tuple(arguments), mode))
    run_dir, cfg = study / name, about.get("cfg", config())
    if about.keys() & {"state", "cfg"}:
        run_dir.mkdir(parents=True)
        write_json(run_dir / "config.yaml", cfg)
    if "state" in about:
        write_json(run_dir / "status.json", about["state"])
    if "ap" in about:
        write_json(run_dir / "result.json", result(cfg, about["ap"], **about.get("kept", {})))


def first(study, **changes):
    return paper_rows(table(**changes), study)[0]


def joined(study, **options):
    return with_baseline_differences(paper_rows(table(), study), study, table(), **options)


def cells(table, rows):
    """The texts of the last row of the only sheet."""
    (sheet,) = paper_sheets(table, rows)
    return [cell.text for cell in sheet.cells[-1]]


def test_row_without_a_run_says_so(tmp_path):
    lines = paper_rows(table(), tmp_path)
    about = [(line.row.name, line.status, line.mode, line.size, line.delta("AP"), line.marks) for line in lines]
    assert about == [(name, "not run", "published", "64x64", None, ()) for name in "AB"]
    assert first(tmp_path, mode="controlled").mode == "controlled"
    plan(tmp_path, "run", arguments=["data=synthetic", "trainer=smoke"])
    assert first(tmp_path).marks == ("synthetic, not coco", "trainer=smoke"), "it has not begun"


def test_seeds_are_joined_and_held_against_the_paper(tmp_path):
    for seed, ap in ((1, 72.0), (0, 70.0)):
        plan(tmp_path, f"run-{seed}", cfg=config(seed), ap=ap)
    line = first(tmp_path)
    assert line.status == "done" and list(line.runs) == [0, 1] and line.values["AP"] == (70.0, 72.0)
    assert line.mean("AP") == 71 and line.sd("AP") == pytest.approx(2**0.5)
    assert line.delta("AP") == pytest.approx(0.6) and not line.marks and line.readout == "shift"
    assert line.delta("AR") is None, "the paper has no AR"
    (sheet,) = paper_sheets(table(), joined(tmp_path))
    assert cells(table(), joined(tmp_path)) == ["B", "70.4", "71.0 ± 1.4", "+0.6", "2", "–", "A", "done"]
    assert [cell.value for cell in sheet.cells[1]][1:5] == [70.4, 71.0, pytest.approx(0.6), 2]
    assert [(h.group, h.text) for h in sheet.columns][1:4] == [("AP", "paper"), ("AP", "ours"), ("AP", "Δ")]
    # As many decimals as the paper has, of the representation's default readout.
    other = table(rows=[{"name": "A", "overrides": [], "values": {"AP": 70.43}}])
    one = paper_rows(other, tmp_path)
    assert one[0].readout == "argmax" and cells(other, one)[2] == "61.00 ± 1.41"


FAILED = {"state": "failed", "error": "x"}
STATES = {
    "waiting": [None],
    "running": [{"state": "running"}],
    "stopped": [{"state": "stopped"}],
    "stopped: nobody holds it": [{"state": "running"}],
    "failed: no weights there": [{"state": "failed", "error": "no  weights there\nTraceback"}],
    f"failed: {117 * 'x'}...": [{"state": "failed", "error": 500 * "x"}],
    "running; failed: x": [FAILED, {"state": "running"}],
    "failed: x; failed: y": [FAILED, {"state": "failed", "error": "y"}],
    "failed: x": [FAILED, FAILED, None],
    "1 of 3 seeds; failed: x": ["done", None, FAILED],
}


@pytest.mark.parametrize("said", STATES)
def test_status(tmp_path, monkeypatch, said):
    if "nobody" not in said:
        monkeypatch.setattr("poserep.runs.rundir.holder", lambda path: RunDir(path).status()["state"] == "running")
    for seed, state in enumerate(STATES[said]):
        about = {} if state is None else {"ap": 70.0} if state == "done" else {"state": state}
        plan(tmp_path, f"run-{seed}", **about, **({"cfg": config(seed)} if about else {}))
    line = first(tmp_path)
    assert line.status == said.split(": nobody")[0]
    long = f"[1] {117 * 'x'}..." in "\n".join(paper_sheets(table(), [line])[0].around)
    assert long == (len(said) > 100), "long causes stand below the table, once"


MARKS = [
    ({}, {}, ()),
    ({"data": "synthetic-easy"}, {"arguments": ["data=synthetic"]}, ("synthetic-easy, not coco",)),
    ({"limit": 8}, {"arguments": ["trainer=smoke"]}, ("trainer=smoke",)),
    ({"limit": 8}, {}, ("8 persons at most",)),
    ({}, {"overrides": [WEIGHTS]}, ("random initial weights",)),
    ({"weights": "weights/r50.pth"}, {"overrides": [WEIGHTS]}, ()),
    ({}, {"arguments": ["backbone.weights=null"]}, ("backbone.weights=null",)),
    ({}, {"arguments": ["data.root=/a", "trainer.workers=3", "logger=wandb", "runs=x"]}, ()),
    ({}, {"kept": {"instances": 25}}, ("only 25 gt boxes",)),
    ({}, {"kept": {"readouts": ["argmax"]}}, ("no readout shift",)),
    ({}, {"kept": {"boxes": "det"}}, ("not evaluated with boxes=gt",)),
]


@pytest.mark.parametrize(("about", "asked", "marks"), MARKS)
def test_marks(tmp_path, about, asked, marks):
    plan(tmp_path, "run", cfg=config(**about), ap=70.0, **asked)
    line = first(tmp_path)
    assert line.marks == marks
    other = {"synthetic-easy, not coco", "trainer=smoke", "8 persons at most", "only 25 gt boxes"}
    known = not other & {*marks} and not any("readout" in m or "boxes" in m for m in marks)
    assert (line.delta("AP") is not None) == known
    (sheet,) = paper_sheets(table(), [line])
    assert sheet.cells[0][0].marked == bool(marks) and bool(sheet.warning) == bool(marks)


def test_other_arguments_are_other_lines_and_those_that_change_nothing_are_none(tmp_path):
    plan(tmp_path, "full", cfg=config(), ap=70.0)
    plan(tmp_path, "again", arguments=["data.root=/a"], cfg=config(1), ap=72.0)
    plan(tmp_path, "smoke", arguments=["trainer=smoke"], cfg=config(limit=8), ap=10.0)
    remember(tmp_path, "full", Cell(("size=64x64", "trainer=gpu"), ("A",), ("trainer=gpu",)))
    lines = [line for line in paper_rows(table(), tmp_path) if line.row.name == "A"]
    assert [(line.mean("AP"), line.marks) for line in lines] == [(71.0, ()), (10.0, ("trainer=smoke",))]


def test_modes_that_were_asked_for_are_shown_published_first(tmp_path):
    plan(tmp_path, "c", mode="controlled", cfg=config(), ap=60.0)
    plan(tmp_path, "p", rows=["A"], cfg=config(), ap=70.0)
    lines = paper_rows(table(), tmp_path)
    assert [(line.mode, line.row.name) for line in lines] == [(m, n) for m in ("published", "controlled") for n in "AB"]
    assert [line.status for line in lines] == ["done", "not run", "done", "done"]
    published, controlled = (sheet.title for sheet in paper_sheets(table(), lines))
    assert "; published mode: " in published and "; controlled mode: " in controlled


def test_sizes_of_the_table_are_lines_of_their_own(tmp_path):
    rows = [{"name": "A", "overrides": ["representation=heatmap"], "readout": "shift"}]
    swept = table(rows=rows, data="", arguments=["size=64x64,128x128,256x192", "seed=0,1"])
    plan(tmp_path, "big", rows=["A"], overrides=["size=256x192"], cfg=config(size="256x192"), ap=70.0)
    plan(tmp_path, "small", rows=["A"], arguments=["size=64x64"], cfg=config(), ap=60.0)
    lines = paper_rows(swept, tmp_path)
    found = [(line.size, line.status) for line in lines]
    assert found == [("64x64", "done"), ("128x128", "not run"), ("256x192", "done")]
    assert not any(one.marks for one in lines)
    (sheet,) = paper_sheets(swept, lines)
    assert [h.text for h in sheet.columns] == ["row", "size", "AP", "seeds", "status"], "nobody published anything"


def test_runs_from_before_a_row_was_changed_are_not_joined_with_those_after(tmp_path):
    for seed, ap in enumerate((60.0, 70.0)):
        plan(tmp_path, f"run-{seed}", cfg=config(seed, codec={"k": 2 + seed}), ap=ap)
    lines = [line for line in paper_rows(table(), tmp_path) if line.row.name == "A"]
    assert [(line.setting, line.mean("AP")) for line in lines] == [("codec.k=2", 60.0), ("codec.k=3", 70.0)]


def test_rows_of_comparisons_join_seeds_and_nothing_else():
    runs = [
        result(config(seed, representation={"title": "S", "codec": {"k": k}}), ap, ["shift"], digest=digest)
        for seed, k, ap, digest in ((0, 1, 20, "x"), (1, 1, 30, "x"), (0, 2, 60, "x"), (0, 2, 70, "y"))
    ]
    assert [(row.setting, mean_and_sd(row.of("gt", "AP"), 1), row.seeds) for row in run_rows(runs)] == [
        ("representation.codec.k=1", "25.0 ± 7.1", 2),
        ("representation.codec.k=2", "60.0", 1),
        ("representation.codec.k=2", "70.0", 1),
    ]


def test_quoted_rows_and_rows_that_are_gone(tmp_path):
    quoted = table(rows=[{"name": "Q", "quoted": "from the authors", "values": {"AP": 63.1}, "literature": "64 there"}])
    plan(tmp_path, "run", rows=["old name"])
    (line,) = paper_rows(quoted, tmp_path)
    assert line.status == "quoted" and vanished_rows(quoted, tmp_path) == ["old name"]
    (sheet,) = paper_sheets(quoted, [line], ["note"])
    assert tuple(sheet.footnotes) == ("published elsewhere: 64 there", "from the authors") and sheet.notes[-1] == "note"
    assert cells(quoted, [line]) == ["Q", "63.1", "–", "–", "–", "quoted"]


def test_missing_sides_of_a_difference_are_said(tmp_path):
    for name, row, seed, reason in (
        ("b", "B", 1, "'A' has no finished run with the same arguments"),
        ("a", "A", 0, "no finished run of 'A' has an equal seed"),
        # What is wrong with the runs is no reason to show nothing.
        ("a1", "A", 1, "prepare"),
    ):
        plan(tmp_path, name, rows=[row], cfg=config(seed), ap=60.0)
        (b,) = joined(tmp_path)[1:]
        assert b.against_baseline is None and reason in b.why_not
    assert b.why_not in paper_csv(table(), [b])
    assert f"no difference to the baseline: {b.why_not}" in paper_sheets(table(), [b])[0].around[0]


def test_differences_are_kept_until_runs_find_something_else(tmp_path, monkeypatch):
    for name, row, seed, ap in (("a0", "A", 0, 60.0), ("a1", "A", 1, 61.0), ("b1", "B", 1, 70.0), ("b2", "B", 2, 70.0)):
        plan(tmp_path, name, rows=[row], cfg=config(seed), ap=ap)
    asked, over_seeds = [], {}

    def compute(self, row, base, seeds, name):
        asked.append((row.row.name, base.row.name, seeds, name, self.samples))
        return {"difference": 9.0, "low": -1.0, "high": 19.25, "images": 5, **over_seeds}

    monkeypatch.setattr("poserep.report.baseline_differences._Intervals.compute", compute)
    for _ in range(2):
        lines = joined(tmp_path)
        assert (
            lines[1].against_baseline == (9.0, -1.0, 19.25, (1,), "AP", None, None)
            and lines[0].against_baseline is None
        )
    assert asked == [("B", "A", [1], "AP", 1000)]
    assert cells(table(), lines)[5] == "+9.0 [-1.0, +19.2]"
    write_json(tmp_path / "b1" / "result.json", result(config(1), 71.0))
    over_seeds |= {"seeds_low": -5.0, "seeds_high": 23.0}
    assert cells(table(), joined(tmp_path))[5] == "+9.0 [-5.0, +23.0]"
    joined(tmp_path, samples=50)
    assert len(asked) == 3 and len(list((tmp_path / "intervals").iterdir())) == 3


def test_the_chief_metric_is_the_results_own():
    mpii = table(columns=["Head@0.5", "PCKh@0.5"])
    assert chief_metric(mpii, [PaperRow(mpii.rows[0], "published", shown=("PCKh@0.5", "PCKh@0.1"))]) == "PCKh@0.5"
    assert chief_metric(mpii, []) == "Head@0.5"
