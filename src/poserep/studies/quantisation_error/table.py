"""The study as a table: one CSV line per cell, condition and readout, and a summary for the terminal."""

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from poserep.errors import InputError

ABOUT = ("representation", "size", "align", "px_per_bin", "sigma", "encoding", "readout", "condition")
NUMBERS = (
    *("joints", "mean_px", "median_px", "p95_px", "max_px", "bias_x_px", "bias_y_px", "bound_px"),
    *("mean_image_px", "median_image_px", "p95_image_px", "max_image_px", "AP"),
)
DATA = ("data", "annotations", "area", "persons", "seed")

Line = Mapping[str, Any]


@dataclass(frozen=True)
class Entry:
    """A cell of the study.

    Attributes:
        title: Of its representation.
        label: Of its row in the table, the same at every size.
        result: See `poserep.studies.quantisation_error.cell.settle`.
    """

    title: str
    label: str
    result: Mapping[str, Any]


def label(title: str, job: Sequence[str]) -> str:
    """A representation's title, and what a cell's overrides change of its codec; readouts have names of their own."""
    split = [o.lstrip("+").split("=", 1) for o in job]
    changed = [(key, value) for key, value in split if key.startswith("representation.codec.")]
    told = [f"{key.split('.')[-1]}={value}" for key, value in changed if not key.startswith(READOUTS)]
    return ", ".join([title, *told])


READOUTS = "representation.codec.readouts"


def lines(entries: Iterable[Entry]) -> list[dict[str, Any]]:
    """Every number with all that it belongs to, in the order of the entries."""
    found = []
    for entry in entries:
        config, data = entry.result["config"], entry.result["config"]["data"]
        about = {
            "title": entry.title,
            "representation": entry.label,
            "size": config["input_size"],
            "align": config["align"],
        }
        about |= {"data": data["name"], "annotations": data["annotations"], "area": data["area"]}
        about |= {"real": data["real"], "persons": entry.result["persons"], "seed": config["seed"]}
        disturbed = {c["name"]: bool(c["noise"] or c["second"]) for c in config["conditions"]}
        for row in entry.result["rows"]:
            found.append({**about, **entry.result["codec"], **row, "disturbed": disturbed[row["condition"]]})
    return found


def sources(rows: Iterable[Line]) -> dict[str, list[Line]]:
    """Lines that may be compared, by what they were measured on."""
    by: dict[str, list[Line]] = {}
    for row in rows:
        about = (
            f"{row['persons']} persons of {row['data']} (annotations {row['annotations']}), area of the {row['area']}"
        )
        by.setdefault(about + (f", seed {row['seed']}" if row["seed"] else ""), []).append(row)
    return by


def write_csv(path: Path, rows: Iterable[Line]) -> None:
    """Write all lines: numbers with five digits, empty where there is none."""
    columns = (*ABOUT, *NUMBERS, *DATA)
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        for row in rows:
            values = (row.get(column) for column in columns)
            writer.writerow(["" if v is None else f"{v:.5g}" if isinstance(v, float) else v for v in values])


def read_csv(path: Path) -> list[dict[str, Any]]:
    """The lines of a file of `write_csv`, as `lines` gave them but for what a file does not hold: ``real``.

    Raises:
        InputError: If it is no such file.
    """
    with path.open(newline="") as file:
        reader = csv.DictReader(file)
        lacking = [column for column in (*ABOUT, *NUMBERS, *DATA) if column not in (reader.fieldnames or ())]
        if lacking:
            raise InputError(f"{path} is no table of the quantisation study: it has no column {', '.join(lacking)}")
        found: list[dict[str, Any]] = [{k: _value(k, text) for k, text in row.items() if text} for row in reader]
    clean: dict[tuple[Any, ...], Line] = {}
    moved = set()
    for row in found:
        # Labels are a title and what was changed, as key=value.
        row["title"] = ", ".join(part for part in row["representation"].split(", ") if "=" not in part)
        first = clean.setdefault(tuple(row[key] for key in ("representation", "size", "align", "readout")), row)
        if any(row.get(name) != first.get(name) for name in NUMBERS if name != "AP"):
            moved.add(row["condition"])
    for row in found:
        # Scores that are drawn at random move no joint.
        row["disturbed"] = row["condition"] in moved
    return found


