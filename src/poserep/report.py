"""Collect the runs of a study into a table, for the terminal and as one self-contained HTML page.

``python -m poserep.report STUDY [RUNS]`` reads RUNS/STUDY (RUNS is ``runs`` unless given) and nothing else.
"""

import csv
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

import jinja2
import yaml
from rich.console import Console
from rich.table import Table

from poserep.errors import InputError
from poserep.protocol import Protocol, line
from poserep.results import load_results
from poserep.rows import (
    MEASURES,
    Comparison,
    Row,
    best,
    collect,
    comparisons,
    diagnoses,
    is_best,
    notes,
    number,
    recipe,
    undefined,
    unfinished,
)

SWEEPS = Path(__file__).parents[2] / "sweeps"
# More values than this are not shown in one row.
WIDE = 12


def metrics_table(title: str, found: Mapping[str, Any]) -> Table:
    """One evaluation, as in its file: a row for each kind of boxes and readout."""
    metrics = found["metrics"]
    names = list(next(iter(next(iter(metrics.values())).values())))
    # Some metrics have a value for every joint.
    columns = names if len(names) <= WIDE else found["columns"]
    measures = [(name, key) for name, key, less in MEASURES if less and "calibration" in found]
    table = Table(title=title, title_justify="left")
    for name in ("boxes", "readout"):
        table.add_column(name)
    for name in (*columns, *(name for name, _ in measures)):
        table.add_column(name, justify="right")
    for boxes, by_readout in metrics.items():
        for readout, values in by_readout.items():
            scores = found.get("calibration", {}).get(boxes, {}).get(readout, {})
            cells = [number(scores.get(key), 3) for _, key in measures]
            numbers = [number(values[c], 2 if c in found["lower"] else 1) for c in columns]
            table.add_row(boxes, readout, *numbers, *cells)
    return table


def show_evaluation(title: str, found: Mapping[str, Any]) -> None:
    """Print one evaluation with the protocol that its numbers follow."""
    console = wide_console()
    console.print(metrics_table(title, found))
    readouts = next(iter(found["protocol"].values()))
    followed = [line([Protocol.load(by[r]) for by in found["protocol"].values()]) for r in readouts]
    for text in dict.fromkeys(followed):
        console.print(f"protocol: {text}", soft_wrap=True)


def study_table(title: str, comparison: Comparison) -> Table:
    """The comparison, one column for each kind of boxes and metric."""
    table = Table(title=title, title_justify="left")
    varied = any(row.setting for row in comparison.rows)
    several = any(comparison.letters.values())
    for name in ("scheme", "readout", "size", *(["setting"] if varied else []), *(["protocol"] if several else [])):
        table.add_column(name)
    for name in ("params M", "GMACs", "seeds", *(f"{m}_{b}" for b, m in comparison.columns)):
        table.add_column(name, justify="right")
    for row in comparison.rows:
        table.add_row(
            row.name,
            row.readout,
            row.size,
            *([row.setting] if varied else []),
            *([comparison.letters[row.protocol]] if several else []),
            f"{row.params:.2f}",
            f"{row.gmacs:.3f}",
            str(row.seeds),
            *(row.cell(b, m) for b, m in comparison.columns),
        )
    return table


def protocol_lines(comparison: Comparison) -> list[str]:
    """The protocols that rows follow, and, if there are several, that their numbers do not compare."""
    found = [f"protocol{' ' + letter if letter else ''}: {text}" for text, letter in comparison.letters.items()]
    if len(found) > 1:
        found.append(f"note: rows follow {len(found)} protocols; numbers compare only between rows of one letter")
    return found


def page(title: str, rows: Sequence[Row], results: Sequence[Mapping[str, Any]], missing: Any) -> str:
    """The HTML page, everything inside it."""
    # Every run prints a table; only pages need matplotlib.
    from poserep import figures

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("poserep", "templates"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    lowest: dict[tuple[str, str, str], float] = {}
    for row in rows:
        # Scores of 0 throughout would err least on a network that finds nothing.
        known = row.calibration if any(row.calibration.get("mean_score", ())) else {}
        for measure, over_seeds in known.items():
            where = (row.protocol, row.size, measure)
            lowest[where] = min(lowest.get(where, 1.0), mean(over_seeds))
    speed = [
        {
            "scheme": r["config"]["representation"]["title"],
            "size": r["config"]["input_size"],
            "seed": r["config"]["seed"],
            "img_s": r["speed"]["img_s"],
            "wait": r["speed"]["data_wait"],
            "minutes": r["seconds"]["all"] / 60,
            "device": f"{r['devices']} × {r['device']}",
        }
        for r in results
    ]
    return environment.get_template("report.html.j2").render(
        title=title,
        rows=rows,
        varied=any(row.setting for row in rows),
        comparisons=comparisons(rows),
        protocol_lines=protocol_lines,
        diagnoses=diagnoses,
        is_best=partial(is_best, found=best(rows)),
        measures=MEASURES,
        lowest=lowest,
        mean=mean,
        missing=missing,
        notes=notes(rows),
        real=all(row.real for row in rows),
        figures=figures.draw(results),
        speed=speed,
        recipes=sorted({recipe(r) for r in results}),
        provenance=results[0]["provenance"],
    )


def wide_console() -> Console:
    """A console that does not squeeze tables on a narrow terminal or in a file; long lines wrap or scroll there."""
    return Console(width=max(Console().width, 160))


def _mean(values: Sequence[float]) -> str:
    return "" if not values or any(undefined(v) for v in values) else f"{mean(values):.3f}"


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """One line per row of the table and kind of boxes, means over seeds; what a row does not measure stays empty."""
    metrics = list(dict.fromkeys(m for row in rows for values in row.values.values() for m in values))
    with path.open("w", newline="") as file:
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


def report(study: Path) -> Path:
    """Print the table of a study and write it as a page and as CSV.

    Raises:
        InputError: If nothing in the study has finished.
    """
    results = load_results(study)
    missing = unfinished(study)
    if not results:
        reasons = "".join(f"\n  {name}: {why}" for name, why in missing)
        raise InputError(f"{study} holds no finished run{reasons}")
    sweep = SWEEPS / f"{study.name}.yaml"
    title = yaml.safe_load(sweep.read_text())["table"]["title"] if sweep.is_file() else study.name
    rows = collect(results)
    console = wide_console()
    for comparison in comparisons(rows):
        console.print(study_table(title, comparison))
        for text in (*protocol_lines(comparison), *diagnoses(comparison.rows)):
            console.print(text, soft_wrap=True)
    for text in notes(rows):
        console.print(text, soft_wrap=True)
    if not all(row.real for row in rows):
        console.print("data: drawn people, not photographs; compare rows with each other, not with published numbers")
    for name, why in missing:
        console.print(f"missing: {name}: {why}", soft_wrap=True)
    path = study / "report.html"
    path.write_text(page(title, rows, results, missing))
    write_csv(study / "table.csv", rows)
    print(f"page: {path}\ntable: {study / 'table.csv'}")
    return path


def main() -> None:
    """Command line."""
    if len(sys.argv) not in (2, 3) or sys.argv[1] in ("-h", "--help"):
        sys.exit(f"usage: {__doc__}")
    try:
        report(Path(sys.argv[2] if len(sys.argv) == 3 else "runs") / sys.argv[1])
    except InputError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
