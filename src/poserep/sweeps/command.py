"""The commands ``poserep sweep run`` and ``poserep sweep status``: run a table, and see the state of its cells."""

import time
from collections.abc import Sequence
from pathlib import Path

from poserep.cli import parser_of
from poserep.errors import InputError, nearest, suggestion
from poserep.overrides import SWEEPS, quoted, refuse_options
from poserep.runs.lease import by_whom
from poserep.runs.plan import Cell, Planned, count_states, planned, shorten
from poserep.runs.rundir import RunDir, runs_in
from poserep.sweeps.sweep_file import table_of


def describe_state(run_dir: RunDir) -> tuple[str, str]:
    """Return the state of a cell in a word, and what there is to add."""
    status = run_dir.observed_status()
    state = status["state"]
    if state == "running":
        since = time.strftime("%Y-%m-%d %H:%M", time.localtime(status["by"]["since"]))
        return state, f"{by_whom(status['by'])} since {since}, {_progress(run_dir)}"
    if state == "stopped":
        return state, f"{status['why']}, {_progress(run_dir)}; run again to continue"
    return state, shorten(str(status.get("error", "")), 400)


def _progress(run_dir: RunDir) -> str:
    if not run_dir.config_file.is_file():
        return "not begun"
    epochs = sum("train/loss" in row for row in run_dir.curve())
    try:
        return f"{epochs} of {run_dir.config()['trainer']['epochs']} epochs"
    except InputError as error:
        return str(error)


def _sweeps(folder: Path = SWEEPS) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.yaml"))


def _asked(use: Cell) -> str:
    mode = "" if use.mode == "published" else f" ({use.mode})"
    return mode + (f" with {' '.join(use.arguments)}" if use.arguments else "")


def _rows(cell: Planned) -> str:
    return f"  [{'; '.join(' | '.join(use.rows) + _asked(use) for use in cell.uses)}]" if cell.uses else ""


RUN = """Run a table, a file of sweeps/. Runs that have finished are skipped, others continue where they stopped.

Every key=value is an override of Hydra, hydra/launcher=joblib among them, and replaces what all rows say.

example: poserep sweep run simcc-table1 --rows 'HRNet-W48 64x64*' data.root=data/coco
"""
STATUS = """Show the state of a table's cells, or of all runs of another study; the exit code is 1 if one has failed.

example: poserep sweep status simcc-table1
"""


def run(arguments: Sequence[str]) -> None:
    """Run a sweep file through Hydra; see `poserep.sweeps.sweeper.RowSweeper`.

    It is an `InputError` if there is no such file, or none of its rows is a run.
    """
    parser = parser_of("sweep run", RUN)
    parser.usage = "poserep sweep run [options] TABLE [key=value ...]"
    parser.add_argument("table", metavar="TABLE", help="a file of sweeps/, without .yaml")
    parser.add_argument("--config-dir", type=Path, default=SWEEPS, metavar="DIR", help="folder of the file (sweeps)")
    parser.add_argument("--rows", action="append", default=[], help="rows to run (all): names, or patterns as 'SimCC*'")
    parser.add_argument("--retries", metavar="N", type=int, help="how often a cell that failed is run again (1)")
    parser.add_argument("--fail-fast", action="store_true", help="begin nothing more after a cell has failed")
    # Overrides may stand between options.
    options, overrides = parser.parse_known_args(arguments)
    refuse_options(overrides, ("--rows", "--retries", "--fail-fast", "--config-dir"))
    name, folder = options.table, options.config_dir
    if name not in _sweeps(folder):
        raise InputError(f"there is no {folder.name}/{name}.yaml{nearest(name, _sweeps(folder))}")
    table = table_of(folder, name)
    if table is None or not table.runnable:
        raise InputError(f"no row of {folder.name}/{name}.yaml is a run; make reproduce-{name} does what it is for")
    from poserep.sweeps import train

    words = ["--config-dir", str(folder), "--config-name", name, *overrides]
    words += [f"hydra.sweeper.retries={options.retries}"] if options.retries is not None else []
    words += ["hydra.sweeper.fail_fast=true"] if options.fail_fast else []
    words += [f"hydra.sweeper.rows=[{','.join(map(quoted, options.rows))}]"] if options.rows else []
    train.main(words)


def status(arguments: Sequence[str]) -> int:
    """Print a line for each cell of a table, or each run of a study of none, and totals; return 1 if one has failed.

    It is an `InputError` if there is neither.
    """
    parser = parser_of("sweep status", STATUS)
    parser.add_argument("table", metavar="STUDY", help="name of a table that has been run, or of a folder of runs")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of all runs (runs)")
    options = parser.parse_args(arguments)
    study = options.runs / options.table
    cells = planned(study) or [Planned(run_dir.name, (), ()) for run_dir in runs_in(study)]
    if not cells:
        if study.name in _sweeps():
            raise InputError(f"no cell of {study} has been asked for; run: poserep sweep run {study.name}")
        near = suggestion(study.name, [*_sweeps(), *(path.name for path in options.runs.glob("*"))], 1)
        raise InputError(f"{study} holds no runs{near or '; make help lists the tables'}")
    described = [describe_state(RunDir(study / cell.name)) for cell in cells]
    totals: dict[str, list[str]] = {}
    for cell, (state, more) in zip(cells, described, strict=True):
        print(f"{state:<9} {cell.name}{_rows(cell)}" + (f"  {more}" if more else ""))
        for asked in dict.fromkeys(map(_asked, cell.uses)):
            totals.setdefault(asked or " as they are", []).append(state)
    states = [state for state, _ in described]
    # What was asked for with other settings stays in the table.
    for asked, some in totals.items() if len(totals) > 1 else ():
        print(f"rows{asked}: {len(some)} cells, {count_states(some)}")
    print(f"{study}: {len(cells)} {'cells' if cells[0].uses else 'runs'}, {count_states(states)}")
    return int("failed" in states)
