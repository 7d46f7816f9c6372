"""Collect the runs of a study into a table, for the terminal and as one self-contained HTML page.

``python -m poserep.report STUDY [RUNS]`` reads RUNS/STUDY (RUNS is ``runs`` unless given) and nothing else.
"""

import csv
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import jinja2
import yaml
from rich.console import Console
from rich.table import Table

from poserep import figures
from poserep.errors import InputError
from poserep.results import load_results
from poserep.rows import MEASURES, Row, collect, notes, recipe, unfinished

SWEEPS = Path(__file__).parents[2] / "sweeps"
COLUMNS = ("AP", "AP50", "AP75", "AR")


def metrics_table(title: str, found: Mapping[str, Any]) -> Table:
    """One evaluation, as in its file: a row for each kind of boxes and readout."""
    metrics = found["metrics"]
    columns = list(next(iter(next(iter(metrics.values())).values())))
    measures = [(name, key) for name, key, less in MEASURES if less and "calibration" in found]
    table = Table(title=title, title_justify="left")
    for name in ("boxes", "readout"):
        table.add_column(name)
    for name in (*columns, *(name for name, _ in measures)):
        table.add_column(name, justify="right")
    for boxes, by_readout in metrics.items():
        for readout, values in by_readout.items():
            scores = found.get("calibration", {}).get(boxes, {}).get(readout, {})
            cells = [f"{scores[key]:.3f}" if key in scores else "–" for _, key in measures]
            table.add_row(boxes, readout, *(f"{values[c]:.1f}" for c in columns), *cells)
    return table


def study_table(title: str, rows: Sequence[Row]) -> Table:
    """The comparison, one column for each kind of boxes and metric."""
    boxes = sorted({b for row in rows for b in row.values}, reverse=True)
    columns = [(b, m) for b in boxes for m in (COLUMNS if b == boxes[0] else COLUMNS[:1])]
    table = Table(title=title, title_justify="left")
    varied = any(row.setting for row in rows)
    for name in ("scheme", "readout", "size", *(["setting"] if varied else [])):
        table.add_column(name)
    for name in ("params M", "GMACs", "seeds", *(f"{m}_{b}" for b, m in columns)):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            row.name,
            row.readout,
            row.size,
            *([row.setting] if varied else []),
            f"{row.params:.2f}",
            f"{row.gmacs:.3f}",
            str(row.seeds),
            *(row.cell(b, m) for b, m in columns),
        )
    return table


def page(title: str, rows: Sequence[Row], results: Sequence[Mapping[str, Any]], missing: Any) -> str:
    """The HTML page, everything inside it."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("poserep", "templates"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    boxes = sorted({b for row in rows for b in row.values}, reverse=True)
    protocols = sorted({row.protocol for row in rows})
    # The best of what may be compared: one protocol, one size.
    best: dict[tuple[str, str, str, str], float] = {}
    for row in rows:
        for b, values in row.values.items():
            for m in COLUMNS:
                key = (row.protocol, row.size, b, m)
                best[key] = max(best.get(key, 0.0), mean(values[m]))
    lowest: dict[tuple[str, str, str], float] = {}
    for row in rows:
        for measure, over_seeds in row.calibration.items():
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
        boxes=boxes,
        columns=COLUMNS,
        best=best,
        measures=MEASURES,
        lowest=lowest,
        mean=mean,
        missing=missing,
        protocols=protocols,
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


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """One line per row of the table and kind of boxes, means over seeds."""
    metrics = list(next(iter(rows[0].values.values())))
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        head = ["scheme", "readout", "size", "setting", "params_M", "GMACs", "boxes", "seeds", *metrics]
        writer.writerow([*head, *(f"calibration_{key}" for _, key, _ in MEASURES), "protocol"])
        for row in rows:
            for boxes, values in row.values.items():
                numbers = [f"{mean(values[m]):.3f}" for m in metrics]
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
    console.print(study_table(title, rows))
    for line in sorted({row.protocol for row in rows}):
        console.print(f"protocol: {line}", soft_wrap=True)
    for line in notes(rows):
        console.print(line, soft_wrap=True)
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
