"""The report of a study: what its records say, as sheets, CSV and page."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from poserep.errors import InputError
from poserep.files import write_text
from poserep.overrides import SWEEPS
from poserep.report.baseline_differences import with_baseline_differences
from poserep.report.labels import Result
from poserep.report.paper_rows import PaperRow, paper_rows, vanished_rows
from poserep.report.paper_sheets import paper_csv, paper_sheets
from poserep.report.row_status import changing_arguments
from poserep.report.run_sheets import RunRow, limit_notes, row_notes, run_rows, run_sheets, runs_csv, training_notes
from poserep.runs.plan import planned, shorten
from poserep.runs.rundir import load_results, runs_in
from poserep.sheet import Sheet
from poserep.sweeps.sweep_file import table_of, title_of
from poserep.sweeps.table import Table


@dataclass(frozen=True)
class StudyReport:
    """What a study's records say, ready to be shown; ``missing`` are runs without a result, and why they have none.

    ``paper`` is the sweep's table and its rows, None if these have neither published values nor baselines; ``sheets``
    are all that are printed: those of the paper, and those of all runs unless that table shows every run.
    """

    title: str
    results: Sequence[Result]
    rows: Sequence[RunRow]
    missing: Sequence[tuple[str, str]]
    paper: tuple[Table, Sequence[PaperRow]] | None
    paper_sheets: Sequence[Sheet]
    sheets: Sequence[Sheet]

    def text(self, form: str) -> str:
        """Return all sheets as ``markdown`` or ``latex``; as ``csv`` the table's rows, or all runs without a table."""
        if form == "csv":
            return paper_csv(*self.paper) if self.paper else runs_csv(self.rows)
        return "\n".join(getattr(sheet, form)() for sheet in self.sheets)


def read_report(study: Path, sweeps: Path | None = None) -> StudyReport:
    """Read a study's folder, and the file of its table in ``sweeps``, those of the project by default.

    It is an `InputError` if no run has finished and no table says which runs there are.
    """
    damaged: dict[str, str] = {}
    results = _with_rows(load_results(study, damaged), study)
    unfinished = [run_dir for run_dir in runs_in(study) if not run_dir.finished and run_dir.name not in damaged]
    states = {run_dir.name: run_dir.observed_status() for run_dir in unfinished}
    missing = [(name, f"{s['state']} {shorten(str(s.get('error', '')))}".strip()) for name, s in states.items()]
    missing += damaged.items()
    table = table_of(sweeps or SWEEPS, study.name)
    if table is not None and not any(row.values or row.against for row in table.rows):
        table = None
    if not results and table is None:
        reasons = "".join(f"\n  {name}: {why}" for name, why in missing)
        raise InputError(f"{study} holds no finished run{reasons}")
    title = title_of(sweeps or SWEEPS, study.name)
    rows = run_rows(results)
    drawn = "data: drawn people, not photographs; compare rows with each other, not with published numbers"
    notes = [*row_notes(rows), *([drawn] if not all(row.real for row in rows) else [])]
    notes += [*limit_notes(results), *training_notes(results)]
    notes += [f"missing: {name}: {why}" for name, why in missing]
    if table is None:
        return StudyReport(title, results, rows, missing, None, [], run_sheets(title, rows, notes))
    lines = with_baseline_differences(paper_rows(table, study), study, table)
    vanished = vanished_rows(table, study)
    gone = [f"runs were asked for as row {name!r}, which the table no longer has" for name in vanished]
    sheets = paper_sheets(table, lines, [*gone, *training_notes(results)])
    # Runs that no row asked for, such as a training into the study.
    others = {r["path"].name for r in results} - {path.name for line in lines for path in line.runs.values()}
    general = run_sheets(f"{title}: all runs", rows, notes) if others else []
    return StudyReport(title, results, rows, missing, (table, lines), sheets, [*sheets, *general])


def _with_rows(results: Sequence[Result], study: Path) -> list[Result]:
    """Return the results with the table rows that they stand for, see `poserep.report.labels.run_settings`."""
    by_name = {plan.name: plan.uses for plan in planned(study)}
    of = [by_name.get(result["path"].name, ()) for result in results]
    modes = {use.mode for uses in of for use in uses}
    arguments = {changing_arguments(use) for uses in of for use in uses}
    named: list[Result] = []
    for result, uses in zip(results, of, strict=True):
        parts = [" and ".join(dict.fromkeys(use.mode for use in uses))] if len(modes) > 1 else []
        parts += (
            [" or ".join(dict.fromkeys(" ".join(changing_arguments(use)) for use in uses))]
            if len(arguments) > 1
            else []
        )
        suffix = f" ({', '.join(filter(None, parts))})" if any(parts) else ""
        rows = list(dict.fromkeys(row for use in uses for row in use.rows))
        named.append({**result, "rows": rows, "suffix": suffix})
    # In the table's order, which tables and figures then share.
    place = {name: number for number, name in enumerate(by_name)}
    return sorted(named, key=lambda result: place.get(result["path"].name, len(place)))


def write_report(study: Path, sweeps: Path | None = None) -> Path:
    """Print the tables of a study, write them as ``report.html``, ``table.csv``, ``.md``, ``.tex``; return the page."""
    # Only the page needs matplotlib.
    from poserep.report.html import study_page

    report = read_report(study, sweeps)
    for sheet in report.sheets:
        sheet.show()
    texts = {"report.html": study_page(report), "table.csv": report.text("csv")}
    texts |= {"table.md": report.text("markdown"), "table.tex": report.text("latex")}
    if report.paper and report.rows:
        texts["comparison.csv"] = runs_csv(report.rows)
    for name, text in texts.items():
        write_text(study / name, text)
    print(f"page: {study / 'report.html'}\ntable: {study / 'table.csv'}, also as .md and .tex")
    return study / "report.html"
