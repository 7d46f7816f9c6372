"""Tables that are committed as CSV, for readers who have no runs of a study: what a report wrote, shown again."""

import csv
from collections.abc import Sequence
from pathlib import Path

from poserep.errors import InputError
from poserep.instances import ANNOTATED
from poserep.sheet import Column, Sheet

# Columns that tell rows from each other, in either kind of CSV file that reports write.
TELLING = ("row", "scheme", "readout", "mode", "size", "setting", "seeds")


def read_committed(path: Path, columns: Sequence[str]) -> Sheet:
    """Return the rows of annotated persons in a CSV file that `poserep report` wrote, such as ``results/embedded.csv``.

    Shown are what tells them apart and the ``columns``, but for those that the file lacks or leaves empty. Any other
    file is an `InputError`.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist; run the study, or check out the repository again")
    with path.open(newline="") as file:
        reader = csv.DictReader(file)
        if not {"boxes", "seeds"} <= {*(reader.fieldnames or ())}:
            raise InputError(f"{path} is no table of runs: it has no columns boxes and seeds")
        rows = [row for row in reader if row["boxes"] in ANNOTATED]
    shown = [name for name in (*TELLING, *columns) if any(row.get(name) for row in rows)]
    heads = [Column(name, numeric=name not in TELLING[:-1]) for name in shown]
    return Sheet(str(path), heads, [[row[name] for name in shown] for row in rows])
