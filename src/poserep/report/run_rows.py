"""All runs of a study, whatever table they belong to: a row for each readout of a configuration, over its seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean, stdev

from poserep.metrics.protocol import Protocol, protocol_line
from poserep.report.labels import Result, height_and_width, input_size, run_settings, scheme_title
from poserep.runs.values import CALIBRATION_MEASURES, calibration_by_readout, format_number, is_undefined


@dataclass(frozen=True)
class RunRow:
    """One readout of one configuration, over its seeds.

    Attributes:
        setting: What else sets the row apart from others of its scheme and size.
        params: Parameters, millions.
        gmacs: True multiply-accumulates for one crop, billions.
        values: By kind of boxes and metric, one value per seed.
        columns: The metrics to show, the chief one first.
        lower: Those of which less is better.
        real: Whether the data are photographs.
        calibration: By measure, one value per seed, in [0, 1]; empty unless every seed has it.
        note: What a reader of the row must know, for example that its settings are not published.
        diagnosis: By kind of boxes, why values are unexpected, such as an AP of 0; of the first run that tells.
    """

    scheme: str
    readout: str
    size: str
    setting: str
    protocol: str
    params: float
    gmacs: float
    values: Mapping[str, Mapping[str, Sequence[float]]]
    columns: tuple[str, ...]
    lower: frozenset[str]
    real: bool
    calibration: Mapping[str, Sequence[float]] = field(default_factory=dict)
    note: str = ""
    diagnosis: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The scheme, marked if there is a note."""
        return f"{self.scheme} †" if self.note else self.scheme

    @property
    def seeds(self) -> int:
        """Number of runs that the row stands for."""
        return max(len(values) for by_metric in self.values.values() for values in by_metric.values())

    def of(self, boxes: str, metric: str) -> Sequence[float]:
        """Return the values of a metric, one per seed; none where it was not measured."""
        return self.values.get(boxes, {}).get(metric, ())


def mean_and_sd(values: Sequence[float], digits: int) -> str:
    """Return ``mean ± standard deviation``, the mean alone of one value, or a dash where nothing was measured."""
    average = known_mean(values)
    spread = f" ± {stdev(values):.{digits}f}" if average is not None and len(values) > 1 else ""
    return format_number(average, digits) + spread


def known_mean(values: Sequence[float]) -> float | None:
    """Return the mean over seeds, or None unless every seed has a value."""
    return None if not values or any(is_undefined(value) for value in values) else mean(values)


def run_rows(results: Sequence[Result]) -> list[RunRow]:
    """Return rows by size, scheme and setting; each joins runs that differ in their seed only."""
    cells: dict[tuple[str, str, str, str, str], list[Result]] = {}
    for result, setting in zip(results, run_settings(results), strict=True):
        for readout in next(iter(result["metrics"].values())):
            protocol = protocol_line([Protocol.load(by_readout[readout]) for by_readout in result["protocol"].values()])
            key = (scheme_title(result), readout, input_size(result), setting, protocol)
            cells.setdefault(key, []).append(result)
    rows = [_joined(*key, runs) for key, runs in cells.items()]
    order = list(dict.fromkeys(row.scheme for row in rows))
    return sorted(rows, key=lambda row: (height_and_width(row.size), order.index(row.scheme), row.setting))


def _joined(scheme: str, readout: str, size: str, setting: str, protocol: str, runs: list[Result]) -> RunRow:
    first = runs[0]
    scores = [calibration_by_readout(run).get(readout) for run in runs]
    return RunRow(
        scheme,
        readout,
        size,
        setting,
        protocol,
        params=first["cost"]["params"] / 1e6,
        gmacs=first["cost"]["gmacs"],
        values={
            boxes: {metric: [run["metrics"][boxes][readout][metric] for run in runs] for metric in by_readout[readout]}
            for boxes, by_readout in first["metrics"].items()
        },
        columns=tuple(first["columns"]),
        lower=frozenset(first["lower"]),
        real=all(by_readout[readout]["real"] for by_readout in first["protocol"].values()),
        calibration={key: [s[key] for s in scores if s] for _, key, _ in CALIBRATION_MEASURES} if all(scores) else {},
        note=first["config"]["representation"].get("note", ""),
        diagnosis={b: by[readout] for run in runs for b, by in run.get("diagnosis", {}).items() if readout in by},
    )


def row_notes(rows: Sequence[RunRow]) -> list[str]:
    """Return the notes of marked rows, each with the schemes that it is about."""
    schemes: dict[str, dict[str, None]] = {}
    for row in rows:
        schemes.setdefault(row.note, {})[row.scheme] = None
    return [f"† {', '.join(names)}: {note}" for note, names in schemes.items() if note]


def diagnoses(rows: Sequence[RunRow]) -> list[str]:
    """Return why values are unexpected, a line for each reason."""
    reasons: dict[str, dict[str, list[str]]] = {}
    for row in rows:
        name = " ".join(filter(None, (row.scheme, row.readout, row.size, row.setting)))
        for boxes, reason in row.diagnosis.items():
            reasons.setdefault(reason, {}).setdefault(name, []).append(boxes)
    lines = []
    for reason, by_row in reasons.items():
        everywhere = sum(map(len, by_row.values())) == sum(len(row.values) for row in rows)
        names = [f"{name} ({', '.join(boxes)})" for name, boxes in by_row.items()]
        lines.append(f"{reason} ({'all rows' if everywhere else ', '.join(names)})")
    return lines
