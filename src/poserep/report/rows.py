"""Results of a study as comparable rows: what may be joined, what must be told apart, what is missing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple

from poserep.metrics.protocol import Protocol, protocol_line
from poserep.report.names import scheme, settings
from poserep.runs.plan import brief, seen
from poserep.runs.values import MEASURES, calibration, columns, number, undefined


@dataclass(frozen=True)
class Row:
    """One readout of one configuration, over its seeds.

    Attributes:
        scheme: Title of the representation.
        readout: Name of the readout.
        size: Of the input.
        setting: What else sets the row apart from others of its scheme and size.
        params: Parameters, millions.
        gmacs: True multiply-accumulates for one crop, billions.
        values: Per kind of boxes and metric, one value per seed.
        columns: The metrics to show, the chief one first.
        lower: Those of which less is better.
        protocol: What else the numbers depend on; equal within a column or marked.
        real: Whether the data are photographs.
        calibration: Per measure of calibration, one value per seed, from 0 to 1; empty unless every seed has it.
        note: What a reader of the row must know, as that its settings are not published.
        diagnosis: Why values are what nobody would expect, as an AP of 0; by kind of boxes, of the first run that says.
    """

    scheme: str
    readout: str
    size: str
    setting: str
    params: float
    gmacs: float
    values: Mapping[str, Mapping[str, Sequence[float]]]
    columns: tuple[str, ...]
    lower: frozenset[str]
    protocol: str
    real: bool
    calibration: Mapping[str, Sequence[float]] = field(default_factory=dict)
    note: str = ""
    diagnosis: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The scheme, marked if there is a note."""
        return f"{self.scheme} †" if self.note else self.scheme

    def cell(self, boxes: str, metric: str) -> str:
        """Mean, and the standard deviation over seeds if there are several."""
        values = self.values.get(boxes, {}).get(metric, ())
        return (
            number(None) if any(undefined(v) for v in values) else _over_seeds(values, 2 if metric in self.lower else 1)
        )

    def calibration_cell(self, measure: str) -> str:
        """As `cell`, of a measure of calibration."""
        return _over_seeds(self.calibration.get(measure, ()), 3)

    @property
    def seeds(self) -> int:
        """How many runs the row stands for."""
        return max(len(v) for by in self.values.values() for v in by.values())


def _over_seeds(values: Sequence[float], digits: int) -> str:
    if not values:
        return number(None)
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    return f"{mean(values):.{digits}f} ± {stdev(values):.{digits}f}"


