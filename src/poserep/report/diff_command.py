"""Show what differs between two runs, as tables.

RUN_A and RUN_B are run directories, or evaluation-*.json files in them. Parts in which both agree are said in a line.
Metrics are not tested here: poserep compare says whether a difference is more than noise.

example: poserep diff runs/demo/heatmap-... runs/demo/simcc-...
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from poserep.cli import parser_of
from poserep.errors import InputError
from poserep.files import write_json
from poserep.report.difference import ABSENT, difference

TITLES = {
    "configuration": "Configuration",
    "elsewhere": "Where it ran (no part of what the run is)",
    "data": "Files, first digits of their SHA-256",
    "protocol": "Protocol of the default readouts",
    "versions": "Versions and device",
    "training": "Training and cost",
}
# Worth a look even where both agree.
NAMED = ("data", "versions")


def read(path: Path) -> dict[str, Any]:
    """The result of a run directory, or of a result file.

    Raises:
        InputError: If there is none, or it is not one of this version.
    """
    file = path if path.is_file() else path / "result.json"
    if not file.is_file():
        raise InputError(f"{path} has no result: {_why(path)}")
    try:
        result = json.loads(file.read_text())
    except ValueError as error:
        raise InputError(f"{file} is no result: {error}") from None
    lacking = [
        key
        for key in ("config", "metrics", "protocol", "columns", "provenance")
        if not isinstance(result, dict) or key not in result
    ]
    if lacking:
        raise InputError(f"{file} is no result of this version: it has no {', '.join(lacking)}; run it again")
    return result


def _why(path: Path) -> str:
    if not path.is_dir():
        return "there is no such run directory"
    status = path / "status.json"
    if status.is_file():
        found = json.loads(status.read_text())
        return f"its state is {found['state']}" + (f", {found['error']}" if found.get("error") else "")
    has = "it has not been started" if (path / "config.yaml").is_file() else "it is no run directory"
    return f"{has} ({path / 'result.json'} does not exist)"


def show(found: Mapping[str, Any], a: Mapping[str, Any], b: Mapping[str, Any], everything: bool) -> None:
    """Print what `difference` found; of metrics those that tables show, or all."""
    console = Console(width=max(Console().width, 120))
    for letter, result in (("A", a), ("B", b)):
        console.print(f"{letter}: {escape(result.get('name') or result['run'])}", soft_wrap=True, highlight=False)
    equal = []
    for part, heading in TITLES.items():
        differ, same = found[part]["differ"], found[part]["equal"]
        if differ:
            table = Table("", "A", "B")
            for key, (left, right) in differ.items():
                table.add_row(escape(key), _value(left), _value(right))
            more = f"; {len(same)} more are equal" if same else ""
            console.print(f"\n{heading}{more}", table, sep="\n", highlight=False)
        else:
            values = ": " + ", ".join(f"{key} {_value(v)}" for key, v in same.items()) if part in NAMED and same else ""
            equal.append(f"{heading}: {'equal' if same else 'none on either side'}{values}")
    console.print("\nMetrics", _metrics(found["metrics"], {*a["columns"], *b["columns"]}, everything), sep="\n")
    for line in equal:
        console.print(line, highlight=False, soft_wrap=True)


def _metrics(rows: Sequence[Mapping[str, Any]], columns: set[str], everything: bool) -> Table:
    shown = [r for r in rows if everything or r["metric"] in columns]
    table = Table()
    for heading in ("boxes", "readout", "metric"):
        table.add_column(heading)
    for heading in ("A", "B", "B - A"):
        table.add_column(heading, justify="right")
    for row in shown:
        left, right = (name or "–" for name in row["readout"])
        change = row["difference"]
        numbers = [_number(row["a"]), _number(row["b"]), "–" if change is None else f"{change:+.2f}"]
        table.add_row(row["boxes"], left if left == right else f"{left} | {right}", row["metric"], *numbers)
    return table


def _number(value: float | None) -> str:
    return "–" if value is None or value == -1 else f"{value:.2f}"


def _value(value: Any) -> str:
    if value == ABSENT:
        return "–"
    return f"{value:.6g}" if isinstance(value, float) else escape("null" if value is None else str(value))


def main(arguments: Sequence[str]) -> None:
    """The command ``poserep diff``."""
    parser = parser_of("diff", __doc__)
    parser.add_argument("a", type=Path, metavar="RUN_A")
    parser.add_argument("b", type=Path, metavar="RUN_B")
    parser.add_argument("--all", action="store_true", help="all metrics, not only those that tables show")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there as well")
    options = parser.parse_args(arguments)
    a, b = read(options.a), read(options.b)
    found = difference(a, b)
    show(found, a, b, options.all)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        write_json(options.json, {"a": str(options.a), "b": str(options.b), **found})
        print(f"written: {options.json}")
