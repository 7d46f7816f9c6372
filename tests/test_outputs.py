"""Sheets as text in every format, and sweep files read with those that they include."""

import pytest
from poserep.report.outputs import around, latex, markdown
from poserep.report.sheet import Entry, Heading, Sheet

from poserep.errors import InputError
from poserep.sweeps.files import read_sweep, table_of, title_of


def many(count):
    heads = [Heading("row"), *(Heading(t, f"M{i}", True) for i in range(count) for t in ("paper", "ours"))]
    cells = [Entry("A_1 & | <x>", refs=(1,)), *(Entry(f"{i}.0", i) for i in range(2 * count))]
    return Sheet("T", (*heads, Heading("status")), ((*cells, Entry("done")),), "‡ w", ("why",), ("n",))


def test_metrics_are_stacked_where_width_is_dear():
    sheet = many(2)
    stacked = sheet.stacked()
    assert [h.text for h in stacked.headings] == ["row", "metric", "paper", "ours", "status"]
    assert [[e.text for e in row] for row in stacked.rows] == [
        ["A_1 & | <x>", "M0", "0.0", "1.0", "done"],
        ["", "M1", "2.0", "3.0", ""],
    ]
    assert many(1).stacked() == many(1) and sheet.groups == [("", 1), ("M0", 2), ("M1", 2), ("", 1)]


def test_texts_escape_what_their_format_reads_as_marks():
    assert r"| A\_1 & \| \<x\> \[1\] | 0.0 |" in markdown([many(1)])
    text = latex([many(2)])
    assert r"A\_1 \& \textbar{} \textless{}x\textgreater{}\textsuperscript{1} & 0.0 & 1.0 & 2.0 & 3.0 & done \\" in text
    assert r"\cmidrule(lr){2-3} \cmidrule(lr){4-5}" in text and text.count(r"\multicolumn{2}{c}") == 2
    assert r"\par\textbf{\textsuperscript{\ddag} w}" in text
    assert around(many(1)) == ["‡ w", "[1] why", "n"]


def test_included_files_are_merged(tmp_path):
    (tmp_path / "a.yaml").write_text(
        "defaults: [config, {override hydra/sweeper: rows}, _self_]\nx: {y: 1, z: 2}\n"
        "table: {title: A, data: coco, rows: [{name: r, overrides: [b=1]}]}\n"
    )
    (tmp_path / "b.yaml").write_text("defaults: [a, _self_]\nx: {y: 3}\ntable: {title: B}\n")
    found = read_sweep(tmp_path, "b")
    assert found["x"] == {"y": 3, "z": 2} and title_of(tmp_path, "b") == "B" and title_of(tmp_path, "none") == "none"
    assert table_of(tmp_path, "b").data == "coco" and table_of(tmp_path, "none") is None
    (tmp_path / "a.yaml").write_text("defaults: [b, _self_]\n")
    with pytest.raises(InputError, match="includes itself: b -> a -> b"):
        read_sweep(tmp_path, "b")
    (tmp_path / "c.yaml").write_text("table: {title: a: b}\n")
    with pytest.raises(InputError, match="is not YAML"):
        read_sweep(tmp_path, "c")
