"""Printed numbers beside ours: how they agree, what is excused, and what the page says of it."""

import csv
from collections import Counter
from dataclasses import replace

import pytest
import yaml

from poserep.errors import InputError
from poserep.overrides import CONF
from poserep.studies.published_costs.__main__ import check_sweep, reproduce
from poserep.studies.published_costs.cells import PrintedCell, printed_cells, verdict
from poserep.studies.published_costs.page import agreement_sheet, excuses, page, table_sheets

SWEEP = yaml.safe_load((CONF.parent / "sweeps/cost.yaml").read_text())["table"]


def test_verdicts():
    for printed, ours, tolerance, expected in (
        ("34.0", 33.9997, 0, "rounds"),
        ("6.6", 6.6699, 0, "truncates"),
        ("8.9", 8.9912, 0.01, "truncates"),
        ("8.91", 8.8885, 0.01, "within 1 %"),
        ("8.91", 8.8885, 0, "differs"),
        ("25.1", 25.598, 0, "differs"),
        ("5", 5.4, 0, "rounds"),
    ):
        assert verdict(printed, ours, tolerance) == expected


def cell(**changes) -> PrintedCell:
    printed, ours = {"params": "25.1", "gflops": "4.9"}, {"params": 25.598472, "gflops": 4.904, "gmacs": 5.27}
    return replace(PrintedCell("dark-5", "Hourglass", "baseline", "128x96", "hrnet", printed, ours, {}), **changes)


def test_only_named_numbers_are_excused():
    assert cell().unexplained() == ["params"]
    assert cell(excuses={"params": "known"}).unexplained() == []
    assert cell(excuses={"gflops": "known"}).unexplained() == ["params"]
    assert cell(ours={}, excuses={"all": "no code"}).unexplained() == []
    assert cell(ours={}).unexplained() == ["params", "gflops"]
    cut = cell(printed={"gflops": "8.9"}, ours={"gflops": 8.991})
    assert excuses([cut]) == ["Hourglass at 128x96, GFLOPs: 8.9 is 8.991 cut off, not rounded"]
    assert excuses([cell(), cell()]) == ["Hourglass at 128x96, parameters: unexplained"]
    assert excuses([cell(ours={}, excuses={"all": "no code"})]) == ["Hourglass at 128x96: no code"]
    # Printed, rounds, truncates, within 1 %, differs, not built.
    assert agreement_sheet([cell(), cell(ours={})]).rows == [
        ["parameters", "2", "0", "0", "0", "1", "1"],
        ["GFLOPs", "2", "1", "0", "0", "0", "1"],
    ]


def test_every_table_of_the_papers_is_there():
    rows = [row for node in SWEEP["networks"] for row in printed_cells(node)]
    # As the papers have them: rows of a table that print parameters or GFLOPs.
    assert Counter(table for table, _, _ in rows) == {
        **{"simcc-1": 27, "simcc-3": 4, "simcc-4": 9, "simdr-2": 45, "simdr-3": 6},
        **{"dark-4": 6, "dark-5": 14, "srpose-1": 16, "srpose-3": 4, "srpose-6": 3, "rtmpose-page": 6},
    }
    texts = [text for _, _, numbers in rows for text in numbers.values()]
    # A number would have lost its last zero.
    assert all(isinstance(text, str) for text in texts)


def test_backbone_and_others_are_compared_apart():
    apart = cell(printed={"backbone": "4.93", "other": "1.06"}, ours={"backbone": 4.931648, "other": 1.053457})
    assert apart.verdicts() == {"backbone": "rounds", "other": "differs"}
    assert apart.shown() == ("4.93 + 1.06", "4.932 + 1.053")
    assert cell(excuses={"gflops": "none needed"}).stale() == ["gflops"]


def test_what_makes_no_sense_is_refused_before_counting():
    for table, given, message in (
        (SWEEP, ["backbone=resnet18"], "backbone=resnet18: the networks are the papers'"),
        ({"rows": []}, [], "no table.networks"),
    ):
        with pytest.raises(InputError, match=message):
            check_sweep(table, given)


def test_networks_are_counted(tmp_path, capsys):
    sweep = yaml.safe_load((CONF.parent / "sweeps/cost.yaml").read_text())
    networks = [n for n in SWEEP["networks"] if n.get("size") or "backbone=resnet50" in n["overrides"]]
    sweep["table"]["networks"] = networks[:3]
    (tmp_path / "cost.yaml").write_text(yaml.safe_dump(sweep))
    assert reproduce(tmp_path, "cost", [f"runs={tmp_path}"]) == 0
    with (tmp_path / "cost/table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["params_ours"] == "33.999697" and rows[0]["gflops_verdict"] == "rounds"
    assert "SimCC, table 1" in capsys.readouterr().out


@pytest.mark.long
def test_committed_counts_are_those_of_today(tmp_path):
    assert reproduce(CONF.parent / "sweeps", "cost", [f"runs={tmp_path}"]) == 0
    assert (tmp_path / "cost/table.csv").read_text() == (CONF.parent / "results/cost.csv").read_text()


def test_rows_that_differ_in_their_name_alone_share_a_line():
    cells = [cell(), cell(row="DARK"), cell(size="64x64")]
    (sheet,) = table_sheets(cells)
    assert [row[1:3] for row in sheet.rows] == [["baseline, DARK", "128x96"], ["baseline", "64x64"]]


def test_page_is_whole_and_says_what_differs():
    html = page("Costs", [cell(excuses={"params": "the code has 25.60 M"}), cell(ours={})])
    assert "the code has 25.60 M" in html and "unexplained" in html and 'class="bad"' in html
    assert "http" not in html
