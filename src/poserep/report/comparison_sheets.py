"""The general comparison of a study's runs, whatever table they stand for, as sheets and as CSV."""

import csv
import io
from collections.abc import Sequence
from statistics import mean

from poserep.report.rows import Comparison, Row, comparisons, diagnoses
from poserep.report.sheet import Entry, Heading, Sheet
from poserep.runs.values import MEASURES, undefined


def comparison_sheets(title: str, rows: Sequence[Row], notes: Sequence[str] = ()) -> list[Sheet]:
    """A sheet for each set of metrics, one column for each kind of boxes and metric.

    Args:
        title: Of all.
        rows: Of the study.
        notes: To stand below the last one.
    """
    found = comparisons(rows)
    return [_sheet(title, one, notes if one is found[-1] else ()) for one in found]


def _sheet(title: str, comparison: Comparison, notes: Sequence[str]) -> Sheet:
    varied = any(row.setting for row in comparison.rows)
    several = any(comparison.letters.values())
    texts = ("scheme", "readout", "size", *(["setting"] if varied else []), *(["protocol"] if several else []))
    numbers = ("params M", "GMACs", "seeds", *(f"{m}_{b}" for b, m in comparison.columns))
    rows = []
    for row in comparison.rows:
        about = [row.name, row.readout, row.size, *([row.setting] if varied else [])]
        about += [comparison.letters[row.protocol]] if several else []
        cost = [f"{row.params:.2f}", f"{row.gmacs:.3f}", str(row.seeds)]
        cells = [*about, *cost, *(row.cell(b, m) for b, m in comparison.columns)]
        rows.append(tuple(Entry(text) for text in cells))
    return Sheet(
        title=title,
        headings=(*map(Heading, texts), *(Heading(name, numeric=True) for name in numbers)),
        rows=tuple(rows),
        notes=(*protocol_lines(comparison), *diagnoses(comparison.rows), *notes),
    )


def protocol_lines(comparison: Comparison) -> list[str]:
    """The protocols that rows follow, and, if there are several, that their numbers do not compare."""
    found = [f"protocol{' ' + letter if letter else ''}: {text}" for text, letter in comparison.letters.items()]
    if len(found) > 1:
        found.append(f"note: rows follow {len(found)} protocols; numbers compare only between rows of one letter")
    return found


def _mean(values: Sequence[float]) -> str:
    return "" if not values or any(undefined(v) for v in values) else f"{mean(values):.3f}"


def comparison_csv(rows: Sequence[Row]) -> str:
    """One line per row of the table and kind of boxes, means over seeds; what a row does not measure stays empty."""
    metrics = list(dict.fromkeys(m for row in rows for values in row.values.values() for m in values))
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    head = ["scheme", "readout", "size", "setting", "params_M", "GMACs", "boxes", "seeds", *metrics]
    writer.writerow([*head, *(f"calibration_{key}" for _, key, _ in MEASURES), "protocol"])
    for row in rows:
        for boxes, values in row.values.items():
            numbers = [_mean(values.get(m, ())) for m in metrics]
            about = [row.name, row.readout, row.size, row.setting, f"{row.params:.4f}", f"{row.gmacs:.4f}"]
            scores = row.calibration if boxes == "gt" else {}
            numbers += [f"{mean(scores[key]):.4f}" if key in scores else "" for _, key, _ in MEASURES]
            writer.writerow([*about, boxes, row.seeds, *numbers, row.protocol])
    return file.getvalue()
