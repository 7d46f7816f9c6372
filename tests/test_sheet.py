"""Sheets in every format."""

from rich.console import Console

from poserep.sheet import Column, Sheet, SheetCell, numbers, texts


def many(count):
    heads = [Column("row"), *(Column(t, f"M{i}", True) for i in range(count) for t in ("paper", "ours"))]
    cells = [SheetCell("A_1 & | <x>", refs=(1,)), *(SheetCell(f"{i}.0", i) for i in range(2 * count)), "done"]
    return Sheet("T", (*heads, Column("status")), [cells], "‡ w", ["why"], ["n"])


def test_metrics_are_stacked_where_width_is_dear():
    stacked = many(2).stacked()
    assert [c.text for c in stacked.columns] == ["row", "metric", "paper", "ours", "status"]
    assert [[cell.text for cell in row] for row in stacked.cells] == [
        ["A_1 & | <x>", "M0", "0.0", "1.0", "done"],
        ["", "M1", "2.0", "3.0", ""],
    ]
    assert many(1).stacked() == many(1) and many(2).stacked(2) == many(2)


def test_texts_escape_what_their_format_reads_as_marks():
    assert r"| A\_1 & \| \<x\> \[1\] | 0.0 |" in many(1).markdown()
    text = many(2).latex()
    for part in (
        r"A\_1 \& \textbar{} \textless{}x\textgreater{}\textsuperscript{1} & 0.0 & 1.0 & 2.0 & 3.0 & done \\",
        r"\multicolumn{2}{c}{M0} & \multicolumn{2}{c}{M1}", r"\cmidrule(lr){2-3} \cmidrule(lr){4-5}",
        r"\par\textbf{\textsuperscript{\ddag} w}",
    ):  # fmt: skip
        assert part in text
    assert many(1).around == ["‡ w", "[1] why", "n"]
    assert "<span>A_1 &amp; | &lt;x&gt;</span><sup>1</sup>" in many(1).html()
    assert many(1).csv() == "row,M0 paper,M0 ours,status\nA_1 & | <x>,0.0,1.0,done\n"


def test_the_terminal_shows_rules_marks_and_what_stands_around(capsys):
    cells = [["[a]", "1"], [], [SheetCell("b", marked=True), SheetCell("2", refs=(1,))]]
    Sheet("[T]", (*texts("row"), *numbers("n")), cells, footnotes=["why"]).show(Console(width=40))
    out = capsys.readouterr().out.splitlines()
    assert out[0].strip() == "[T]" and out[4] == "│ [a] │     1 │" and out[5].startswith("├")
    assert out[6] == "│ b ‡ │ 2 [1] │" and out[-1] == "[1] why"


def test_pages_put_leading_columns_behind_those_that_tell_rows_apart():
    columns = (*texts("row", "size"), *numbers("params"), Column("AP", numeric=True, leading=True), *texts("status"))
    row = ["A", "64x64", SheetCell("1.5", 1.5), SheetCell("-70.0", -70.0, style="best"), "done"]
    html = Sheet("", columns, [row]).html()
    heads = ["row", "size", "AP", "params", "status"]
    assert [html.index(f">{head}</th>") for head in heads] == sorted(html.index(f">{head}</th>") for head in heads)
    assert '<th class="left about">size</th>' in html and "<small>64x64</small></th>" in html
    assert '<td class="best" data-value="-70.0"><span>-70.0</span></td>' in html
