"""The files of sweeps/: the table of each, its cells, and the configurations that they compose to."""

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from poserep.config import DictConfig, composing
from poserep.errors import InputError
from poserep.files import load_yaml
from poserep.overrides import CONF, SWEEPS
from poserep.sweeps.table import Table, read_table

RECIPES = "recipes@table.recipes"


def read_sweep(folder: Path, name: str, including: tuple[str, ...] = ()) -> dict[str, Any]:
    """Read ``folder/name.yaml`` with the files of that folder that its defaults list names merged into it.

    As Hydra does, later entries of the list win, ``_self_`` says when the file's own turn is (last, unless it is
    listed), mappings are joined and lists are replaced. Entries that are not files of the folder are left out; chosen
    groups are under ``overridden``. ``including`` are the files whose reading has led to this one. A file that does not
    exist, is not a mapping, or includes itself is an `InputError`.
    """
    path = folder / f"{name}.yaml"
    if name in including:
        raise InputError(f"{path} includes itself: {' -> '.join((*including, name))}")
    try:
        own = load_yaml(path.read_text())
    except FileNotFoundError:
        raise InputError(f"{path} does not exist") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path} is not YAML: {error}") from None
    if not isinstance(own, dict):
        raise InputError(f"{path} holds no mapping")
    defaults = own.pop("defaults", [])
    merged: dict[str, Any] = {"overridden": {}}
    for entry in defaults if "_self_" in defaults else [*defaults, "_self_"]:
        if entry == "_self_":
            merged = _merge(merged, own)
        elif isinstance(entry, str) and (folder / f"{entry}.yaml").is_file():
            merged = _merge(merged, read_sweep(folder, entry, (*including, name)))
        elif isinstance(entry, dict):
            chosen = {key.removeprefix("override "): value for key, value in entry.items()}
            merged = _merge(merged, {"overridden": chosen})
    return merged


def _merge(lower: dict[str, Any], upper: dict[str, Any]) -> dict[str, Any]:
    merged = dict(lower)
    for key, value in upper.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def title_of(folder: Path, study: str) -> str:
    """Return the title of the study's table, or the study's name if no sweep file has that name."""
    sweep = read_sweep(folder, study) if (folder / f"{study}.yaml").is_file() else {}
    return str(sweep.get("table", {}).get("title", study))


def table_of(folder: Path, study: str) -> Table | None:
    """Return the table whose rows a study runs; None if no sweep file has its name or its rows are not runs."""
    if not (folder / f"{study}.yaml").is_file():
        return None
    sweep = read_sweep(folder, study)
    # Tables of studies that are measured and not trained have rows of another kind.
    if sweep["overridden"].get("hydra/sweeper") != "rows" or "table" not in sweep:
        return None
    return read_table(sweep["table"])


def table_names() -> list[str]:
    """Return the names of the sweep files whose rows are runs."""
    return [path.stem for path in sorted(SWEEPS.glob("*.yaml")) if table_of(SWEEPS, path.stem) is not None]


def complete_table(name: str, mode: str | None = None) -> Table:
    """Return the table of a sweep file with the recipes that its defaults name, in the file's mode or another."""
    table = table_of(SWEEPS, name)
    assert table is not None
    file = read_sweep(SWEEPS, name)["overridden"].get(RECIPES)
    shared = load_yaml((CONF / "recipes" / f"{file}.yaml").read_text()) if file else {}
    return replace(table, recipes={**shared, **table.recipes}, mode=mode or table.mode)


def compositions(name: str, cells: Iterable[Sequence[str]]) -> Iterator[DictConfig]:
    """Yield the configuration that a sweep file composes to with each of several lists of overrides."""
    sweep = load_yaml((SWEEPS / f"{name}.yaml").read_text())
    # A cell's configuration does not depend on rows and recipes, and reading them would take most of the time.
    sweep["defaults"] = [d for d in sweep["defaults"] if not (isinstance(d, dict) and RECIPES in d)]
    sweep["table"] = {key: value for key, value in sweep["table"].items() if key not in ("rows", "recipes", "notes")}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / f"{name}.yaml").write_text(yaml.safe_dump(sweep))
        with composing(Path(folder)) as compose:
            for overrides in cells:
                yield compose(overrides, name).cfg
