"""The cells of a table, recorded in files beside its runs, so that reports also know cells that have not run."""

import fcntl
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from poserep.errors import InputError
from poserep.files import write_json
from poserep.runs.rundir import RunDir

FOLDER = "cells"


@dataclass(frozen=True)
class Cell:
    """One run of a table in one of its modes, which may stand for several rows.

    Its configuration is made of ``overrides``; ``arguments`` are those from the command line, seeds aside.
    """

    overrides: tuple[str, ...]
    rows: tuple[str, ...]
    arguments: tuple[str, ...] = ()
    mode: str = "published"


@dataclass(frozen=True)
class Planned:
    """A run that a table asked for: its directory's name, its overrides, and what it stands for, the oldest first."""

    name: str
    overrides: tuple[str, ...]
    uses: tuple[Cell, ...]


def remember(study: Path, name: str, cell: Cell) -> None:
    """Record that a table asks for a run, beside what the run stood for before."""
    path = study / FOLDER / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path.parent):
        rows = {(use.mode, use.arguments): use.rows for use in _read(path).uses} if path.is_file() else {}
        earlier = rows.get((cell.mode, cell.arguments), ())
        rows[cell.mode, cell.arguments] = tuple(dict.fromkeys((*earlier, *cell.rows)))
        uses = [{"mode": mode, "rows": names, "arguments": arguments} for (mode, arguments), names in rows.items()]
        write_json(path, {"name": name, "overrides": cell.overrides, "uses": uses})


def forget(study: Path, cells: Mapping[str, Cell]) -> None:
    """Delete the records of unfinished runs that have the overrides of a cell but another name.

    A run's name follows from the contents of its files: when they change, the same cell is another run.
    """
    names = {cell.overrides: name for name, cell in cells.items()}
    with _locked(study / FOLDER):
        for other in planned(study):
            if names.get(other.overrides, other.name) != other.name and not RunDir(study / other.name).finished:
                (study / FOLDER / f"{other.name}.json").unlink()


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other launchers of the same table from recording meanwhile."""
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def planned(study: Path) -> list[Planned]:
    """Return all runs that were asked for, by name."""
    runs = []
    for path in sorted((study / FOLDER).glob("*.json")):
        # Another launcher may delete a record at any time.
        with suppress(FileNotFoundError):
            runs.append(_read(path))
    return runs


def _read(path: Path) -> Planned:
    try:
        record = json.loads(path.read_text())
    except ValueError as error:
        raise InputError(f"{path} is damaged ({error}); delete it and run the table again") from error
    overrides = tuple(record["overrides"])
    uses = (Cell(overrides, tuple(use["rows"]), tuple(use["arguments"]), use["mode"]) for use in record["uses"])
    return Planned(record["name"], overrides, tuple(uses))


def shorten(error: str, length: int = 120) -> str:
    """Return the first line of an error message, cut to ``length`` characters."""
    first = " ".join(error.strip().split("\n")[0].split())
    return f"{first[: length - 3]}..." if len(first) > length else first


def count_states(states: Sequence[str]) -> str:
    """Count states in words, as ``3 finished, 1 failed``."""
    order = ("finished", "running", "stopped", "failed", "waiting")
    return ", ".join(f"{states.count(state)} {state}" for state in order if state in states)
