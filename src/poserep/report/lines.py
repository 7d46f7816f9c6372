"""A table's rows beside what has run of them: published values, ours over seeds, and how each row stands."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple

from poserep.config import key_of
from poserep.metrics.protocol import Protocol, protocol_line
from poserep.report import standing
from poserep.report.standing import Standing, stands, told, value_of
from poserep.runs.identity import ELSEWHERE, beneath, flatten
from poserep.runs.plan import Planned, planned
from poserep.runs.values import columns, undefined
from poserep.sweeps.table import MODES, Row, Table

# The smallest of the papers' evaluation sets has thousands of boxes.
FEW = 1000


class Gap(NamedTuple):
    """What a row differs by from the one that it is held against, in the metric's unit.

    Attributes:
        difference: The row's mean less the other's.
        low: Lower end of the 95 % interval over the choice of images.
        high: Upper end.
        seeds: Those that both have, which the means are over.
        metric: Which one.
    """

    difference: float
    low: float
    high: float
    seeds: tuple[int, ...]
    metric: str


@dataclass(frozen=True)
class Line:
    """One row of a table, in one mode and at one input size.

    Attributes:
        row: As the sweep file has it.
        mode: ``published`` or ``controlled``.
        size: Of the input.
        setting: What else tells it from other lines of its row.
        variant: Overrides that the table's arguments and the command line chose, seeds aside.
        marks: How it did not run as the row says.
        foreign: Whether its data are not those of the published values.
        status: As tables show it.
        runs: Folders of the finished runs, by seed.
        values: Per metric one value for each finished run.
        readout: Which its values are of.
        shown: Metrics that tables of its data show, the chief one first.
        lower: Metrics of which less is better.
        protocol: What else its numbers depend on.
        gap: To the row that it is held against.
        why_not: Why there is no gap where one is asked for.
        across: Whether the gap is to a row of another protocol.
    """

    row: Row
    mode: str
    size: str = ""
    setting: str = ""
    variant: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    foreign: bool = False
    status: str = "not run"
    runs: Mapping[int, Path] = field(default_factory=dict)
    values: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    readout: str = ""
    shown: tuple[str, ...] = ()
    lower: frozenset[str] = frozenset()
    protocol: str = ""
    gap: Gap | None = None
    why_not: str = ""
    across: bool = False

    def mean(self, metric: str) -> float | None:
        """Over the finished runs; None where there is nothing."""
        values = self.values.get(metric, ())
        return None if not values or any(undefined(v) for v in values) else mean(values)

    def sd(self, metric: str) -> float | None:
        """Between them, with n - 1; None for fewer than two."""
        return None if self.mean(metric) is None or len(self.runs) < 2 else stdev(self.values[metric])

    def delta(self, metric: str) -> float | None:
        """Ours less what was published; None where one is missing or they are of different data."""
        ours, theirs = self.mean(metric), self.row.values.get(metric)
        return None if self.foreign or ours is None or theirs is None else ours - theirs


def join(table: Table, study: Path) -> list[Line]:
    """Every row of a table with the runs that stand for it; a row without any has a line that says so.

    Modes of which nothing was asked for are left out; the table's own is there if there is no other.
    """
    runs = planned(study)
    modes = [m for m in MODES if any(use.mode == m for plan in runs for use in plan.uses)] or [table.mode]
    return [one for mode in modes for row in table.rows for one in _of_row(table, study, mode, row, runs)]


def strangers(table: Table, study: Path) -> list[str]:
    """Names of rows that runs were asked for as, but the table no longer has."""
    known = {row.name for row in table.rows}
    asked = {name for plan in planned(study) for use in plan.uses for name in use.rows}
    return sorted(asked - known)


def _of_row(table: Table, study: Path, mode: str, row: Row, runs: Sequence[Planned]) -> list[Line]:
    if row.quoted:
        return [Line(row, mode, status="quoted")]
    defaults = {key_of(o) for o in table.arguments} - {"seed"}
    found: dict[tuple[str, tuple[str, ...]], list[Standing]] = {}
    for plan in runs:
        uses = [u for u in plan.uses if u.mode == mode and row.name in u.rows]
        if uses:
            # Arguments that made no other run changed nothing.
            use = min(uses, key=lambda u: len(told(u)))
            given = {key_of(o) for o in told(use)}
            chosen = [o for o in plan.overrides if key_of(o) in defaults - given]
            variant = tuple(sorted({*told(use), *chosen}))
            found.setdefault((_size(plan.overrides), variant), []).append(stands(study, plan, use))
    lines = [
        one
        for (size, variant), members in found.items()
        for one in _lines(table, Line(row, mode, size, variant=variant), members)
    ]
    sizes = [size for o in table.arguments if key_of(o) == "size" for size in o.split("=", 1)[1].split(",")]
    for size in sizes:
        if not any(one.size == size for one in lines):
            lines.append(Line(row, mode, size, variant=(f"size={size}",)))
    if not lines:
        lines.append(Line(row, mode, _size(row.overrides)))
    return sorted(lines, key=lambda one: (_area(one.size), len(one.marks), one.variant, one.setting))


def _size(overrides: Sequence[str]) -> str:
    return value_of(overrides, "size", "input_size")


def _area(size: str) -> tuple[int, str]:
    sides = size.split("x")
    return (int(sides[0]) * int(sides[1]) if len(sides) == 2 and all(s.isdigit() for s in sides) else 0, size)


def _lines(table: Table, blank: Line, members: Sequence[Standing]) -> Iterator[Line]:
    """One line, or several if the runs do not differ in their seeds alone, as after a change of the row."""
    flat = [{k: v for k, v in flatten(m.config).items() if k != "seed" and not beneath(k, ELSEWHERE)} for m in members]
    begun = [f for f in flat if f]
    keys = sorted({key for f in begun for key in f})
    differ = [k for k in keys if len({json.dumps(f.get(k)) for f in begun}) > 1]
    settings = [", ".join(f"{k}={f[k]}" for k in differ if k in f) for f in flat]
    # A run that has not begun is no different from the others as far as anybody knows.
    usual = next((s for s, f in zip(settings, flat, strict=True) if f), "")
    groups: dict[str, list[Standing]] = {}
    for member, f, setting in zip(members, flat, settings, strict=True):
        groups.setdefault(setting if f else usual, []).append(member)
    for setting, group in groups.items():
        yield _filled(table, replace(blank, setting=setting), group)


def _filled(table: Table, blank: Line, group: Sequence[Standing]) -> Line:
    done = sorted((m for m in group if m.result), key=lambda m: m.config["seed"])
    results = [m.result for m in done if m.result]
    marks = [mark for m in group for mark in standing.marks(table, m)]
    foreign = any(standing.foreign(table, m) for m in group)
    about: dict[str, Any] = {}
    if results:
        first = results[0]
        readouts = first["metrics"].get(table.boxes, {})
        readout = blank.row.readout or next(iter(readouts), "")
        about = {"readout": readout, "shown": columns(first), "lower": frozenset(first["lower"])}
        if not readouts:
            marks.append(f"not evaluated with {table.boxes} boxes")
        elif readout not in readouts:
            marks.append(f"no readout {readout}")
        else:
            values = [r["metrics"][table.boxes][readout] for r in results]
            about["values"] = {name: tuple(v[name] for v in values) for name in values[0]}
            followed = Protocol.load(first["protocol"][table.boxes][readout])
            about["protocol"] = protocol_line([followed])
            if table.data and not foreign and followed.instances < FEW:
                foreign = True
                marks.append(f"only {followed.instances} {table.boxes} boxes")
    return replace(
        blank,
        marks=tuple(dict.fromkeys(marks)),
        foreign=foreign,
        status=standing.status(group),
        runs={m.config["seed"]: m.path for m in done},
        **about,
    )
