"""Tables of the papers as their sweep files have them, read without Hydra."""

from dataclasses import replace
from typing import Any

import yaml

from poserep.overrides import CONF, SWEEPS
from poserep.sweeps.table import Row, Table, read_table

RECIPES = yaml.safe_load((CONF / "recipes/papers.yaml").read_text())


def node(name: str) -> dict[str, Any]:
    """A sweep file; what it takes over from another comes first, as in Hydra."""
    own = yaml.safe_load((SWEEPS / f"{name}.yaml").read_text())
    bases = [node(d) for d in own["defaults"] if isinstance(d, str) and (SWEEPS / f"{d}.yaml").is_file()]
    table = {key: value for part in (*bases, own) for key, value in part["table"].items()}
    return {**own, "table": table}


def read(name: str, mode: str = "published") -> Table:
    return replace(read_table({**node(name)["table"], "recipes": RECIPES}), mode=mode)


def row(table: str, name: str) -> Row:
    (found,) = [r for r in read(table).rows if r.name == name]
    return found


def settings(table: Table, wanted: Row) -> dict[str, str]:
    return {key: override.split("=", 1)[1] for key, override in table.settings(wanted).items()}
