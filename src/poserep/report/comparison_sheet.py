"""The comparison of all runs of a study as sheets: metrics, calibration of scores, training speed; and as CSV."""

from collections.abc import Sequence
from statistics import mean

from poserep.report.comparison import (
    Comparison,
    ComparisonRow,
    best_means,
    comparisons,
    diagnoses,
    known_mean,
    mean_and_sd,
)
from poserep.report.labels import Result, input_size, run_settings, scheme_title
from poserep.runs.sheet import Column, Sheet, SheetCell, numbers, texts
from poserep.runs.values import CALIBRATION_MEASURES


def comparison_sheets(title: str, rows: Sequence[ComparisonRow], notes: Sequence[str] = ()) -> list[Sheet]:
    """Return a sheet for each set of metrics, with a column for each kind of boxes and metric; notes below the last."""
    groups = comparisons(rows)
    return [_metrics_sheet(title, one, notes if one is groups[-1] else ()) for one in groups]


def _metrics_sheet(title: str, comparison: Comparison, notes: Sequence[str]) -> Sheet:
    varied = any(row.setting for row in comparison.rows)
    several = any(comparison.letters.values())
    best = best_means(comparison.rows)
    rows = []
    for row in comparison.rows:
        cells: list[SheetCell | str] = [row.name, row.readout, row.size, *([row.setting] if varied else [])]
        cells += [comparison.letters[row.protocol]] if several else []
        cells += [SheetCell(f"{row.params:.2f}", row.params), SheetCell(f"{row.gmacs:.3f}", row.gmacs)]
        cells.append(SheetCell(str(row.seeds), row.seeds))
        for boxes, metric in comparison.columns:
            average = known_mean(row.of(boxes, metric))
            leads = average is not None and average == best.get(row.at(boxes, metric))
            cells.append(SheetCell(row.cell(boxes, metric), average, style="best" if leads else ""))
        rows.append(cells)
    about = ("scheme", "readout", "size", *(["setting"] if varied else []), *(["protocol"] if several else []))
    metrics = (Column(f"{m}_{b}", numeric=True, leading=True) for b, m in comparison.columns)
    protocols = [f"protocol{' ' + letter if letter else ''}: {text}" for text, letter in comparison.letters.items()]
    if several:
        count = len(protocols)
        protocols.append(f"note: rows follow {count} protocols; numbers compare only between rows of one letter")
    return Sheet(
        title,
        (*texts(*about), *numbers("params M", "GMACs", "seeds"), *metrics),
        rows,
        notes=(*protocols, *diagnoses(comparison.rows), *notes),
    )


def comparison_csv(rows: Sequence[ComparisonRow]) -> str:
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


def calibration_sheet(rows: Sequence[ComparisonRow]) -> Sheet | None:
    """Return how well scores follow OKS, mean and standard deviation over seeds; None if no row tells."""
    means: dict[tuple[str, str, str], list[float]] = {}
    for row in rows:
        # A network that finds nothing has scores of 0 throughout, which would err least.
        if any(row.calibration.get("mean_score", ())):
            for key, values in row.calibration.items():
                means.setdefault((row.protocol, row.size, key), []).append(mean(values))
    if not means:
        return None
    varied = any(row.setting for row in rows)
    lines = []
    for row in rows:
        cells: list[SheetCell | str] = [row.name, row.readout, row.size, *([row.setting] if varied else [])]
        for _, key, less in CALIBRATION_MEASURES:
            average = known_mean(row.calibration.get(key, ()))
            lowest = min([*means.get((row.protocol, row.size, key), ()), 1.0])
            best = "best" if less and average is not None and average == lowest else ""
            cells.append(SheetCell(mean_and_sd(row.calibration.get(key, ()), 3), average, style=best))
        lines.append(cells)
    about = ("scheme", "readout", "size", *(["setting"] if varied else []))
    measures = (Column(name, numeric=True, leading=less) for name, _, less in CALIBRATION_MEASURES)
    return Sheet("", (*texts(*about), *measures), lines)


def speed_sheet(results: Sequence[Result]) -> Sheet:
    """Return how fast each run was trained, and how long it took."""
    settings = run_settings(results)
    varied = any(settings)
    rows: list[list[SheetCell | str]] = []
    for result, setting in zip(results, settings, strict=True):
        speed, minutes = result["speed"], result["seconds"]["all"] / 60
        where = f"{result['devices']} × {result['device']}"
        rows.append(
            [
                *(scheme_title(result), input_size(result), where, *([setting] if varied else [])),
                SheetCell(str(result["config"]["seed"]), result["config"]["seed"]),
                SheetCell(f"{speed['img_s']:.0f}", speed["img_s"]),
                SheetCell(f"{100 * speed['data_wait']:.0f} %", speed["data_wait"]),
                SheetCell(f"{minutes:.1f}", minutes),
            ]
        )
    about = ("scheme", "size", "device", *(["setting"] if varied else []))
    return Sheet("", (*texts(*about), *numbers("seed", "img/s in training", "waiting for data", "minutes")), rows)
