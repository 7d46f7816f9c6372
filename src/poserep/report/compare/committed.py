"""Committed tables, for those who have no runs of a study: what a report has written, read back and shown."""

import csv
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from poserep.errors import InputError

# What tells rows from each other in either kind of CSV file that reports write.
ABOUT = ("row", "scheme", "readout", "mode", "size", "setting", "seeds")


def committed(path: Path, columns: Sequence[str]) -> Table:
    """The rows of annotated boxes in a CSV file of `poserep.report`, with what tells them apart.

    Args:
        path: As ``results/embedded.csv``.
        columns: What to show of them; those that the file lacks or leaves empty are left out.

    Raises:
        InputError: If there is no such file, or it is another one.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist; run the study, or check out the repository again")
    with path.open(newline="") as file:
        reader = csv.DictReader(file)
        if not {"boxes", "seeds"} <= {*(reader.fieldnames or ())}:
            raise InputError(f"{path} is no table of runs: it has no columns boxes and seeds")
        rows = [row for row in reader if row["boxes"] == "gt"]
    shown = [name for name in (*ABOUT, *columns) if any(row.get(name) for row in rows)]
    table = Table(title=str(path), title_justify="left")
    for name in shown:
        table.add_column(name, justify="left" if name in ABOUT[:-1] else "right")
    for row in rows:
        table.add_row(*(row[name] for name in shown))
    return table
