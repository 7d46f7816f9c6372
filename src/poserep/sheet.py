"""`Sheet`, the one table type: every table that is printed or written is made as one, and shown in five formats."""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from itertools import groupby

from rich.console import Console
from rich.table import Table
from rich.text import Text

from poserep.cli import wide_console

# Follows the name of a row that needs the sheet's warning.
WARNING_MARK = "‡"
# Groups of columns that fit side by side; with more of them, each becomes a row of its own.
WIDEST_ON_SCREEN, WIDEST_ON_PAPER = 2, 4
# Characters that are commands in LaTeX, and letters that its usual fonts lack.
LATEX = {c: f"\\{c}" for c in "&%$#_{}"} | {"[": "{[}", "]": "{]}", "–": "--", "±": r"$\pm$", "×": r"$\times$"}
LATEX |= {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
LATEX |= {"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"}
LATEX |= {"Δ": r"$\Delta$", "σ": r"$\sigma$", "‡": r"\textsuperscript{\ddag}", "†": r"\textsuperscript{\dag}"}


@dataclass(frozen=True)
class SheetCell:
    """One cell of a sheet.

    Pages sort by ``value`` and give the cell the class ``style``, such as ``best``. Numbers of footnotes, ``refs``, and
    of ``marked`` cells `WARNING_MARK` follow the text.
    """

    text: str = ""
    value: float | None = None
    refs: tuple[int, ...] = ()
    marked: bool = False
    style: str = ""

    @property
    def plain(self) -> str:
        """Text, mark and footnotes without any formatting."""
        return self.text + f" {WARNING_MARK}" * self.marked + "".join(f" [{n}]" for n in self.refs)


@dataclass(frozen=True)
class Column:
    """The head of a column; ``group`` stands above several neighbouring ones, such as a metric.

    Numeric cells are aligned to the right; pages put leading columns, such as the chief metric, behind the row's name.
    """

    text: str
    group: str = ""
    numeric: bool = False
    leading: bool = False

    @property
    def label(self) -> str:
        """Group and text, for formats with one line of heads."""
        return f"{self.group} {self.text}" if self.group else self.text


def texts(*names: str) -> tuple[Column, ...]:
    """Return columns of text."""
    return tuple(map(Column, names))


def numbers(*names: str) -> tuple[Column, ...]:
    """Return columns of numbers."""
    return tuple(Column(name, numeric=True) for name in names)


@dataclass(frozen=True)
class Sheet:
    """A table with all that belongs to it; the first column names the rows.

    A plain text in ``rows`` stands for a cell of that text, an empty row for a rule between its neighbours. ``warning``
    is what nobody may overlook, ``footnotes`` are numbered from 1, ``notes`` are other texts below the table.
    """

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[SheetCell | str]]
    warning: str = ""
    footnotes: Sequence[str] = ()
    notes: Sequence[str] = ()

    @property
    def around(self) -> list[str]:
        """Warning, numbered footnotes and notes, a line each."""
        numbered = [f"[{i}] {text}" for i, text in enumerate(self.footnotes, 1)]
        return [*([self.warning] if self.warning else []), *numbered, *self.notes]

    @property
    def cells(self) -> list[list[SheetCell]]:
        """The rows, all of them as cells."""
        return [[SheetCell(cell) if isinstance(cell, str) else cell for cell in row] for row in self.rows]

    def stacked(self, widest: int = 1) -> "Sheet":
        """Return the same with a row for each group in place of columns, if there are more groups than ``widest``."""
        groups = list(dict.fromkeys(c.group for c in self.columns if c.group))
        if len(groups) <= widest:
            return self
        members = [[i for i, c in enumerate(self.columns) if c.group == group] for group in groups]
        first, last = members[0][0], members[-1][-1] + 1
        own = [replace(self.columns[i], group="") for i in members[0]]
        rows = []
        for row in self.cells:
            # A row without any number needs one line only.
            empty = all(row[i].value is None for of in members for i in of)
            beside = row
            for group, of in zip(groups[: 1 if empty else None], members, strict=False):
                rows.append([*beside[:first], SheetCell(group), *(row[i] for i in of), *beside[last:]])
                beside = [SheetCell()] * len(row)
        return replace(self, columns=(*self.columns[:first], Column("metric"), *own, *self.columns[last:]), rows=rows)

    def show(self, console: Console | None = None) -> None:
        """Print the table and the texts around it, on a console that does not squeeze tables unless one is given."""
        console = console or wide_console()
        if self.title:
            # As the title of a table it would wrap to the table's width.
            console.print(Text(self.title, "italic"), soft_wrap=True)
        shown = self.stacked(WIDEST_ON_SCREEN)
        table = Table(show_header=any(column.label for column in shown.columns))
        for column in shown.columns:
            table.add_column(Text(column.label), justify="right" if column.numeric else "left")
        for row in shown.cells:
            if row:
                table.add_row(*(Text(cell.plain, overflow="fold") for cell in row))
            else:
                table.add_section()
        console.print(table)
        for text in self.around:
            console.print(text, soft_wrap=True, markup=False, highlight=False)

    def csv(self) -> str:
        """Return heads and texts of the cells as comma-separated values."""
        rows = [[column.label for column in self.columns], *([cell.text for cell in row] for row in self.cells if row)]
        csv.writer(file := io.StringIO(), lineterminator="\n").writerows(rows)
        return file.getvalue()

    def markdown(self) -> str:
        """Return a pipe table between its title and the texts around it."""
        heads = [_markdown_text(column.label) for column in self.columns]
        rules = ["---:" if column.numeric else "---" for column in self.columns]
        rows = [[_markdown_text(cell.plain) for cell in row] for row in self.cells if row]
        table = [f"| {' | '.join(row)} |" for row in (heads, rules, *rows)]
        lines = [f"**{_markdown_text(self.title)}**", "", *table, ""]
        for text in self.around:
            lines += [f"**{_markdown_text(text)}**" if text == self.warning else _markdown_text(text), ""]
        return "\n".join(lines)

    def latex(self) -> str:
        """Return a table environment, which needs the package booktabs."""
        shown = self.stacked(WIDEST_ON_PAPER)
        kinds = "".join("r" if column.numeric else "l" for column in shown.columns)
        lines = [r"\begin{table}", r"\centering\footnotesize", rf"\caption{{{_latex_text(self.title)}}}"]
        lines += [rf"\begin{{tabular}}{{{kinds}}}", r"\toprule"]
        if any(column.group for column in shown.columns):
            heads, rules, at = [], [], 1
            for group, of in groupby(column.group for column in shown.columns):
                width = len(list(of))
                name = rf"\multicolumn{{{width}}}{{c}}{{{_latex_text(group)}}}"
                heads.append(name if group else " & ".join([""] * width))
                rules += [rf"\cmidrule(lr){{{at}-{at + width - 1}}}"] if group else []
                at += width
            lines += [" & ".join(heads) + r" \\", " ".join(rules)]
        lines += [" & ".join(_latex_text(column.text) for column in shown.columns) + r" \\", r"\midrule"]
        lines += [" & ".join(map(_latex_cell, row)) + r" \\" if row else r"\midrule" for row in shown.cells]
        lines += [r"\bottomrule", r"\end{tabular}"]
        for text in self.around:
            escaped = _latex_text(text)
            lines.append(rf"\par\textbf{{{escaped}}}" if text == self.warning else rf"\par {escaped}")
        return "\n".join([*lines, r"\end{table}", ""])

    def html(self) -> str:
        """Return a ``<table>`` without the texts around it, for pages with ``report/templates/page.css``.

        Leading columns stand right behind those of text that tell rows apart; narrow pages hide the latter and
        show them below the name of the row.
        """
        lead = next((i for i, column in enumerate(self.columns) if column.numeric), len(self.columns))
        order = sorted(range(len(self.columns)), key=lambda i: i >= lead and not self.columns[i].leading)
        columns = [self.columns[i] for i in order]
        kinds = [("" if c.numeric else "left about" if 0 < n < lead else "left") for n, c in enumerate(columns)]
        lines = ['<div class="wide"><table class="sortable">', "<thead>"]
        if any(column.group for column in columns):
            heads = groupby((c.group, k) for c, k in zip(columns, kinds, strict=True))
            spans = ((*head, len(list(of))) for head, of in heads)
            groups = (f'<th class="{kind}" colspan="{width}">{escape(group)}</th>' for group, kind, width in spans)
            lines.append(f'<tr class="groups">{"".join(groups)}</tr>')
        texts = (f'<th class="{kind}">{escape(c.text)}</th>' for kind, c in zip(kinds, columns, strict=True))
        lines += [f"<tr>{''.join(texts)}</tr>", "</thead>", "<tbody>"]
        for row in filter(None, self.cells):
            under = escape(" · ".join(cell.text for cell in row[1:lead] if cell.text))
            name = _html_cell(row[0]) + (f"<small>{under}</small>" if under else "")
            cells = [f'<th scope="row" class="left">{name}</th>']
            for kind, cell in zip(kinds[1:], (row[i] for i in order[1:]), strict=True):
                value = f' data-value="{cell.value}"' if cell.value is not None else ""
                cells.append(f'<td class="{f"{kind} {cell.style}".strip()}"{value}>{_html_cell(cell)}</td>')
            lines.append(f"<tr>{''.join(cells)}</tr>")
        return "\n".join([*lines, "</tbody>", "</table></div>"])


def _markdown_text(text: str) -> str:
    return re.sub(r"([\\`*_<>|\[\]])", r"\\\1", text).replace("\n", " ")


def _latex_text(text: str) -> str:
    return "".join(LATEX.get(c, c) for c in text.replace("\n", " "))


def _latex_cell(cell: SheetCell) -> str:
    text = _latex_text(cell.text + f" {WARNING_MARK}" * cell.marked)
    if cell.value is not None:
        text = re.sub(r"-(?=\d)", "$-$", text)
    return text + "".join(rf"\textsuperscript{{{n}}}" for n in cell.refs)


def _html_cell(cell: SheetCell) -> str:
    mark = f'&nbsp;<b class="note">{WARNING_MARK}</b>' if cell.marked else ""
    return f"<span>{escape(cell.text)}</span>{mark}" + "".join(f"<sup>{n}</sup>" for n in cell.refs)
