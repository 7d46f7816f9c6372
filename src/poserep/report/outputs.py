"""Sheets as text: for the terminal, as Markdown and as LaTeX; and the lines of a table as CSV, number by number."""

import csv
import io
import re
from collections.abc import Sequence

from rich.table import Table as RichTable
from rich.text import Text

from poserep.report.line_sheets import metrics
from poserep.report.lines import Line
from poserep.report.sheet import MARK, Entry, Heading, Sheet
from poserep.sweeps.table import Table

# Metrics beside each other: more are stacked.
WIDEST_ON_SCREEN, WIDEST_ON_PAPER = 2, 4


def terminal(sheet: Sheet) -> RichTable:
    """For a console; what stands around it is `around`."""
    shown = sheet.stacked() if _metrics(sheet) > WIDEST_ON_SCREEN else sheet
    table = RichTable(title=Text(sheet.title), title_justify="left")
    for heading in shown.headings:
        table.add_column(Text(_flat(heading)), justify="right" if heading.numeric else "left")
    for row in shown.rows:
        table.add_row(*(Text(_whole(entry), overflow="fold") for entry in row))
    return table


def around(sheet: Sheet) -> list[str]:
    """The warning, the footnotes and the notes, a line each."""
    numbered = [f"[{i}] {text}" for i, text in enumerate(sheet.footnotes, 1)]
    return [*([sheet.warning] if sheet.warning else []), *numbered, *sheet.notes]


def _metrics(sheet: Sheet) -> int:
    return len({h.group for h in sheet.headings if h.group})


def _flat(heading: Heading) -> str:
    return f"{heading.group} {heading.text}" if heading.group else heading.text


def _whole(entry: Entry) -> str:
    mark = f" {MARK}" if entry.marked else ""
    return entry.text + mark + "".join(f" [{n}]" for n in entry.refs)


def markdown(sheets: Sequence[Sheet]) -> str:
    """Pipe tables, one below the other."""
    lines = []
    for sheet in sheets:
        heads = [_plain(_flat(h)) for h in sheet.headings]
        rules = ["---:" if h.numeric else "---" for h in sheet.headings]
        rows = [[_plain(_whole(entry)) for entry in row] for row in sheet.rows]
        lines += [
            f"**{_plain(sheet.title)}**",
            "",
            *(f"| {' | '.join(cells)} |" for cells in (heads, rules, *rows)),
            "",
        ]
        for text in around(sheet):
            lines += [f"**{_plain(text)}**" if text == sheet.warning else _plain(text), ""]
    return "\n".join(lines)


def _plain(text: str) -> str:
    """Without characters that Markdown reads as marks."""
    return re.sub(r"([\\`*_<>|\[\]])", r"\\\1", text).replace("\n", " ")


# What LaTeX reads as commands, and letters that its usual fonts lack.
LATEX = {
    **{c: f"\\{c}" for c in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "[": "{[}",
    "]": "{]}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "–": "--",
    "±": r"$\pm$",
    "×": r"$\times$",
    "Δ": r"$\Delta$",
    "σ": r"$\sigma$",
    "‡": r"\textsuperscript{\ddag}",
    "†": r"\textsuperscript{\dag}",
}


def latex(sheets: Sequence[Sheet]) -> str:
    """Tables that need the package booktabs."""
    return "\n".join(_latex(sheet) for sheet in sheets)


def _latex(sheet: Sheet) -> str:
    shown = sheet.stacked() if _metrics(sheet) > WIDEST_ON_PAPER else sheet
    columns = "".join("r" if h.numeric else "l" for h in shown.headings)
    lines = [r"\begin{table}", r"\centering\footnotesize", rf"\caption{{{_escape(sheet.title)}}}"]
    lines += [rf"\begin{{tabular}}{{{columns}}}", r"\toprule"]
    if shown.grouped:
        cells, rules, column = [], [], 1
        for group, width in shown.groups:
            cells.append(rf"\multicolumn{{{width}}}{{c}}{{{_escape(group)}}}" if group else " & ".join([""] * width))
            rules += [rf"\cmidrule(lr){{{column}-{column + width - 1}}}"] if group else []
            column += width
        lines += [" & ".join(cells) + r" \\", " ".join(rules)]
    lines += [" & ".join(_escape(h.text) for h in shown.headings) + r" \\", r"\midrule"]
    lines += [" & ".join(_cell(entry) for entry in row) + r" \\" for row in shown.rows]
    lines += [r"\bottomrule", r"\end{tabular}"]
    for text in around(sheet):
        words = _escape(text)
        lines.append(rf"\par\textbf{{{words}}}" if text == sheet.warning else rf"\par {words}")
    return "\n".join([*lines, r"\end{table}", ""])


def _cell(entry: Entry) -> str:
    text = _escape(f"{entry.text} {MARK}" if entry.marked else entry.text)
    if entry.value is not None:
        text = re.sub(r"-(?=\d)", "$-$", text)
    return text + "".join(rf"\textsuperscript{{{n}}}" for n in entry.refs)


def _escape(text: str) -> str:
    return "".join(LATEX.get(c, c) for c in text.replace("\n", " "))


def lines_csv(table: Table, lines: Sequence[Line]) -> str:
    """One line per row, mode and size; what is not known stays empty, and numbers have four decimals."""
    shown = metrics(table, lines)
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    about = ["row", "mark", "not_as_the_row_says", "mode", "size", "setting", "status", "readout", "boxes", "seeds"]
    of_metrics = [f"{kind}_{m}" for m in shown for kind in ("paper", "ours", "sd", "delta")]
    gaps = ["baseline", "baseline_metric", "difference", "low", "high", "no_difference_because"]
    writer.writerow([*about, *of_metrics, *gaps, "undetermined", "quoted", "runs", "protocol"])
    for line in lines:
        row = line.row
        cells = [row.name, MARK if line.marks else "", "; ".join(line.marks), line.mode, line.size, line.setting]
        cells += [line.status, line.readout, table.boxes, str(len(line.runs))]
        for metric in shown:
            numbers = (row.values.get(metric), line.mean(metric), line.sd(metric), line.delta(metric))
            cells += [_number(value) for value in numbers]
        gap = line.gap
        cells += [row.against or "", *((gap.metric, *map(_number, gap[:3])) if gap else ("", "", "", ""))]
        runs = " ".join(path.name for path in line.runs.values())
        writer.writerow([*cells, line.why_not, row.undetermined, row.quoted, runs, line.protocol])
    return file.getvalue()


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}".rstrip("0").rstrip(".")
