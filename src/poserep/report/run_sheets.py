"""All runs of a study as sheets: metrics, calibration of scores, training speed; and as CSV."""

from collections.abc import Sequence
from statistics import mean

from poserep.report.labels import Result, input_size, run_settings, scheme_title
from poserep.report.run_rows import RunRow, diagnoses, known_mean, mean_and_sd
from poserep.runs.sheet import Column, Sheet, SheetCell, numbers, texts
from poserep.runs.values import CALIBRATION_MEASURES

# Columns of a sheet with their cells.
Columns = dict[Column, list[SheetCell | str]]


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
    columns[params] = [SheetCell(f"{row.params:.2f}", row.params) for row in rows]
    columns[gmacs] = [SheetCell(f"{row.gmacs:.3f}", row.gmacs) for row in rows]
    columns[seeds] = [SheetCell(str(row.seeds), row.seeds) for row in rows]
    all_boxes = sorted({boxes for row in rows for boxes in row.values}, reverse=True)
    for boxes in all_boxes:
        # Of detected boxes the chief metric is enough.
        for metric in rows[0].columns[: None if boxes == all_boxes[0] else 1]:
            columns[Column(f"{metric}_{boxes}", numeric=True, leading=True)] = _metric_cells(rows, boxes, metric)
    return _sheet(title, columns, (*lines, *diagnoses(rows), *notes))


def _about(rows: Sequence[RunRow]) -> Columns:
    """Return the columns that tell rows apart."""
    settings = [row.setting for row in rows]
    cells = [row.name for row in rows], [row.readout for row in rows], [row.size for row in rows], settings
    heads = texts("scheme", "readout", "size", *(["setting"] if any(settings) else []))
    return {head: [*column] for head, column in zip(heads, cells, strict=False)}


def _metric_cells(rows: Sequence[RunRow], boxes: str, metric: str) -> list[SheetCell | str]:
    """Return the cells of a metric; the best of those that compare is marked, unless these are all the same."""
    means = [known_mean(row.of(boxes, metric)) for row in rows]
    groups: dict[tuple[str, str], set[float]] = {}
    for row, average in zip(rows, means, strict=True):
        if average is not None:
            groups.setdefault((row.protocol, row.size), set()).add(average)
    best = min if any(metric in row.lower for row in rows) else max
    leading = {where: best(found) for where, found in groups.items() if len(found) > 1}
    return [
        SheetCell(
            mean_and_sd(row.of(boxes, metric), 2 if metric in row.lower else 1),
            average,
            style="best" if average is not None and average == leading.get((row.protocol, row.size)) else "",
        )
        for row, average in zip(rows, means, strict=True)
    ]


def _sheet(title: str, columns: Columns, notes: Sequence[str] = ()) -> Sheet:
    return Sheet(title, list(columns), list(zip(*columns.values(), strict=True)), notes=notes)


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
            scores = row.calibration if boxes == "gt" else {}
            measured = [f"{mean(scores[key]):.4f}" if key in scores else "" for key in measures]
            shown = ["" if value is None else f"{value:.3f}" for value in means]
            lines.append([*about, boxes, str(row.seeds), *shown, *measured, row.protocol])
    return Sheet("", texts(*head, *(f"calibration_{key}" for key in measures), "protocol"), lines).csv()


def calibration_sheet(rows: Sequence[RunRow]) -> Sheet | None:
    """Return how well scores follow OKS, mean and standard deviation over seeds; None if no row tells."""
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
    return _sheet("", columns)


def speed_sheet(results: Sequence[Result]) -> Sheet:
    """Return how fast each run was trained, and how long it took."""
    settings = run_settings(results)
    rows: list[list[SheetCell | str]] = []
    for result, setting in zip(results, settings, strict=True):
        speed, minutes, seed = result["speed"], result["seconds"]["all"] / 60, result["config"]["seed"]
        device = f"{result['devices']} × {result['device']}"
        rows.append(
            [
                *(scheme_title(result), input_size(result), device, *([setting] if any(settings) else [])),
                SheetCell(str(seed), seed),
                SheetCell(f"{speed['img_s']:.0f}", speed["img_s"]),
                SheetCell(f"{100 * speed['data_wait']:.0f} %", speed["data_wait"]),
                SheetCell(f"{minutes:.1f}", minutes),
            ]
        )
    about = texts("scheme", "size", "device", *(["setting"] if any(settings) else []))
    return Sheet("", (*about, *numbers("seed", "img/s in training", "waiting for data", "minutes")), rows)
