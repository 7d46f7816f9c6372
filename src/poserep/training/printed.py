"""One evaluation on the terminal, as training and evaluation end with it."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from poserep.cli import wide_console
from poserep.metrics.protocol import Protocol, protocol_line
from poserep.runs.values import MEASURES, number

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
    followed = [protocol_line([Protocol.load(by[r]) for by in found["protocol"].values()]) for r in readouts]
    for text in dict.fromkeys(followed):
        console.print(f"protocol: {text}", soft_wrap=True)
