"""JSON that is changed, or in which a few values are lacking or replaced by whatever a file may hold."""

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

JUNK = [
    None, True, -1, 0, 7.0, 3.5, 10**400, -(2**70), -0.0, 1e30, 1e300, float("nan"), float("inf"), "", "\0", "x",
    "\ud800", [], [None], {}, {"id": 1},
]  # fmt: skip


def edit(path: Path, change: Callable[[Any], object]) -> None:
    """Change the content of a JSON file in place."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Everything in some JSON that can be replaced, as (container, key)."""
    for key, inner in list(value.items() if isinstance(value, dict) else enumerate(value)):
        yield value, key
        if isinstance(inner, dict | list):
            yield from _places(inner)


def spoiled(data: Any, seed: int, changes: int = 3) -> Any:
    """Return a copy with up to ``changes`` random values replaced by junk, or dropped."""
    data, rng = copy.deepcopy(data), np.random.default_rng(seed)
    for _ in range(rng.integers(1, changes + 1)):
        places = list(_places(data))
        if places:
            container, key = places[rng.integers(len(places))]
            if isinstance(container, dict) and rng.random() < 0.2:
                del container[key]
            else:
                container[key] = JUNK[rng.integers(len(JUNK))]
    return data
