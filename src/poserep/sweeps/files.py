"""Sweep files as they stand, without composing a run: the table of a study, and its title."""

from pathlib import Path
from typing import Any

import yaml

from poserep.errors import InputError
from poserep.sweeps.table import Table, read_table


def read_sweep(folder: Path, name: str) -> dict[str, Any]:
    """The mapping of ``folder/name.yaml``, with the files of that folder that its defaults list names merged into it.

    As when a run is composed, later entries of the list win, ``_self_`` says when the file's own turn is (last, unless
    it is listed), mappings are joined and lists are replaced. Entries that are no file of the folder are left out.

    Raises:
        InputError: If the file is not there, is no mapping, or files include each other in a circle.
    """
    return _read(folder, name, ())


def _read(folder: Path, name: str, above: tuple[str, ...]) -> dict[str, Any]:
    path = folder / f"{name}.yaml"
    if name in above:
        raise InputError(f"{path} includes itself: {' -> '.join((*above, name))}")
    try:
        own = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise InputError(f"{path} does not exist") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path} is not YAML: {error}") from None
    if not isinstance(own, dict):
        raise InputError(f"{path} holds no mapping")
    listed = own.pop("defaults", [])
    entries = listed if "_self_" in listed else [*listed, "_self_"]
    found: dict[str, Any] = {"overridden": {}}
    for entry in entries:
        if entry == "_self_":
            found = _merged(found, own)
        elif isinstance(entry, str) and (folder / f"{entry}.yaml").is_file():
            found = _merged(found, _read(folder, entry, (*above, name)))
        elif isinstance(entry, dict):
            chosen = {key.removeprefix("override "): value for key, value in entry.items()}
            found = _merged(found, {"overridden": chosen})
    return found


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    joined = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(joined.get(key), dict)
        joined[key] = _merged(joined[key], value) if both else value
    return joined


def title_of(folder: Path, study: str) -> str:
    """Of the study's table, or its name if no sweep file has that."""
    if not (folder / f"{study}.yaml").is_file():
        return study
    title: str = read_sweep(folder, study).get("table", {}).get("title", study)
    return title


def table_of(folder: Path, study: str) -> Table | None:
    """The table whose rows a study runs, or None if no sweep file has its name or it is not made of rows.

    Raises:
        InputError: If the table has unknown keys or is not whole.
    """
    if not (folder / f"{study}.yaml").is_file():
        return None
    sweep = read_sweep(folder, study)
    # Tables of other commands have rows of another kind.
    if sweep["overridden"].get("hydra/sweeper") != "rows" or "table" not in sweep:
        return None
    return read_table(sweep["table"])
