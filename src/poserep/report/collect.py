"""What a study's records say, as tables, text and page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poserep.cli import wide_console
from poserep.errors import InputError
from poserep.overrides import SWEEPS
from poserep.report.comparison_sheets import comparison_csv, comparison_sheets
from poserep.report.intervals import with_gaps
from poserep.report.line_sheets import sheets
from poserep.report.lines import Line, join, strangers
from poserep.report.outputs import around, latex, lines_csv, markdown, terminal
from poserep.report.page import page
from poserep.report.rows import Row, collect, notes, unfinished
from poserep.report.sheet import Sheet
from poserep.runs.plan import planned
from poserep.runs.rundir import load_results
from poserep.sweeps.files import table_of, title_of
from poserep.sweeps.table import Table


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
    table: tuple[Table, Sequence[Line]] | None
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
    results = _named(load_results(study), study)
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


def _named(results: Sequence[Mapping[str, Any]], study: Path) -> list[dict[str, Any]]:
    """Results with the rows that they stand for, as `poserep.report.names.settings` takes them."""
    uses = {plan.name: plan.uses for plan in planned(study)}
    of = [uses.get(result["path"].name, ()) for result in results]
    modes, arguments = ({getattr(use, key) for found in of for use in found} for key in ("mode", "arguments"))
    named = []
    for result, found in zip(results, of, strict=True):
        about = [" and ".join(dict.fromkeys(use.mode for use in found))] if len(modes) > 1 else []
        about += [" or ".join(dict.fromkeys(" ".join(use.arguments) for use in found))] if len(arguments) > 1 else []
        told = f" ({', '.join(filter(None, about))})" if any(about) else ""
        named.append({**result, "rows": tuple(dict.fromkeys(r for use in found for r in use.rows)), "of": told})
    return named


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
