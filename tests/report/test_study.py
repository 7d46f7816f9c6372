"""The report of a table with published values, from tiny real runs: the same in every format, and marked in each."""

import csv
import html
import io
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from poserep import cli
from poserep.report import study as reports
from poserep.runs.plan import Cell, remember
from poserep.runs.rundir import RunDir
from run_records import change_result

SWEEP = Path(__file__).parents[1] / "reference/paper_sweep.yaml"
TEMPLATE = Path(reports.__file__).with_name("templates") / "report.html.j2"
FIGURES = set(re.findall(r"""figure\("(\w+)\"""", TEMPLATE.read_text()))
FILES = ("report.html", "table.csv", "table.md", "table.tex")
ROWS = {"heatmap": ("Heatmap, shift", "Heatmap, argmax"), "simcc": ("SimDR* k_2 <b>",)}
ARGUMENTS = ("data=synthetic", "trainer=smoke")


@pytest.fixture(scope="module")
def made(trained, tmp_path_factory):
    """A folder with sweeps/paper.yaml and two runs that stand for three of its rows."""
    root = tmp_path_factory.mktemp("paper")
    (root / "sweeps").mkdir()
    shutil.copy(SWEEP, root / "sweeps" / "paper.yaml")
    for scheme, rows in ROWS.items():
        run_dir = root / "runs" / "paper" / trained[scheme].name
        shutil.copytree(trained[scheme], run_dir)
        # A smoke run, as its arguments say.
        change_result(run_dir, lambda result: result["config"]["trainer"].update(limit=8))
        remember(run_dir.parent, run_dir.name, Cell((f"representation={scheme}", *ARGUMENTS), rows, ARGUMENTS))
    return root


@pytest.fixture
def study(made, tmp_path, monkeypatch):
    """A copy of the study, which tests may change."""
    monkeypatch.setattr(reports, "SWEEPS", made / "sweeps")
    # Figures take seconds, and have tests of their own.
    monkeypatch.setattr("poserep.report.html.page_figures", lambda results: dict.fromkeys(FIGURES, "data:,"))
    shutil.copytree(made / "runs" / "paper", tmp_path / "runs" / "paper")
    return tmp_path / "runs" / "paper"


def records(text):
    return {row["row"]: row for row in csv.DictReader(io.StringIO(text))}


def test_report_comes_out_the_same_twice_and_from_kept_intervals(study, capsys):
    reports.write_report(study)
    first, out = {name: (study / name).read_bytes() for name in FILES}, capsys.readouterr().out
    kept = {path: path.stat().st_mtime_ns for path in (study / "intervals").iterdir()}
    assert len(kept) == 2
    reports.write_report(study)
    assert {name: (study / name).read_bytes() for name in FILES} == first and capsys.readouterr().out == out
    assert {path: path.stat().st_mtime_ns for path in (study / "intervals").iterdir()} == kept


def test_every_format_shows_every_row_and_marks_those_on_other_data(study, capsys):
    reports.write_report(study)
    capsys.readouterr()
    texts = {"html": (study / "report.html").read_text()}
    for form in ("terminal", "markdown", "latex", "csv"):
        assert cli.main(["report", study.name, str(study.parent), "--format", form]) == 0
        texts[form] = capsys.readouterr().out
    for form, end in {"markdown": "md", "latex": "tex", "csv": "csv"}.items():
        assert texts[form] == (study / f"table.{end}").read_text()
    shown = "Heatmap, shift/Heatmap, argmax/IPR/Mask R-CNN/not run/quoted by the paper/70.4/synthetic-easy, not coco"
    for form, text in texts.items():
        assert all(part in text for part in (*shown.split("/"), "trainer=smoke")), form
    assert "│ Heatmap, argmax ‡" in texts["terminal"] and "3 of 3 rows did not run as they say" in texts["terminal"]
    assert r"| SimDR\* k\_2 \<b\> ‡ \[1\] |" in texts["markdown"]
    assert r"SimDR* k\_2 \textless{}b\textgreater{} \textsuperscript{\ddag}\textsuperscript{1} &" in texts["latex"]
    assert 'SimDR* k_2 &lt;b&gt;</span>&nbsp;<b class="note">‡</b><sup>1</sup>' in texts["html"]
    found = records(texts["csv"])
    assert [row["mark"] for row in found.values()] == ["‡", "‡", "‡", "", ""]
    assert all(row["delta_AP"] == row["delta_AR"] == "" for row in found.values()), "no Δ to other data"
    assert [row["status"] for row in found.values()] == ["done", "done", "done", "not run", "quoted"]
    assert [row["paper_AP"] for row in found.values()] == ["70.4", "68", "71.2", "66", "63.1"]


def test_ours_are_the_readout_and_the_boxes_of_the_row(study):
    row = records(reports.read_report(study).text("csv"))["SimDR* k_2 <b>"]
    (path,) = study.glob("simcc-*/result.json")
    ap = json.loads(path.read_text())["metrics"]["det"]["argmax"]["AP"]
    assert (float(row["ours_AP"]), row["readout"], row["boxes"]) == (pytest.approx(ap, abs=1e-4), "argmax", "det")
    (kept,) = (json.loads(p.read_text()) for p in (study / "intervals").iterdir() if "simcc" in p.read_text())
    assert kept["low"] <= kept["high"] and float(row["difference"]) == pytest.approx(kept["difference"], abs=1e-4)
    assert kept["metric"] == row["baseline_metric"] == "AP" and kept["boxes"] == "det"


