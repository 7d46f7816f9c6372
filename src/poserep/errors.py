"""The exceptions that become one line and an exit code, see `poserep.cli`, and what such a line suggests."""

from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from typing import Any

_NEAR = 0.6


class InputError(ValueError):
    """Bad input: the message names the file or value and says what to do about it."""


class Failed(Exception):
    """Something that had begun has failed; what was done before is kept."""


def check_choice(option: str, value: object, choices: Iterable[object]) -> None:
    """Raise `InputError` unless the value is one of the choices; ``option`` names it and whose it is."""
    if value not in (known := tuple(choices)):
        raise InputError(f"{option}={value!r} is not one of {known}")


def check_positive(option: str, value: Any, unit: str = "") -> None:
    """Raise `InputError` unless the value is positive and finite."""
    if not 0 < value < float("inf"):
        raise InputError(f"{option}={value} must be a positive number{unit}")


def check_odd(option: str, value: Any, rest: str = "") -> None:
    """Raise `InputError` unless the value is an odd, positive integer; ``rest`` says what else is allowed, or why."""
    if not isinstance(value, int) or value < 1 or value % 2 == 0:
        raise InputError(f"{option}={value} must be odd and positive{rest}")


def message(error: BaseException) -> str:
    """Return an error's message, without the traceback that precedes it in errors from loader processes."""
    return str(error).rsplit("poserep.errors.InputError: ", 1)[-1].strip()


def first_line(error: BaseException | None) -> str:
    """Return the first line of an error's message, or else the name of its class."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def suggestion(asked: str, known: Sequence[str], limit: int = 3) -> str:
    """Return ``; did you mean …?`` with the nearest of dotted keys, best first; empty if none is near.

    The last part of a key counts, as ``trainer.lr`` stands for ``optim.lr``; what precedes it decides among equals.
    """
    last = asked.split(".")[-1]

    def near(key: str) -> tuple[float, float]:
        return similar(last, key.split(".")[-1]), similar(asked, key)

    scored = sorted(((near(key), key) for key in known), key=lambda pair: (-sum(pair[0]), len(pair[1]), pair[1]))
    best = [(sum(score), key) for score, key in scored if score[0] >= _NEAR]
    # Beside a nearly certain key, only keys that are as near are named.
    if best and best[0][0] > 1.6:
        best = [(score, key) for score, key in best if score > best[0][0] - 0.1]
    named = [key for _, key in best[:limit]]
    return f"; did you mean {' or '.join(named)}?" if named else ""


def nearest(asked: str, known: Iterable[str]) -> str:
    """Return ``; did you mean …?`` with the nearest name, or all names if none is near."""
    names = list(known)
    return suggestion(asked, names, 1) or f"; there are {', '.join(names) or 'none'}"


def similar(a: str, b: str) -> float:
    """Return how alike two names are, in [0, 1]; one that the other begins with counts as near."""
    # batch_size stands for batch.
    begins = min(len(a), len(b)) > 2 and (a.startswith(b) or b.startswith(a))
    return max(SequenceMatcher(None, a, b).ratio(), 0.9 if begins and a != b else 0)


class Stopped(Exception):
    """The run was asked to stop and has done so; the same command continues it."""