def _value(key: str, text: str) -> str | int | float:
    if key in ("joints", "persons", "seed"):
        return int(text)
    return float(text) if key in (*NUMBERS, "px_per_bin", "sigma") else text


def sizes(rows: Iterable[Line]) -> list[str]:
    """Input sizes, small to large."""
    return sorted({row["size"] for row in rows}, key=lambda size: [int(side) for side in size.split("x")])


def px(value: float | None) -> str:
    """An error to as many digits as matter."""
    if value is None:
        return "–"
    return f"{value:.2f}" if value >= 0.1 else f"{value:.3f}" if value >= 0.001 else "0.000"


def _table(title: str, columns: Sequence[str], rows: Iterable[Line], column: str, cell: Callable[[Line], str]) -> Table:
    """Lines by representation and readout; readouts that agree in all columns share a line of the table."""
    cells: dict[tuple[str, str], dict[str, dict[str, str]]] = {}
    for row in rows:
        plain = row["align"] == "centre"
        name = row["representation"] if plain else f"{row['representation']} [{row['align']}]"
        section = row["title"] if plain else row["align"]
        by = cells.setdefault((section, name), {}).setdefault(row["readout"], {})
        by[row[column]] = cell(row)
    table = Table(title=title, title_justify="left")
    for heading in ("representation", "readout"):
        table.add_column(heading)
    for heading in columns:
        table.add_column(heading, justify="right")
    last = ""
    for (section, name), by_readout in cells.items():
        if section != last:
            table.add_section()
        last = section
        joined: dict[tuple[str, ...], list[str]] = {}
        for readout, by in by_readout.items():
            joined.setdefault(tuple(by.get(c, "") for c in columns), []).append(readout)
        for i, (values, readouts) in enumerate(joined.items()):
            table.add_row("" if i else escape(name), ", ".join(readouts), *values)
    return table


def ceilings(title: str, rows: Sequence[Line]) -> Table:
    """Mean error per axis in input px, and the AP at best, of every representation and readout at every size."""
    clean = [row for row in rows if row["condition"] == rows[0]["condition"]]
    title = f"{title}: mean error per axis in input px, AP at best"
    return _table(title, sizes(clean), clean, "size", lambda row: f"{px(row.get('mean_px'))} {row['AP']:5.1f}")


def robustness(rows: Sequence[Line], size: str) -> Table:
    """Of disturbed outputs: median and 95th percentile of the error in input px, and AP."""
    columns = list(dict.fromkeys(row["condition"] for row in rows))
    title = f"Disturbed outputs at {size}: median and 95th percentile of the error in input px, AP"
    return _table(
        title,
        columns,
        rows,
        "condition",
        lambda row: f"{px(row.get('median_px'))} {px(row.get('p95_px')):>6} {row['AP']:5.1f}",
    )


def show(title: str, entries: Sequence[Entry]) -> None:
    """Print the summary."""
    # Wide enough for all sizes where there is no terminal.
    console = Console(width=max(Console().width, 132))
    for source, rows in sources(lines(entries)).items():
        console.print(ceilings(title, rows))
        disturbed = [row for row in rows if row["disturbed"]]
        for size in sizes(disturbed):
            console.print(robustness([row for row in disturbed if row["size"] == size], size))
        console.print(f"data: {source}", soft_wrap=True)
        if not rows[0]["real"]:
            console.print("drawn people, not photographs: compare rows with each other, not with published numbers")
    skipped: dict[str, list[str]] = {}
    for entry in entries:
        for condition in entry.result["skipped"]:
            names = skipped.setdefault(f"{entry.label}, whose target is no density", [])
            names += [condition] if condition not in names else []
    for name, conditions in skipped.items():
        console.print(f"not for {name}: {', '.join(conditions)}", soft_wrap=True)
