"""Tables of the papers as their sweep files have them, read without Hydra."""

from functools import cache

from poserep.sweeps.sweep_file import complete_table
from poserep.sweeps.table import Row, Table

read = cache(complete_table)


def row(table: str, name: str) -> Row:
    (match,) = [r for r in read(table).rows if r.name == name]
    return match


def settings(table: Table, wanted: Row) -> dict[str, str]:
    return {key: override.split("=", 1)[1] for key, override in table.settings(wanted).items()}
