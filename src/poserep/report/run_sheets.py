"""All runs of a study: rows, one for each readout of a configuration over its seeds, their sheets, and CSV."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean, stdev

from poserep.metrics.protocol import Protocol, protocol_line
from poserep.report.labels import Result, height_and_width, input_size, run_settings, scheme_title
from poserep.runs.result_values import (
    CALIBRATION_MEASURES,
    calibration_by_readout,
    format_number,
    is_undefined,
    training_note,
)
from poserep.sheet import Column, Sheet, SheetCell, numbers, texts

# Columns of a sheet with their cells.
Columns = dict[Column, list[SheetCell | str]]


@dataclass(frozen=True)
class RunRow:
    """One readout of one configuration, over its seeds.

    ``setting`` is what else sets the row apart from others of its scheme and size; ``params`` are parameters, millions,
    ``gmacs`` true multiply-accumulates for one crop, billions. ``values`` has, by kind of boxes and metric, one value
    per seed; ``columns`` are the metrics to show, the chief one first, and of those in ``lower`` less is better.
    ``real`` tells whether the data are photographs. ``calibration`` has, by measure, one value per seed, in [0, 1]; it
    is empty unless every seed has it. ``note`` is what a reader of the row must know, for example that its settings are
    not published, ``diagnosis``, by kind of boxes, why values are unexpected, such as an AP of 0.
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


def number_cell(value: float | None, digits: int, sign: str = "") -> SheetCell:
    """Return a cell of a number, with the ``sign`` + even if it is positive, or of a dash where there is none."""
    return SheetCell(format_number(None)) if value is None else SheetCell(f"{value:{sign}.{digits}f}", value)


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
    rows = [_joined(key, runs) for key, runs in cells.items()]
    order = list(dict.fromkeys(row.scheme for row in rows))
    return sorted(rows, key=lambda row: (height_and_width(row.size), order.index(row.scheme), row.setting))


