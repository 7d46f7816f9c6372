"""Collect the runs of a study into a table, for the terminal and as one self-contained HTML page.

``python -m poserep.report STUDY [RUNS]`` reads RUNS/STUDY (RUNS is ``runs`` unless given) and nothing else.
"""

import csv
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import jinja2
import yaml
from rich.console import Console
from rich.table import Table

from poserep import figures
from poserep.errors import InputError
from poserep.results import load_results, scheme, settings

SWEEPS = Path(__file__).parents[2] / "sweeps"
COLUMNS = ("AP", "AP50", "AP75", "AR")


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
        values: Per kind of boxes and metric, one value per seed, percent.
        protocol: What else the numbers depend on; equal within a column or marked.
        real: Whether the data are photographs.
    """

    scheme: str
    readout: str
    size: str
    setting: str
    params: float
    gmacs: float
    values: Mapping[str, Mapping[str, Sequence[float]]]
    protocol: str
    real: bool

    def cell(self, boxes: str, metric: str) -> str:
        """Mean, and the standard deviation over seeds if there are several."""
        found = self.values.get(boxes, {}).get(metric, ())
        if not found:
            return "–"
        if len(found) == 1:
            return f"{found[0]:.1f}"
        return f"{mean(found):.1f} ± {stdev(found):.1f}"

    @property
    def seeds(self) -> int:
        """How many runs the row stands for."""
        return max(len(v) for by in self.values.values() for v in by.values())


def protocol_line(protocols: Mapping[str, Mapping[str, Any]]) -> str:
    """What makes numbers comparable, on one line, for all kinds of boxes of a run."""
    first = next(iter(protocols.values()))
    hashes = {name: digest for protocol in protocols.values() for name, digest in protocol["hashes"].items()}
    counts = ", ".join(f"{protocol['instances']} {boxes} boxes" for boxes, protocol in protocols.items())
    return (
        f"{first['data']}, {counts} ({', '.join(f'{name} {digest}' for name, digest in hashes.items())}), "
        f"flip test {'on' if first['flip_test'] else 'off'}, score {first['score']} "
        f"above {first['score_threshold']:g}, OKS-NMS {first['metric'].get('nms_threshold')}, "
        f"{first['align']} alignment, area of the {first['area']}"
    )


def collect(results: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Rows by size, scheme and setting; only seeds are joined."""
    cells: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for result, setting in zip(results, settings(results), strict=True):
        for readout in next(iter(result["metrics"].values())):
            key = (*scheme(result), setting, readout, protocol_line(result["protocol"]))
            cells.setdefault(key, []).append(result)
    rows = []
    for (title, size, setting, readout, protocol), found in cells.items():
        values = {
            boxes: {m: [r["metrics"][boxes][readout][m] for r in found] for m in by[readout]}
            for boxes, by in found[0]["metrics"].items()
        }
        about = found[0]["cost"]
        real = all(p["real"] for p in found[0]["protocol"].values())
        rows.append(Row(title, readout, size, setting, about["params"] / 1e6, about["gmacs"], values, protocol, real))
    order = list(dict.fromkeys(row.scheme for row in rows))
    return sorted(rows, key=lambda r: ([int(n) for n in r.size.split("x")], order.index(r.scheme), r.setting))


def unfinished(study: Path) -> list[tuple[str, str]]:
    """Cells without a result, and why."""
    missing = []
    for folder in sorted(p.parent for p in study.glob("*/config.yaml") if not (p.parent / "result.json").exists()):
        path = folder / "status.json"
        status = json.loads(path.read_text()) if path.exists() else {"state": "not started"}
        missing.append((folder.name, f"{status['state']} {status.get('error', '')}".strip()))
    return missing


def metrics_table(title: str, metrics: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Table:
    """One evaluation, a row for each kind of boxes and readout."""
    columns = list(next(iter(next(iter(metrics.values())).values())))
    table = Table(title=title, title_justify="left")
    for name in ("boxes", "readout"):
        table.add_column(name)
    for name in columns:
        table.add_column(name, justify="right")
    for boxes, by_readout in metrics.items():
        for readout, values in by_readout.items():
            table.add_row(boxes, readout, *(f"{values[c]:.1f}" for c in columns))
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
            row.scheme,
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
        mean=mean,
        missing=missing,
        protocols=protocols,
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
        head = ["scheme", "readout", "size", "setting", "params_M", "GMACs", "boxes", "seeds", *metrics, "protocol"]
        writer.writerow(head)
        for row in rows:
            for boxes, values in row.values.items():
                numbers = [f"{mean(values[m]):.3f}" for m in metrics]
                about = [row.scheme, row.readout, row.size, row.setting, f"{row.params:.4f}", f"{row.gmacs:.4f}"]
                writer.writerow([*about, boxes, row.seeds, *numbers, row.protocol])


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
