"""Fields of JSON records in which anything may stand."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from poserep.errors import InputError

# No image is as wide, and squares of it are safe in single precision.
FURTHEST = 1e6


class Invalid(Exception):
    """A record that cannot be used.

    Args:
        reason: In two to five words, as a tally counts it.
        message: What stands there, to follow "annotation 7 ".
        remedy: What to do other than leaving it out.
    """

    def __init__(self, reason: str, message: str, remedy: str = "mend the file") -> None:
        super().__init__(message)
        self.reason, self.message, self.remedy = reason, message, remedy


def read_json(path: Path, what: str) -> Any:
    """Parse a JSON file.

    Raises:
        InputError: If it is missing or not JSON.
    """
    if not path.is_file():
        raise InputError(f"{what} {path} does not exist; set data.root (or the file's own key) to where it lies")
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{what} {path} is not valid JSON: {error}") from error


def integer(value: Any) -> int | None:
    """A whole number of 64 bits, or None if the value is none."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if type(value) is int and -(2**63) <= value < 2**63 else None


def number(value: Any, limit: float = math.inf) -> float | None:
    """A finite number of at most a size, or None if the value is none."""
    if type(value) not in (int, float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) and abs(found) <= limit else None


def numbers(values: Any, limit: float = math.inf) -> np.ndarray | None:
    """A list of finite numbers of at most a size as float64, or None if the value is none."""
    if not isinstance(values, list) or not all(type(v) in (int, float) for v in values):
        return None
    try:
        found = np.array(values, np.float64)
    except OverflowError:
        return None
    return found if np.isfinite(found).all() and (np.abs(found) <= limit).all() else None


def shown(value: Any, most: int = 60) -> str:
    """A value for a message, cut if it is long."""
    text = repr(value)
    return text if len(text) <= most else text[:most] + "…"