def _joined(key: tuple[str, str, str, str, str], runs: list[Result]) -> RunRow:
    first, readout = runs[0], key[1]
    scores = [calibration_by_readout(run).get(readout) for run in runs]
    return RunRow(
        *key,
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


def limit_notes(results: Sequence[Result]) -> list[str]:
    """Return a line for each limit of persons that runs were given, such as smoke runs."""
    limits = sorted({result["config"]["trainer"].get("limit") or 0 for result in results} - {0})
    return [f"runs with trainer.limit={n} take the images of the first {n} persons of each set only" for n in limits]


def training_notes(results: Sequence[Result]) -> list[str]:
    """Return who was left out of training, a line for each different count."""
    return list(dict.fromkeys(note for result in results if (note := training_note(result))))


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


def run_sheets(title: str, rows: Sequence[RunRow], notes: Sequence[str] = ()) -> list[Sheet]:
    """Return a sheet for each set of metrics, as a column must not hold two; notes stand below the last."""
    groups = [[row for row in rows if row.columns == metrics] for metrics in dict.fromkeys(r.columns for r in rows)]
    return [_metrics_sheet(title, group, notes if group is groups[-1] else ()) for group in groups]


def _metrics_sheet(title: str, rows: Sequence[RunRow], notes: Sequence[str]) -> Sheet:
    protocols = list(dict.fromkeys(row.protocol for row in rows))
    several = len(protocols) > 1
    letters = {p: chr(ord("a") + i) if i < 26 else str(i) for i, p in enumerate(protocols)}
    lines = [f"protocol{f' {letters[text]}' if several else ''}: {text}" for text in protocols]
    columns = _about(rows)
    if several:
        columns[Column("protocol")] = [letters[row.protocol] for row in rows]
        lines.append(f"note: rows follow {len(lines)} protocols; numbers compare only between rows of one letter")
    params, gmacs, seeds = numbers("params M", "GMACs", "seeds")
    columns[params] = [number_cell(row.params, 2) for row in rows]
    columns[gmacs] = [number_cell(row.gmacs, 3) for row in rows]
    columns[seeds] = [number_cell(row.seeds, 0) for row in rows]
    all_boxes = sorted({boxes for row in rows for boxes in row.values}, reverse=True)
    for boxes in all_boxes:
        # Of detected boxes the chief metric is enough.
        for metric in rows[0].columns[: None if boxes == all_boxes[0] else 1]:
            columns[Column(f"{metric}_{boxes}", numeric=True, leading=True)] = _metric_cells(rows, boxes, metric)
    cells = list(zip(*columns.values(), strict=True))
    return Sheet(title, list(columns), cells, notes=(*lines, *diagnoses(rows), *notes))


def _about(rows: Sequence[RunRow]) -> Columns:
    """Return the columns that tell rows apart."""
    shown = {"scheme": "name", "readout": "readout", "size": "size"}
    shown |= {"setting": "setting"} if any(row.setting for row in rows) else {}
    return {Column(head): [getattr(row, name) for row in rows] for head, name in shown.items()}


def _metric_cells(rows: Sequence[RunRow], boxes: str, metric: str) -> list[SheetCell | str]:
    """Return the cells of a metric; the best of those that compare is marked, unless these are all the same."""
    digits, best = (2, min) if any(metric in row.lower for row in rows) else (1, max)
    means = [known_mean(row.of(boxes, metric)) for row in rows]
    # Values that look the same are equally good.
    shown = [None if average is None else round(average, digits) for average in means]
    groups: dict[tuple[str, str], set[float]] = {}
    for row, value in zip(rows, shown, strict=True):
        if value is not None:
            groups.setdefault((row.protocol, row.size), set()).add(value)
    leading = {where: best(found) for where, found in groups.items() if len(found) > 1}
    return [
        SheetCell(
            mean_and_sd(row.of(boxes, metric), digits),
            average,
            style="best" if value is not None and value == leading.get((row.protocol, row.size)) else "",
        )
        for row, average, value in zip(rows, means, shown, strict=True)
    ]


def runs_csv(rows: Sequence[RunRow]) -> str:
    """Return a line per row and kind of boxes, with means over seeds; what a row does not measure stays empty."""
    metrics = list(dict.fromkeys(m for row in rows for values in row.values.values() for m in values))
    measures = [key for _, key, _ in CALIBRATION_MEASURES]
    head = ["scheme", "readout", "size", "setting", "params_M", "GMACs", "boxes", "seeds", *metrics]
    lines = []
    for row in rows:
        for boxes in row.values:
            about = [row.name, row.readout, row.size, row.setting, f"{row.params:.4f}", f"{row.gmacs:.4f}"]
            means = [known_mean(row.of(boxes, metric)) for metric in metrics]
            scores = {} if boxes == "det" else row.calibration
            measured = [f"{mean(scores[key]):.4f}" if key in scores else "" for key in measures]
            shown = ["" if value is None else f"{value:.3f}" for value in means]
            lines.append([*about, boxes, str(row.seeds), *shown, *measured, row.protocol])
    return Sheet("", texts(*head, *(f"calibration_{key}" for key in measures), "protocol"), lines).csv()


def calibration_sheet(rows: Sequence[RunRow]) -> Sheet | None:
    """Return how well scores follow OKS, mean and standard deviation over seeds; None if no row has scores."""
    # A network that finds nothing has scores of 0 throughout, which would err least.
    scored = [row for row in rows if any(row.calibration.get("mean_score", ()))]
    if not scored:
        return None
    columns = _about(rows)
    for name, key, less in CALIBRATION_MEASURES:
        column = columns[Column(name, numeric=True, leading=less)] = []
        for row in rows:
            rivals = (r.calibration[key] for r in scored if (r.protocol, r.size) == (row.protocol, row.size))
            values = row.calibration.get(key, ())
            average = known_mean(values)
            best = "best" if less and average is not None and average == min([*map(mean, rivals), 1.0]) else ""
            column.append(SheetCell(mean_and_sd(values, 3), average, style=best))
    return Sheet("", list(columns), list(zip(*columns.values(), strict=True)))


def speed_sheet(results: Sequence[Result]) -> Sheet:
    """Return how fast each run was trained, and how long it took."""
    settings = run_settings(results)
    rows: list[list[SheetCell | str]] = []
    for result, setting in zip(results, settings, strict=True):
        speed, device = result["speed"], f"{result['devices']} × {result['device']}"
        waiting = SheetCell(f"{100 * speed['data_wait']:.0f} %", speed["data_wait"])
        seed, rate = number_cell(result["config"]["seed"], 0), number_cell(speed["img_s"], 0)
        about = (scheme_title(result), input_size(result), device, *([setting] if any(settings) else []))
        rows.append([*about, seed, rate, waiting, number_cell(result["seconds"]["all"] / 60, 1)])
    heads = texts("scheme", "size", "device", *(["setting"] if any(settings) else []))
    return Sheet("", (*heads, *numbers("seed", "img/s in training", "waiting for data", "minutes")), rows)