def test_run_that_stands_for_no_row_is_in_the_comparison_only(study, capsys):
    (run_dir,) = study.glob("simcc-*-s0-*")
    plain = study / f"{run_dir.name[:-8]}00000000"
    shutil.copytree(run_dir, plain)
    change_result(plain, lambda result: result["config"]["representation"].update(title="Plainly trained"))
    reports.write_report(study)
    out = capsys.readouterr().out
    assert "Plainly trained" in out and "trainer.limit=8 take the images of the first 8 persons" in out
    holders = {file.name for file in study.iterdir() if file.is_file() and "Plainly trained" in file.read_text()}
    assert holders == {"report.html", "comparison.csv", "table.md", "table.tex"}


def test_table_of_which_nothing_ran_says_so(made, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(reports, "SWEEPS", made / "sweeps")
    reports.write_report(tmp_path / "runs" / "paper")
    found = records((tmp_path / "runs" / "paper" / "table.csv").read_text())
    assert [row["status"] for row in found.values()] == ["not run"] * 4 + ["quoted"]
    page = (tmp_path / "runs" / "paper" / "report.html").read_text()
    assert page.count("not run") == 4 and "All runs" not in page


def test_damaged_runs_are_left_out_by_name(trained_once, tmp_path, capsys):
    for seed in (0, 1, 2):
        run_dir = RunDir(shutil.copytree(trained_once("representation=simcc"), tmp_path / "mine" / f"run-{seed}"))
        change_result(run_dir, lambda result, seed=seed: result["config"].update(seed=seed))
    (tmp_path / "mine" / "run-1" / "result.json").write_text("")
    (tmp_path / "mine" / "run-2" / "result.json").unlink()
    (tmp_path / "mine" / "run-2" / "config.yaml").write_text("")
    assert cli.main(["report", "mine", str(tmp_path), "--format", "markdown"]) == 0
    said = capsys.readouterr().out
    assert re.search(r"missing: run-1: .*run-1/result.json is damaged", said) and "missing: run-2: " in said
    assert said.count("| SimCC Gaussian |") == len(RunDir(tmp_path / "mine" / "run-0").result()["metrics"]["gt"])


def test_a_folder_that_is_named_is_there(tmp_path, capsys):
    assert cli.main(["report", "mine", f"runs={tmp_path}"]) == 2
    assert f"runs={tmp_path} is no folder; RUNS is the path of the one that holds mine/" in capsys.readouterr().err


def test_page_asks_nobody_for_anything(study):
    # Names of XML are no requests.
    text = re.sub(r'xmlns(:\w+)?="[^"]*"', "", reports.write_report(study).read_text())
    assert text.count('src="data:,') == len(FIGURES)
    assert not re.search(r"""(src|href)\s*=\s*["'](?!data:|#)""", text)
    assert not re.search(r"@import|url\((?!['\"]?data:)|fetch\(|XMLHttpRequest|WebSocket|sendBeacon|import\(", text)
    assert text.count("<table") == text.count('<table class="sortable"') > 1 and text.count('data-value="70.4"') == 1


@pytest.mark.long
def test_a_narrow_page_is_no_wider_than_its_window_and_clicking_a_heading_sorts(study, tmp_path):
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("no Chromium on PATH")
    # Clicks as a reader would make them, and says what then stands first and last.
    click = """<script>
    const heads = [...document.querySelector("table.sortable").querySelectorAll("thead tr:last-child th")], said = [];
    const rows = () => [...document.querySelectorAll("section:first-of-type tbody tr")];
    const names = () => rows().map((row) => row.cells[0].textContent);
    const wide = document.documentElement.scrollWidth > innerWidth;
    said.push(names());
    for (let i = 0; i < 3; i++) { heads[1].querySelector("button").click(); said.push(names()); }
    heads[4].querySelector("button").click(); said.push(names());
    const general = [...document.querySelectorAll("#results thead th")];
    const ap = general.findIndex((head) => head.textContent.startsWith("AP"));
    general[ap].querySelector("button").click();
    said.push([...document.querySelectorAll("#results tbody tr")].map((row) => row.cells[ap].textContent));
    document.body.innerHTML = ""; document.body.append(JSON.stringify([...said, [String(wide), String(innerWidth)]]));
    </script></body>"""
    clicked = tmp_path / "clicked.html"
    clicked.write_text(reports.write_report(study).read_text().replace("</body>", click))
    flags = "--headless --no-sandbox --disable-gpu --disable-background-networking --window-size=500,900 --dump-dom"
    command = [browser, *flags.split(), f"--user-data-dir={tmp_path / 'browser'}", clicked.as_uri()]
    dumped = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    said = json.loads(html.unescape(re.search(r"<body>(\[\[.*\]\])", dumped, re.DOTALL)[1]))
    assert said.pop() == ["false", "500"]
    paper, up, down, again, missing_last, runs = [[re.split("\\s*‡", name)[0] for name in names] for names in said]
    assert paper == ["Heatmap, shift", "Heatmap, argmax", "SimDR* k_2 <b>", "IPR", "Mask R-CNN"]
    assert up == ["Mask R-CNN", "IPR", "Heatmap, argmax", "Heatmap, shift", "SimDR* k_2 <b>"]
    assert down == up[::-1] and again == paper
    assert len(runs) > 1 and runs == sorted(runs, key=lambda cell: float(cell.split()[0])), "any other table too"
    assert missing_last == paper, "of AR one value was published, and the others keep their order behind it"