def collect(results: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Rows by size, scheme and setting; only seeds are joined."""
    cells: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for result, setting in zip(results, settings(results), strict=True):
        for readout in next(iter(result["metrics"].values())):
            followed = protocol_line([Protocol.load(by_readout[readout]) for by_readout in result["protocol"].values()])
            key = (*scheme(result), setting, readout, followed)
            cells.setdefault(key, []).append(result)
    rows = []
    for (title, size, setting, readout, protocol), found in cells.items():
        values = {
            boxes: {m: [r["metrics"][boxes][readout][m] for r in found] for m in by[readout]}
            for boxes, by in found[0]["metrics"].items()
        }
        about = found[0]["cost"]
        real = all(by[readout]["real"] for by in found[0]["protocol"].values())
        scores = [calibration(r).get(readout) for r in found]
        measures = {key: [s[key] for s in scores if s] for _, key, _ in MEASURES} if all(scores) else {}
        cost = about["params"] / 1e6, about["gmacs"]
        note = found[0]["config"]["representation"].get("note", "")
        shown = columns(found[0]), frozenset(found[0]["lower"])
        why = {b: by[readout] for r in found for b, by in r.get("diagnosis", {}).items() if readout in by}
        rows.append(Row(title, readout, size, setting, *cost, values, *shown, protocol, real, measures, note, why))
    order = list(dict.fromkeys(row.scheme for row in rows))
    return sorted(rows, key=lambda r: ([int(n) for n in r.size.split("x")], order.index(r.scheme), r.setting))


class Comparison(NamedTuple):
    """Rows whose numbers have the same names.

    Attributes:
        rows: In the order of tables.
        columns: Kinds of boxes and metrics to show: all of those of annotated boxes, the chief one of a detector's.
        letters: A letter for every protocol that the rows follow, nothing if it is one: letters of a column that
            differ mark numbers that do not compare.
    """

    rows: Sequence[Row]
    columns: Sequence[tuple[str, str]]
    letters: Mapping[str, str]


def comparisons(rows: Sequence[Row]) -> list[Comparison]:
    """Rows by what was measured; never two metrics in one column."""
    found = []
    for measured in dict.fromkeys(row.columns for row in rows):
        members = [row for row in rows if row.columns == measured]
        boxes = sorted({b for row in members for b in row.values}, reverse=True)
        shown = [(b, m) for b in boxes for m in (measured if b == boxes[0] else measured[:1])]
        protocols = list(dict.fromkeys(row.protocol for row in members))
        letters = {p: (chr(ord("a") + i) if i < 26 else str(i)) for i, p in enumerate(protocols)}
        found.append(Comparison(members, shown, letters if len(protocols) > 1 else dict.fromkeys(protocols, "")))
    return found


def best(rows: Sequence[Row]) -> dict[tuple[str, str, str, str], float]:
    """The best mean of what may be compared, unless all are the same: by protocol, size, kind of boxes and metric."""
    means: dict[tuple[str, str, str, str], list[float]] = {}
    lower: set[str] = set()
    for row in rows:
        lower |= row.lower
        for boxes, values in row.values.items():
            for metric in row.columns:
                key, over_seeds = (row.protocol, row.size, boxes, metric), values[metric]
                if not any(undefined(v) for v in over_seeds):
                    means.setdefault(key, []).append(mean(over_seeds))
    return {key: (min if key[-1] in lower else max)(found) for key, found in means.items() if len({*found}) > 1}


def diagnoses(rows: Sequence[Row]) -> list[str]:
    """What rows say about their unexpected values, a line for each reason."""
    said: dict[str, dict[str, list[str]]] = {}
    for row in rows:
        for boxes, why in row.diagnosis.items():
            name = " ".join(part for part in (row.scheme, row.readout, row.size, row.setting) if part)
            said.setdefault(why, {}).setdefault(name, []).append(boxes)
    lines = []
    for why, by_row in said.items():
        everywhere = sum(map(len, by_row.values())) == sum(len(row.values) for row in rows)
        who = [f"{name} ({', '.join(boxes)})" for name, boxes in by_row.items()]
        lines.append(f"{why} ({'all rows' if everywhere else ', '.join(who)})")
    return lines


def is_best(row: Row, found: Mapping[tuple[str, str, str, str], float], boxes: str, metric: str) -> bool:
    """Whether a row's cell is the best of what may be compared."""
    values = row.values.get(boxes, {}).get(metric, ())
    known = values and not any(undefined(v) for v in values)
    return bool(known) and mean(values) == found.get((row.protocol, row.size, boxes, metric))


def notes(rows: Sequence[Row]) -> list[str]:
    """The notes of marked rows, with their schemes."""
    found = dict.fromkeys((row.note, row.scheme) for row in rows if row.note)
    return [f"† {', '.join(s for n, s in found if n == note)}: {note}" for note in dict.fromkeys(n for n, _ in found)]


def unfinished(study: Path) -> list[tuple[str, str]]:
    """Cells without a result, and why."""
    missing = []
    for folder in sorted(p.parent for p in study.glob("*/config.yaml") if not (p.parent / "result.json").exists()):
        status = seen(folder)
        missing.append((folder.name, f"{status['state']} {brief(str(status.get('error', '')))}".strip()))
    return missing


def recipe(result: Mapping[str, Any]) -> str:
    """How the runs were trained, on one line."""
    config, about = result["config"], result["cost"]
    return (
        f"{about['train_instances']} persons × {config['trainer']['epochs']} epochs, batch {about['batch']}, "
        f"{config['optim']['optimizer']['_target_'].split('.')[-1]} with peak LR {about['lr']:.1e}, "
        f"{config['optim']['schedule']['_target_'].split('.')[-1].replace('_', ' ')} schedule, backbone "
        f"{config['names']['backbone']}, weights "
        f"{config['backbone']['weights'] or 'random'}"
    )
