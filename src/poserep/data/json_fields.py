"""Values of JSON records, in which anything may stand: converted if they are what is expected, else None."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from poserep.errors import InputError
from poserep.instances import InvalidRecord, Tally

# Largest coordinate, px. No image is as wide, and its square is exact enough in single precision.
FURTHEST = 1e6
Box = tuple[float, float, float, float]


class Invalid(Exception):
    """A record that cannot be used.

    A tally counts it under ``reason``, two to five words such as "without id". In an error ``message`` follows
    "annotation 7 ", and ``remedy`` says what to do other than leaving the record out.
    """

    def __init__(self, reason: str, message: str, remedy: str = "mend the file") -> None:
        super().__init__(message)
        self.reason, self.message, self.remedy = reason, message, remedy

    def leave_out(self, where: str, skip_invalid: bool, tally: Tally, what: str = "persons", count: int = 1) -> None:
        """Count as left out what is lost with the record, ``count`` times ``what``, and list the record.

        Without ``skip_invalid`` it is an `InputError`; ``where`` names the file and the record.
        """
        sentence = f"{where}{self.message}"
        if not skip_invalid:
            raise InputError(
                f"{sentence}; {self.remedy}, or set data.skip_invalid=true to leave such {what} out"
            ) from self
        tally.left_out[self.reason] += count
        tally.invalid.append(InvalidRecord(self.reason, sentence, self.remedy))


def read_json(path: Path, what: str) -> Any:
    """Parse a JSON file, or raise an `InputError` that names its kind ``what`` if it is missing or not JSON."""
    if not path.is_file():
        raise InputError(f"{what} {path} does not exist; set data.root (or the file's own key) to where it lies")
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{what} {path} is not valid JSON: {error}") from error


def as_integer(value: Any) -> int | None:
    """Return a whole number of at most 64 bits, which may be written as 7.0, or None."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if type(value) is int and -(2**63) <= value < 2**63 else None


def as_number(value: Any, limit: float = math.inf) -> float | None:
    """Return a finite number whose size is at most ``limit``, or None."""
    values = as_numbers([value], limit)
    return None if values is None else float(values[0])


def as_numbers(values: Any, limit: float = math.inf) -> np.ndarray | None:
    """Return a list of finite numbers whose sizes are at most ``limit`` as float64 (N,), or None."""
    if not isinstance(values, list) or not all(type(v) in (int, float) for v in values):
        return None
    try:
        numbers = np.array(values, np.float64)
    except OverflowError:
        return None
    return numbers if np.isfinite(numbers).all() and (np.abs(numbers) <= limit).all() else None


def as_keypoints(values: Any, joints: int) -> np.ndarray | None:
    """Return keypoints as float64 (3 K,): x, y, visibility of each joint in turn, or None if they are not that.

    A missing or empty list stands for no labelled joint; where the visibility is 0, x and y may be anything, as NaN or
    null in files that say so of joints that were not found.
    """
    if values is None or values == []:
        return np.zeros(3 * joints)
    if not isinstance(values, list) or len(values) != 3 * joints:
        return None
    numbers = as_numbers(values, FURTHEST)
    if numbers is None:
        hidden = [values[i - i % 3 + 2] == 0 for i in range(len(values))]
        numbers = as_numbers([0 if off else value for value, off in zip(values, hidden, strict=True)], FURTHEST)
    return numbers


def as_box(record: Mapping[str, Any]) -> Box | None:
    """Return the ``bbox`` of a record as x, y, width, height (px), or None if it is not four finite numbers."""
    numbers = as_numbers(record.get("bbox"), FURTHEST)
    return None if numbers is None or len(numbers) != 4 else tuple(numbers.tolist())


def is_file_name(value: Any) -> bool:
    """Tell whether a value is a text that can name a file."""
    try:
        return isinstance(value, str) and bool(value) and b"\0" not in value.encode()
    except UnicodeEncodeError:
        return False


def abridged(value: Any, most: int = 60) -> str:
    """Return a value's text for a message, cut after ``most`` characters."""
    text = repr(value)
    return text if len(text) <= most else text[:most] + "…"
