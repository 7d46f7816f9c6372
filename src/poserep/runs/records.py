"""Reading the files of a run, which accidents or earlier versions may have left otherwise."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from poserep.errors import InputError, first_line
from poserep.files import load_yaml

# Where targets are that configurations of version 0.1 name by an earlier place.
MOVED = {
    "poserep.losses.": "poserep.codecs.losses.",
    "poserep.schedules.": "poserep.training.schedules.",
    "poserep.loggers.": "poserep.training.loggers.",
}
# Options of that version that changed no result, and that nothing takes any more.
GONE = ("keep_fusions", "pool", "published_score")
WRITTEN_AGAIN = "the command that made it writes it again"


def read_npz(file: Path) -> dict[str, np.ndarray]:
    """Read all arrays of a file; a damaged one is an `InputError`."""
    try:
        with np.load(file) as arrays:
            return dict(arrays)
    except Exception as error:
        remedy = "delete it and the result beside it, then run what made them again"
        raise InputError(f"{file} is damaged ({first_line(error)}); {remedy}") from error


def read_record(file: Path, remedy: str = WRITTEN_AGAIN, parse: Callable[[str], Any] = json.loads) -> dict[str, Any]:
    """Read a file that holds an object; a damaged one is an `InputError` that ends with the remedy."""
    try:
        record = parse(file.read_text())
        if isinstance(record, dict):
            return record
        reason = "it holds no object"
    except (ValueError, yaml.YAMLError) as error:
        reason = first_line(error)
    raise InputError(f"{file} is damaged ({reason}); {remedy}")


def parse_config(text: str) -> Any:
    """Parse a configuration; what one of version 0.1 calls otherwise is renamed, and what nothing reads is dropped."""
    for old, new in MOVED.items():
        text = text.replace(f"_target_: {old}", f"_target_: {new}")
    return _without_gone(load_yaml(text))


def _without_gone(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    return {key: _without_gone(value) for key, value in node.items() if key not in GONE}
