"""Which runs a table has asked for, as files beside them: what is missing is known, and so is what a run stands for."""

import fcntl
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poserep.files import write_json
from poserep.runs.lease import holder
from poserep.runs.records import finished

FOLDER = "cells"


@dataclass(frozen=True)
class Cell:
    """One run of a table, which may stand for several rows.

    Attributes:
        overrides: Of the configuration.
        rows: Names of the rows.
        arguments: Those of the overrides that came from the command line and not from the table, seeds aside.
        mode: Of the table.
    """

    overrides: tuple[str, ...]
    rows: tuple[str, ...]
    arguments: tuple[str, ...] = ()
    mode: str = "published"


@dataclass(frozen=True)
class Use:
    """What a run stands for in a table.

    Attributes:
        mode: ``published`` or ``controlled``.
        rows: Names of the rows.
        arguments: What the command line changed of them.
    """

    mode: str
    rows: tuple[str, ...]
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Planned:
    """A run that a table has asked for.

    Attributes:
        name: Of its run directory.
        overrides: That make it.
        uses: What it stands for, in the order in which it was asked for.
    """

    name: str
    overrides: tuple[str, ...]
    uses: tuple[Use, ...]


def remember(study: Path, name: str, cell: Cell) -> None:
    """Note that a table wants a run; what it stood for before is kept."""
    path = study / FOLDER / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    with _alone(path.parent):
        rows = {(use.mode, use.arguments): use.rows for use in _read(path).uses} if path.is_file() else {}
        same = rows.get((cell.mode, cell.arguments), ())
        rows[cell.mode, cell.arguments] = tuple(dict.fromkeys((*same, *cell.rows)))
        uses = [{"mode": m, "rows": list(r), "arguments": list(a)} for (m, a), r in rows.items()]
        write_json(path, {"name": name, "overrides": list(cell.overrides), "uses": uses})


def forget(study: Path, wanted: Mapping[str, Cell]) -> None:
    """Drop what has the overrides of a wanted run under another name, which files that have changed since gave it.

    Those that have finished stay.
    """
    names = {cell.overrides: name for name, cell in wanted.items()}
    with _alone(study / FOLDER):
        for other in planned(study):
            if names.get(other.overrides, other.name) != other.name and not finished(study / other.name):
                (study / FOLDER / f"{other.name}.json").unlink()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Not while another launcher notes what it wants of the same table."""
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def planned(study: Path) -> list[Planned]:
    """All runs that have been asked for, by name."""
    found = []
    for path in sorted((study / FOLDER).glob("*.json")):
        # A launcher may forget one at any time.
        with suppress(FileNotFoundError):
            found.append(_read(path))
    return found


def _read(path: Path) -> Planned:
    found = json.loads(path.read_text())
    uses = tuple(Use(u["mode"], tuple(u["rows"]), tuple(u["arguments"])) for u in found["uses"])
    return Planned(found["name"], tuple(found["overrides"]), uses)


def state_of(run_dir: Path) -> dict[str, Any]:
    """How a run stands: ``state`` waiting, running, stopped, failed or finished, and what its record adds.

    A run that died without a word still says ``running``; see `seen`.
    """
    path = run_dir / "status.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    return {**found, "state": "finished"} if finished(run_dir) else {"state": "waiting", **found}


def seen(run_dir: Path) -> dict[str, Any]:
    """As `state_of`, for one who looks on: what says that it runs while nobody holds its lease has stopped."""
    found = state_of(run_dir)
    if found["state"] != "finished" and (by := holder(run_dir)):
        return {"state": "running", "by": by}
    return {"state": "stopped", "why": "died without a word"} if found["state"] == "running" else found


def brief(error: str, length: int = 120) -> str:
    """The beginning of what went wrong, in a line of so many characters at most."""
    first = " ".join(error.strip().split("\n")[0].split())
    return f"{first[: length - 3]}..." if len(first) > length else first


def count(states: Sequence[str]) -> str:
    """As ``3 finished, 1 failed``."""
    order = ("finished", "running", "stopped", "failed", "waiting")
    return ", ".join(f"{states.count(s)} {s}" for s in order if s in states)
