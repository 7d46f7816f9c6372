"""What the rows of a sweep file come to: its cells in either mode, and the configuration of each."""

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import yaml

from poserep.config import DictConfig, composing
from poserep.overrides import CONF, SWEEPS, split_values
from poserep.runs.plan import Cell
from poserep.sweeps.files import read_sweep, table_of
from poserep.sweeps.table import Table, cells

RECIPES = "recipes@table.recipes"


def names() -> list[str]:
    """The sweep files whose rows are runs."""
    return [path.stem for path in sorted(SWEEPS.glob("*.yaml")) if table_of(SWEEPS, path.stem) is not None]


def table(name: str, mode: str | None = None) -> Table:
    """The table of a sweep file with the recipes that its defaults name, in the file's mode or another.

    Raises:
        InputError: If the table has unknown keys or is not whole.
    """
    found = table_of(SWEEPS, name)
    assert found is not None
    file = read_sweep(SWEEPS, name)["overridden"].get(RECIPES)
    shared = yaml.safe_load((CONF / "recipes" / f"{file}.yaml").read_text()) if file else {}
    return replace(found, recipes={**shared, **found.recipes}, mode=mode or found.mode)


def cells_of(found: Table, given: Mapping[str, Sequence[str]] | None = None) -> list[Cell]:
    """The runs of a table, as its sweep makes them; ``given`` as `poserep.sweeps.table.cells` takes it."""
    groups = [path.name for path in CONF.iterdir() if path.is_dir()]
    return cells(found, given or {}, groups, split_values(found.arguments))


def compositions(name: str, wanted: Iterable[Sequence[str]]) -> Iterator[DictConfig]:
    """The configurations that a sweep file makes of lists of overrides, one by one."""
    sweep = yaml.safe_load((SWEEPS / f"{name}.yaml").read_text())
    # Rows and recipes are text to whoever composes a cell, and reading them would take most of the time.
    sweep["defaults"] = [d for d in sweep["defaults"] if not (isinstance(d, dict) and RECIPES in d)]
    sweep["table"] = {key: value for key, value in sweep["table"].items() if key not in ("rows", "recipes", "notes")}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / f"{name}.yaml").write_text(yaml.safe_dump(sweep))
        with composing(Path(folder)) as compose:
            for overrides in wanted:
                yield compose(overrides, name).cfg
