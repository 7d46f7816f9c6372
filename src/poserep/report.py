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
from poserep.results import load_results

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


def protocol_line(protocol: Mapping[str, Any]) -> str:
    """What makes numbers comparable, on one line; boxes and hashes of their files stand in the columns."""
    return (
        f"{protocol['data']}, {protocol['instances']} persons (annotations {protocol['hashes']['annotations']}), "
        f"flip test {'on' if protocol['flip_test'] else 'off'}, score {protocol['score']} "
        f"above {protocol['score_threshold']:g}, OKS-NMS {protocol['metric'].get('nms_threshold')}, "
        f"{protocol['align']} alignment, area of the {protocol['area']}"
    )


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted keys of a configuration; lists stay values."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def settings(results: Sequence[Mapping[str, Any]]) -> list[str]:
    """For each run, the keys in which runs of its scheme and size differ, seeds aside, as ``key=value``."""
    flat = [flatten(r["config"]) for r in results]
    groups: dict[tuple[str, str], list[int]] = {}
    for i, result in enumerate(results):
        groups.setdefault((result["config"]["representation"]["title"], result["config"]["input_size"]), []).append(i)
    lines = [""] * len(results)
    for members in groups.values():
        keys = sorted({key for i in members for key in flat[i]} - {"seed", "runs", "study"})
        differ = [k for k in keys if len({json.dumps(flat[i].get(k)) for i in members}) > 1]
        for i in members:
            # A key that only other rows have says nothing about this one.
            lines[i] = ", ".join(f"{k}={flat[i][k]}" for k in differ if k in flat[i] and not k.endswith("_target_"))
    return lines


def collect(results: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Rows in the order of scheme and size, seeds joined."""
    cells: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for result, setting in zip(results, settings(results), strict=True):
        for readout in next(iter(result["metrics"].values())):
            key = (result["config"]["representation"]["title"], result["config"]["input_size"], setting, readout)
            cells.setdefault(key, []).append(result)
    rows = []
    for (scheme, size, setting, readout), found in cells.items():
        first = found[0]
        values = {
            boxes: {m: [r["metrics"][boxes][readout][m] for r in found] for m in by[readout]}
            for boxes, by in first["metrics"].items()
        }
        protocol = next(iter(first["protocol"].values()))
        rows.append(
            Row(
                scheme,
                readout,
                size,
                setting,
                first["cost"]["params"] / 1e6,
                first["cost"]["gmacs"],
                values,
                protocol_line(protocol),
                protocol["real"],
            )
        )
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
    best = {
        (b, m): max((mean(r.values[b][m]) for r in rows if b in r.values), default=0) for b in boxes for m in COLUMNS
    }
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
        protocols=sorted({row.protocol for row in rows}),
        real=all(row.real for row in rows),
        figures=figures.draw(results),
        speed=speed,
        recipe=recipe(results[0]),
        provenance=results[0]["provenance"],
    )


def wide_console() -> Console:
    """A console that does not squeeze tables to 80 columns when its output goes to a file."""
    return Console(width=None if sys.stdout.isatty() else 160)


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
        f"{config['backbone'].get('name', config['backbone']['_target_'].split('.')[-1])}, weights "
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
