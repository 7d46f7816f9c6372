"""Collect the runs of a study into tables: on the terminal, as text to paste, and as one self-contained HTML page.

``python -m poserep.report TABLE [RUNS] [--format terminal|markdown|latex|csv]``
``python -m poserep.report diff RUN_A RUN_B [--all] [--json FILE]``: what differs between two runs.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from poserep import report_diff
from poserep.comparison_sheets import comparison_csv, comparison_sheets
from poserep.errors import InputError
from poserep.intervals import with_gaps
from poserep.line_sheets import sheets
from poserep.lines import Line, join, strangers
from poserep.outputs import around, latex, lines_csv, markdown, terminal
from poserep.page import page
from poserep.protocol import Protocol, line
from poserep.results import load_results
from poserep.rows import MEASURES, Row, collect, notes, number, unfinished
from poserep.sheet import Sheet
from poserep.sweepfile import SWEEPS, table_of, title_of
from poserep.tables import Table as SweepTable

# More values than this are not shown in one row.
WIDE = 12


def metrics_table(title: str, found: Mapping[str, Any]) -> Table:
    """One evaluation, as in its file: a row for each kind of boxes and readout."""
    metrics = found["metrics"]
    names = list(next(iter(next(iter(metrics.values())).values())))
    # Some metrics have a value for every joint.
    columns = names if len(names) <= WIDE else found["columns"]
    measures = [(name, key) for name, key, less in MEASURES if less and "calibration" in found]
    table = Table(title=title, title_justify="left")
    for name in ("boxes", "readout"):
        table.add_column(name)
    for name in (*columns, *(name for name, _ in measures)):
        table.add_column(name, justify="right")
    for boxes, by_readout in metrics.items():
        for readout, values in by_readout.items():
            scores = found.get("calibration", {}).get(boxes, {}).get(readout, {})
            cells = [number(scores.get(key), 3) for _, key in measures]
            numbers = [number(values[c], 2 if c in found["lower"] else 1) for c in columns]
            table.add_row(boxes, readout, *numbers, *cells)
    return table


def show_evaluation(title: str, found: Mapping[str, Any]) -> None:
    """Print one evaluation with the protocol that its numbers follow."""
    console = wide_console()
    console.print(metrics_table(title, found))
    readouts = next(iter(found["protocol"].values()))
    followed = [line([Protocol.load(by[r]) for by in found["protocol"].values()]) for r in readouts]
    for text in dict.fromkeys(followed):
        console.print(f"protocol: {text}", soft_wrap=True)


def wide_console() -> Console:
    """A console that does not squeeze tables on a narrow terminal or in a file; long lines wrap or scroll there."""
    return Console(width=max(Console().width, 160))


@dataclass(frozen=True)
class Report:
    """What a study's records say, ready to be written.

    Attributes:
        title: Of the study.
        results: Its records.
        rows: The general comparison of all runs.
        missing: Runs without a result, and why.
        table: The sweep's table and its lines; None for a study whose rows have neither published values nor baselines.
        of_lines: The table's sheets, one for each mode.
        of_runs: The general comparison's; empty if the table shows every run.
    """

    title: str
    results: Sequence[Mapping[str, Any]]
    rows: Sequence[Row]
    missing: Sequence[tuple[str, str]]
    table: tuple[SweepTable, Sequence[Line]] | None
    of_lines: Sequence[Sheet]
    of_runs: Sequence[Sheet]

    @property
    def sheets(self) -> list[Sheet]:
        """All that is shown where there is no page."""
        return [*self.of_lines, *self.of_runs]

    def csv(self) -> str:
        """The table's lines, or the general comparison of a study without."""
        return lines_csv(*self.table) if self.table else comparison_csv(self.rows)

    def page(self) -> str:
        """As HTML."""
        return page(self.title, self.of_lines, self.rows, self.results, self.missing)

    def show(self) -> None:
        """Print it."""
        console = wide_console()
        for sheet in self.sheets:
            console.print(terminal(sheet))
            for text in around(sheet):
                console.print(text, soft_wrap=True, markup=False, highlight=False)


def read(study: Path) -> Report:
    """Collect what a study's folder says.

    Raises:
        InputError: If nothing in the study has finished, and no table says what should have.
    """
    results = load_results(study)
    missing = unfinished(study)
    found = table_of(SWEEPS, study.name)
    lined = found is not None and any(row.values or row.against for row in found.rows)
    if not results and not lined:
        reasons = "".join(f"\n  {name}: {why}" for name, why in missing)
        raise InputError(f"{study} holds no finished run{reasons}")
    title = title_of(SWEEPS, study.name)
    rows = collect(results)
    told = notes(rows)
    if not all(row.real for row in rows):
        told.append("data: drawn people, not photographs; compare rows with each other, not with published numbers")
    told += [f"missing: {name}: {why}" for name, why in missing]
    if found is None or not lined:
        return Report(title, results, rows, missing, None, [], comparison_sheets(title, rows, told))
    lines = with_gaps(join(found, study), study, found)
    gone = [f"the table has no row {name!r} any more, which runs were asked for as" for name in strangers(found, study)]
    # Of runs that nobody asked for as a row, as plain trainings into the study.
    others = {r["path"].name for r in results} - {path.name for one in lines for path in one.runs.values()}
    general = comparison_sheets(f"{title}: all runs", rows, told) if others else []
    return Report(title, results, rows, missing, (found, lines), sheets(found, lines, gone), general)


def report(study: Path) -> Path:
    """Print the tables of a study and write them as ``report.html``, ``table.csv``, ``table.md`` and ``table.tex``.

    Returns:
        The page.

    Raises:
        InputError: If nothing in the study has finished, and no table says what should have.
    """
    found = read(study)
    found.show()
    study.mkdir(parents=True, exist_ok=True)
    texts = {
        "report.html": found.page(),
        "table.csv": found.csv(),
        "table.md": markdown(found.sheets),
        "table.tex": latex(found.sheets),
    }
    if found.table and found.rows:
        texts["comparison.csv"] = comparison_csv(found.rows)
    for name, text in texts.items():
        (study / name).write_text(text)
    print(f"page: {study / 'report.html'}\ntable: {study / 'table.csv'}, also as .md and .tex")
    return study / "report.html"


def main() -> None:
    """Command line."""
    if sys.argv[1:2] == ["diff"]:
        report_diff.main(sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", help="name of a sweep, or of any folder of runs")
    parser.add_argument("runs", nargs="?", type=Path, default=Path("runs"), help="folder that holds it (runs)")
    formats = ("terminal", "markdown", "latex", "csv")
    parser.add_argument("--format", choices=formats, help="print the table so, and write no file")
    options = parser.parse_args()
    study = options.runs / options.table
    try:
        if options.format is None:
            report(study)
            return
        found = read(study)
    except InputError as error:
        sys.exit(f"error: {error}")
    if options.format == "terminal":
        found.show()
    elif options.format == "csv":
        print(found.csv(), end="")
    else:
        print({"markdown": markdown, "latex": latex}[options.format](found.sheets), end="")


if __name__ == "__main__":
    main()
