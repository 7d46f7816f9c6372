"""The rows of a paper's table with our runs beside the published values: means over seeds, differences, status."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from operator import itemgetter
from pathlib import Path
from statistics import stdev
from typing import Any, NamedTuple

from poserep.metrics.protocol import Protocol, counted, protocol_line
from poserep.overrides import key_of
from poserep.report.labels import differing_keys, height_and_width
from poserep.report.row_status import AskedRun, changing_arguments, deviations, joint_status, last_value, read_asked_run
from poserep.report.run_sheets import known_mean
from poserep.runs.identity import flatten
from poserep.runs.plan import Planned, planned
from poserep.sweeps.table import MODES, Row, Table

# Fewer boxes than this are not a paper's evaluation set: the smallest has thousands.
FEW = 1000


class BaselineDifference(NamedTuple):
    """How much a row exceeds its baseline in the metric's unit: mean over common seeds, with two 95 % intervals.

    ``low`` and ``high`` are over the choice of images; ``seeds_low`` and ``seeds_high`` over seeds and images, None if
    there is one seed.
    """

    difference: float
    low: float
    high: float
    seeds: tuple[int, ...]
    metric: str
    seeds_low: float | None = None
    seeds_high: float | None = None


@dataclass(frozen=True)
class PaperRow:
    """One row of a table, in one mode and at one input size, with what has run of it.

    Attributes:
        setting: What else tells it from other lines of the same row.
        variant: Overrides that the table's arguments and the command line chose, seeds aside.
        marks: In what it did not run as the row says.
        foreign: Whether its data are not those of the published values, or not all of them.
        runs: Directories of the finished runs, by seed.
        values: By metric, one value for each finished run.
        shown: Metrics that tables show of its data, the chief one first; ``lower`` are those of which less is better.
        why_not: Why there is no difference where the table asks for one.
        across: Whether the baseline follows another protocol.
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
    against_baseline: BaselineDifference | None = None
    why_not: str = ""
    across: bool = False

    def mean(self, metric: str) -> float | None:
        """Return the mean over the finished runs, or None where nothing was measured."""
        return known_mean(self.values.get(metric, ()))

    def sd(self, metric: str) -> float | None:
        """Return the standard deviation between the runs (n - 1), or None for fewer than two."""
        return None if self.mean(metric) is None or len(self.runs) < 2 else stdev(self.values[metric])

    def delta(self, metric: str) -> float | None:
        """Return ours less the published value, or None where one is missing or they are of different data."""
        ours, theirs = self.mean(metric), self.row.values.get(metric)
        return None if self.foreign or ours is None or theirs is None else ours - theirs


def paper_rows(table: Table, study: Path) -> list[PaperRow]:
    """Return every row of a table with its runs; a row without any says so.

    Modes of which nothing was asked for are left out; the table's own is there if there is no other.
    """
    plans = planned(study)
    modes = [m for m in MODES if any(use.mode == m for plan in plans for use in plan.uses)] or [table.mode]
    return [one for mode in modes for row in table.rows for one in _of_row(table, study, mode, row, plans)]


def vanished_rows(table: Table, study: Path) -> list[str]:
    """Return the names of rows that runs were asked for as, but that the table no longer has."""
    asked = {name for plan in planned(study) for use in plan.uses for name in use.rows}
    return sorted(asked - {row.name for row in table.rows})


def _of_row(table: Table, study: Path, mode: str, row: Row, plans: Sequence[Planned]) -> list[PaperRow]:
    if row.quoted:
        return [PaperRow(row, mode, status="quoted")]
    defaults = {key_of(o) for o in table.arguments} - {"seed"}
    groups: dict[tuple[str, tuple[str, ...]], list[AskedRun]] = {}
    for plan in plans:
        uses = [u for u in plan.uses if u.mode == mode and row.name in u.rows]
        if uses:
            # Arguments that made no other run changed nothing.
            use = min(uses, key=lambda u: len(changing_arguments(u)))
            given = changing_arguments(use)
            chosen = [o for o in plan.overrides if key_of(o) in defaults - {key_of(o) for o in given}]
            variant = tuple(sorted({*given, *chosen}))
            groups.setdefault((_size(plan.overrides), variant), []).append(read_asked_run(study, plan, use))
    blanks = {key: PaperRow(row, mode, key[0], variant=key[1]) for key in groups}
    rows = [one for key, runs in groups.items() for one in _by_configuration(table, blanks[key], runs)]
    due = {size for o in table.arguments if key_of(o) == "size" for size in o.split("=", 1)[1].split(",")}
    rows += [PaperRow(row, mode, size, variant=(f"size={size}",)) for size in due - {one.size for one in rows}]
    rows = rows or [PaperRow(row, mode, _size(row.overrides))]
    return sorted(rows, key=lambda one: (_area(one.size), len(one.marks), one.variant, one.setting))


def _size(overrides: Sequence[str]) -> str:
    return last_value(overrides, "size", "input_size")


def _area(size: str) -> tuple[int, str]:
    return prod(height_and_width(size)) if re.fullmatch(r"\d+x\d+", size) else 0, size


def _by_configuration(table: Table, blank: PaperRow, runs: Sequence[AskedRun]) -> Iterator[PaperRow]:
    """Yield one row, or several if more than seeds sets the runs apart, as after a change of the sweep file."""
    flat = [flatten(run.config) for run in runs]
    differ = differing_keys([f for f in flat if f], ("seed",))
    settings = [", ".join(f"{k}={f[k]}" for k in differ if k in f) for f in flat]
    # A run that has not begun is taken to be like the others.
    usual = next((s for s, f in zip(settings, flat, strict=True) if f), "")
    groups: dict[str, list[AskedRun]] = {}
    for run, f, setting in zip(runs, flat, settings, strict=True):
        groups.setdefault(setting if f else usual, []).append(run)
    for setting, group in groups.items():
        yield _filled(table, replace(blank, setting=setting), group)


def _filled(table: Table, blank: PaperRow, group: Sequence[AskedRun]) -> PaperRow:
    marks = [mark for run in group for mark in deviations(table, run)]
    foreign = bool(table.data) and any(run.limit is not None or run.data not in ("", table.data) for run in group)
    filled: dict[str, Any] = {}
    if done := sorted(((run.config["seed"], run.path, run.result) for run in group if run.result), key=itemgetter(0)):
        results = [result for _, _, result in done]
        first, boxes = results[0], table.boxes_of(blank.row)
        readouts = first["metrics"].get(boxes, {})
        readout = blank.row.readout or next(iter(readouts), "")
        filled = {"readout": readout, "shown": tuple(first["columns"]), "lower": frozenset(first["lower"])}
        if not readouts:
            marks.append(f"not evaluated with boxes={boxes}")
        elif readout not in readouts:
            marks.append(f"no readout {readout}")
        else:
            values = [result["metrics"][boxes][readout] for result in results]
            protocol = Protocol.load(first["protocol"][boxes][readout])
            filled["values"] = {name: tuple(v[name] for v in values) for name in values[0]}
            filled["protocol"] = protocol_line([protocol])
            if table.data and not foreign and protocol.instances < FEW:
                foreign = True
                marks.append(f"only {counted([protocol])}")
    return replace(
        blank,
        marks=tuple(dict.fromkeys(marks)),
        foreign=foreign,
        status=joint_status(group),
        runs={seed: path for seed, path, _ in done},
        **filled,
    )
