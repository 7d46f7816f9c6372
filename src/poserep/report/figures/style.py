"""How figures look, and what runs are called and coloured in all of them."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from poserep.drawing import colours
from poserep.report.names import scheme, settings

Result = Mapping[str, Any]


def title(result: Result) -> str:
    """The scheme's name."""
    return scheme(result)[0]


def schemes(results: Sequence[Result]) -> dict[str, str]:
    """A colour for every scheme, the same on every page for those that are known."""
    return colours([title(r) for r in results])


def labels(results: Sequence[Result]) -> list[str]:
    """Scheme and setting of each run; runs that differ in seed or size alone share a label."""
    found = [(title(r), short(setting)) for r, setting in zip(results, settings(results), strict=True)]
    return [f"{name}, {setting}" if setting else name for name, setting in found]


def short(setting: str) -> str:
    """``a.b.k=2`` as ``k=2``, unless two keys would then be the same."""
    keys = re.findall(r"(?:^|, )(?:\w+\.)+(\w+)=", setting)
    return re.sub(r"(^|, )(?:\w+\.)+(\w+=)", r"\1\2", setting) if len({*keys}) == len(keys) else setting
