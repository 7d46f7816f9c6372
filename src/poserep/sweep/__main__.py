"""Run a table, or see how its cells stand.

``python -m poserep.sweep run TABLE [--rows NAME] [--retries N] [--fail-fast] [KEY=VALUE ...]`` runs sweeps/TABLE.yaml;
every KEY=VALUE is one of Hydra's, ``hydra/launcher=joblib`` among them. ``python -m poserep.sweep status TABLE
[--runs DIR]`` prints one line for each cell that has been asked for.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from poserep.errors import InputError
from poserep.results import read_curve
from poserep.running.lease import by_whom
from poserep.tables.files import SWEEPS, table_of
from poserep.tables.plan import Planned, brief, count, planned, seen
from poserep.tables.table import nearest


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
        raise InputError(f"no cell of {study} has been asked for; run: python -m poserep.sweep run {study.name}")
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
    """Run a sweep file through Hydra, as `poserep.train` does.

    Raises:
        InputError: If there is no such file, or none of its rows is a run.
    """
    from poserep import train

    if not (SWEEPS / f"{table}.yaml").is_file():
        known = sorted(path.stem for path in SWEEPS.glob("*.yaml"))
        raise InputError(f"there is no sweeps/{table}.yaml{nearest(table, known)}")
    found = table_of(SWEEPS, table)
    if found is None or not found.runnable:
        raise InputError(f"no row of sweeps/{table}.yaml is a run; make reproduce-{table} does what it is for")
    sys.argv = ["poserep.train", "--config-dir", str(SWEEPS), "--config-name", table, *overrides]
    sys.argv += [f"hydra.sweeper.retries={retries}"] if retries is not None else []
    sys.argv += ["hydra.sweeper.fail_fast=true"] if fail_fast else []
    sys.argv += [f"hydra.sweeper.rows=[{','.join(map(quoted, rows))}]"] if rows else []
    try:
        train.main()
    except SystemExit as error:
        if not isinstance(error.code, str):
            raise
        # Nothing has run, and a report would hide why.
        print(error.code, file=sys.stderr)
        sys.exit(2)


def quoted(text: str) -> str:
    """As Hydra reads a text in which anything may stand."""
    return "'" + text.replace("'", r"\'") + "'"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m poserep.sweep", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run what has not finished")
    run.add_argument("table", help="a file of sweeps/, without .yaml")
    run.add_argument("--rows", action="append", default=[], help="only such rows: a name, or a pattern as 'SimCC*'")
    run.add_argument("--retries", type=int, help="how often a cell that failed is begun again; 1 unless given")
    run.add_argument("--fail-fast", action="store_true", help="begin nothing more after a cell has failed")
    status = commands.add_parser("status", help="a line for each cell; exit status 1 if one has failed")
    status.add_argument("table", help="a folder of the runs")
    status.add_argument("--runs", type=Path, default=Path("runs"), help="where runs are")
    # Overrides may stand between options.
    options, rest = parser.parse_known_args()
    try:
        if options.command == "status":
            if rest:
                parser.error(f"unrecognized arguments: {' '.join(rest)}")
            sys.exit(1 if show_status(options.runs / options.table) else 0)
        run_table(options.table, options.retries, options.fail_fast, options.rows, rest)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
