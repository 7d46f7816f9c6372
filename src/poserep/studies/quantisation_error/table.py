"""The study as a table: one CSV line per cell, condition and readout, and summaries for the terminal."""

import csv
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from poserep.errors import InputError
from poserep.files import write_text
from poserep.sheet import Sheet, SheetCell, numbers, texts

ABOUT = ("representation", "size", "align", "px_per_bin", "sigma", "encoding", "readout", "condition")
NUMBERS = (
    *("joints", "mean_px", "median_px", "p95_px", "max_px", "bias_x_px", "bias_y_px", "bound_px"),
    *("mean_image_px", "median_image_px", "p95_image_px", "max_image_px", "AP"),
)
DATA = ("data", "annotations", "area", "persons", "seed")
READOUTS = "representation.codec.readouts"

Line = Mapping[str, Any]
# The result of a cell, with the ``title`` of its representation and the ``label`` of its row, the same at every size.
Entry = Mapping[str, Any]


def row_label(title: str, job: Sequence[str]) -> str:
    """Return a representation's title and what a cell's overrides change of its codec, but for its readouts."""
    changed = [o.lstrip("+") for o in job if o.lstrip("+").startswith("representation.codec.")]
    names = [re.sub(r"^[^=]*\.", "", override) for override in changed if not override.startswith(READOUTS)]
    return ", ".join([title, *names])


def lines_of(entries: Iterable[Entry]) -> list[dict[str, Any]]:
    """Return every number with all that it belongs to, in the order of the entries."""
    lines = []
    for entry in entries:
        config, data = entry["config"], entry["config"]["data"]
        about = {"title": entry["title"], "representation": entry["label"], "persons": entry["persons"]}
        about |= {"size": config["input_size"], "align": config["align"], "seed": config["seed"], "data": data["name"]}
        about |= {key: data[key] for key in ("annotations", "area", "real")}
        disturbed = {c["name"]: bool(c["noise"] or c["second"]) for c in config["conditions"]}
        for row in entry["rows"]:
            lines.append({**about, **entry["codec"], **row, "disturbed": disturbed[row["condition"]]})
    return lines


def by_source(rows: Iterable[Line]) -> dict[str, list[Line]]:
    """Group lines that may be compared, by what they were measured on, in words."""
    groups: dict[str, list[Line]] = {}
    for row in rows:
        about = f"{row['persons']} persons of {row['data']} (annotations {row['annotations']})"
        about += f", area of the {row['area']}" + (f", seed {row['seed']}" if row["seed"] else "")
        groups.setdefault(about, []).append(row)
    return groups


def write_lines(path: Path, rows: Iterable[Line]) -> None:
    """Write all lines as CSV: numbers with five digits, empty where there is none."""
    columns = (*ABOUT, *NUMBERS, *DATA)
    values = ([row.get(column) for column in columns] for row in rows)
    cells = [["" if v is None else f"{v:.5g}" if isinstance(v, float) else str(v) for v in line] for line in values]
    write_text(path, Sheet("", texts(*columns), cells).csv())


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Read the lines of a file of `write_lines`, as `lines_of` gave them but for ``real``, which no file holds.

    Any other file is an `InputError`.
    """
    with path.open(newline="") as file:
        reader = csv.DictReader(file)
        lacking = [column for column in (*ABOUT, *NUMBERS, *DATA) if column not in (reader.fieldnames or ())]
        if lacking:
            raise InputError(f"{path} is no table of the quantisation study: it has no column {', '.join(lacking)}")
        lines: list[dict[str, Any]] = [{k: _value(k, text) for k, text in row.items() if text} for row in reader]
    clean: dict[tuple[Any, ...], Line] = {}
    disturbed = set()
    for row in lines:
        # Labels are a title and what was changed, as key=value.
        row["title"] = ", ".join(part for part in row["representation"].split(", ") if "=" not in part)
        first = clean.setdefault(tuple(row[key] for key in ("representation", "size", "align", "readout")), row)
        # Scores that are drawn at random move no joint.
        if any(row.get(name) != first.get(name) for name in NUMBERS if name != "AP"):
            disturbed.add(row["condition"])
    return [{**row, "disturbed": row["condition"] in disturbed} for row in lines]


def _value(key: str, text: str) -> str | int | float:
    if key in ("joints", "persons", "seed"):
        return int(text)
    return float(text) if key in (*NUMBERS, "px_per_bin", "sigma") else text


def sizes_of(rows: Iterable[Line]) -> list[str]:
    """Return the input sizes of lines, small to large."""
    return sorted({row["size"] for row in rows}, key=lambda size: [int(side) for side in size.split("x")])


def _px(value: float | None) -> str:
    # An error to as many digits as matter.
    if value is None:
        return "–"
    return f"{value:.2f}" if value >= 0.1 else f"{value:.3f}" if value >= 0.001 else "0.000"


def _sheet(title: str, columns: Sequence[str], rows: Iterable[Line], column: str, cell: Callable[[Line], str]) -> Sheet:
    """Return lines by representation and readout; readouts that agree in all columns share a row of the table."""
    cells: dict[tuple[str, str], dict[str, dict[str, str]]] = {}
    for row in rows:
        centre = row["align"] == "centre"
        name = row["representation"] if centre else f"{row['representation']} [{row['align']}]"
        section = row["title"] if centre else row["align"]
        cells.setdefault((section, name), {}).setdefault(row["readout"], {})[row[column]] = cell(row)
    lines: list[Sequence[SheetCell | str]] = []
    last = ""
    for (section, name), by_readout in cells.items():
        if last and section != last:
            lines.append(())
        last = section
        joined: dict[tuple[str, ...], list[str]] = {}
        for readout, by in by_readout.items():
            joined.setdefault(tuple(by.get(c, "") for c in columns), []).append(readout)
        for i, (values, readouts) in enumerate(joined.items()):
            lines.append(["" if i else name, ", ".join(readouts), *values])
    return Sheet(title, (*texts("representation", "readout"), *numbers(*columns)), lines)


def print_tables(title: str, entries: Sequence[Entry]) -> None:
    """Print mean errors per axis and best APs at every size, and what disturbed outputs do to them."""
    for source, rows in by_source(lines_of(entries)).items():
        clean = [row for row in rows if row["condition"] == rows[0]["condition"]]
        heading = f"{title}: mean error per axis in input px, AP at best"
        _sheet(heading, sizes_of(clean), clean, "size", lambda r: f"{_px(r.get('mean_px'))} {r['AP']:5.1f}").show()
        disturbed = [row for row in rows if row["disturbed"]]
        for size in sizes_of(disturbed):
            here = [row for row in disturbed if row["size"] == size]
            heading = f"Disturbed outputs at {size}: median and 95th percentile of the error in input px, AP"
            conditions = list(dict.fromkeys(row["condition"] for row in here))
            _sheet(heading, conditions, here, "condition", _median_p95_ap).show()
        print(f"data: {source}")
        if not rows[0]["real"]:
            print("drawn people, not photographs: compare rows with each other, not with published numbers")
    skipped = {entry["label"]: ", ".join(entry["skipped"]) for entry in entries if entry["skipped"]}
    for name, left_out in skipped.items():
        print(f"not for {name}, whose target is no density: {left_out}")


def _median_p95_ap(row: Line) -> str:
    return f"{_px(row.get('median_px'))} {_px(row.get('p95_px')):>6} {row['AP']:5.1f}"
