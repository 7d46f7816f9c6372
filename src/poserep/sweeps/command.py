"""Run a table, or see how its cells stand."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from poserep.cli import parser_of
from poserep.config import SWEEPS
from poserep.errors import InputError, nearest
from poserep.runs.lease import by_whom
from poserep.runs.plan import Planned, brief, count, planned, seen
from poserep.runs.records import read_curve
from poserep.sweeps.files import table_of


def cell_state(run_dir: Path) -> tuple[str, str]:
    """How a cell stands, in a word, and what there is to add."""
    found = seen(run_dir)
    state = found["state"]
    if state == "running":
        return state, f"{by_whom(found['by'])} since {_ago(found['by']['since'])}, {_progress(run_dir)}"
    if state == "stopped":
        return state, f"{found['why']}, {_progress(run_dir)}; run again, it goes on"
    return state, brief(str(found.get("error", "")), 400)


def _ago(since: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(since))


def _progress(run_dir: Path) -> str:
    path = run_dir / "config.yaml"
    if not path.is_file():
        return "not begun"
    config: dict[str, Any] = yaml.safe_load(path.read_text())
    done = sum("train/loss" in row for row in read_curve(run_dir))
    return f"{done} of {config['trainer']['epochs']} epochs"


def show_status(study: Path) -> int:
    """Print a line for each cell; returns how many have failed.

    Raises:
        InputError: If none has been asked for.
    """
    cells = planned(study)
    if not cells:
        raise InputError(f"no cell of {study} has been asked for; run: poserep sweep run {study.name}")
    states = [cell_state(study / cell.name) for cell in cells]
    for cell, (state, more) in zip(cells, states, strict=True):
        print(f"{state:<9} {cell.name}  {_rows(cell)}" + (f"  {more}" if more else ""))
    print(f"{study}: {len(cells)} cells, {count([state for state, _ in states])}")
    return sum(state == "failed" for state, _ in states)


def _rows(cell: Planned) -> str:
    words = []
    for use in cell.uses:
        what = " | ".join(use.rows) + ("" if use.mode == "published" else f" ({use.mode})")
        words.append(what + (f" with {' '.join(use.arguments)}" if use.arguments else ""))
    return f"[{'; '.join(words)}]"


def run_table(table: str, retries: int | None, fail_fast: bool, rows: Sequence[str], overrides: Sequence[str]) -> None:
    """Run a sweep file through Hydra, as `poserep.sweeps.train` does.

    Raises:
        InputError: If there is no such file, or none of its rows is a run.
    """
    from poserep.sweeps import train

    if not (SWEEPS / f"{table}.yaml").is_file():
        known = sorted(path.stem for path in SWEEPS.glob("*.yaml"))
        raise InputError(f"there is no sweeps/{table}.yaml{nearest(table, known)}")
    found = table_of(SWEEPS, table)
    if found is None or not found.runnable:
        raise InputError(f"no row of sweeps/{table}.yaml is a run; make reproduce-{table} does what it is for")
    words = ["--config-dir", str(SWEEPS), "--config-name", table, *overrides]
    words += [f"hydra.sweeper.retries={retries}"] if retries is not None else []
    words += ["hydra.sweeper.fail_fast=true"] if fail_fast else []
    words += [f"hydra.sweeper.rows=[{','.join(map(quoted, rows))}]"] if rows else []
    train.main(words)


def quoted(text: str) -> str:
    """As Hydra reads a text in which anything may stand."""
    return "'" + text.replace("'", r"\'") + "'"


RUN = """Run a table, a file of sweeps/; runs that have finished are skipped, others go on where they stopped.

Every key=value is one of Hydra's, hydra/launcher=joblib among them, and replaces what all rows say.

example: poserep sweep run simcc-table1 --rows 'HRNet-W48 64x64*' data.root=data/coco
"""
STATUS = """Show how the cells of a table stand, a line for each; the exit code is 1 if one has failed.

example: poserep sweep status simcc-table1
"""


def run(arguments: Sequence[str]) -> None:
    """The command ``poserep sweep run``."""
    parser = parser_of("sweep run", RUN)
    parser.add_argument("table", help="a file of sweeps/, without .yaml")
    parser.add_argument("--rows", action="append", default=[], help="only such rows: a name, or a pattern as 'SimCC*'")
    parser.add_argument("--retries", type=int, help="how often a cell that failed is begun again; 1 unless given")
    parser.add_argument("--fail-fast", action="store_true", help="begin nothing more after a cell has failed")
    # Overrides may stand between options.
    given, rest = parser.parse_known_args(arguments)
    run_table(given.table, given.retries, given.fail_fast, given.rows, rest)


def status(arguments: Sequence[str]) -> int:
    """The command ``poserep sweep status``."""
    parser = parser_of("sweep status", STATUS)
    parser.add_argument("table", help="a folder of the runs")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where runs are (runs)")
    given = parser.parse_args(arguments)
    return 1 if show_status(given.runs / given.table) else 0
