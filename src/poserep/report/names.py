"""What sets runs of a study apart, in words."""

import json
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any

from poserep.runs.identity import ELSEWHERE, beneath, flatten


def scheme(result: Mapping[str, Any]) -> tuple[str, str]:
    """Title of the representation, and input size."""
    return result["config"]["representation"]["title"], result["config"]["input_size"]


def settings(results: Sequence[Mapping[str, Any]]) -> list[str]:
    """For each run what sets it apart from others of its scheme and size, seeds aside; empty if nothing does.

    It is named by the rows of the table that it stands for, which a result may hold as ``rows`` with ``of`` (their mode
    and the like) behind them, as far as these tell runs apart, or else by keys as ``key=value``.
    """
    differ = _differing(results)
    of = [(scheme(result), text) for result, text in zip(results, differ, strict=True)]
    found = list(differ)
    alike = {where: {text for other, text in of if other == where} for where, _ in of}
    # Sizes are told beside the setting, and curves over size join what is called the same.
    rows = [[row.replace(f" {scheme(r)[1]}", "") for row in r.get("rows", ())] for r in results]
    # The longer names first, so that the shorter ones have the last word.
    for name in (" | ".join, _beginning):
        names = [f"{name(mine)}{r['of']}" if mine else "" for mine, r in zip(rows, results, strict=True)]
        meant: dict[tuple[Any, str], set[Any]] = {}
        for one, about in zip(names, of, strict=True):
            meant.setdefault((about[0], one), set()).add(about)
        for i, one in enumerate(names):
            if one and len(alike[of[i][0]]) > 1 and len(meant[of[i][0], one]) == 1:
                found[i] = one
    return found


def _beginning(rows: Sequence[str]) -> str:
    """What the names of several rows begin with: those of readouts of a run do not differ before its end."""
    same = takewhile(lambda letters: len(set(letters)) == 1, zip(*rows, strict=False))
    common = "".join(letters[0] for letters in same).rstrip(" ,+|(-")
    return common if len(common) > 2 else rows[0]


def _differing(results: Sequence[Mapping[str, Any]]) -> list[str]:
    flat = [flatten(r["config"]) for r in results]
    lines = []
    for i, result in enumerate(results):
        members = [j for j, other in enumerate(results) if scheme(other) == scheme(result)]
        keys = sorted({key for j in members for key in flat[j]} - {"seed"})
        keys = [k for k in keys if not beneath(k, ELSEWHERE)]
        differ = [k for k in keys if len({json.dumps(flat[j].get(k)) for j in members}) > 1]
        if "data.name" in differ:
            # Another data set: that all of its entries are others needs no saying.
            differ = ["data.name", *(k for k in differ if k.split(".")[0] not in ("data", "contents"))]
        # A key that only other runs have says nothing about this one.
        lines.append(", ".join(_named(k, flat[i][k]) for k in differ if k in flat[i]))
    return lines


def _named(key: str, value: Any) -> str:
    if key.endswith("._target_"):
        return f"{key.removesuffix('._target_')}={str(value).split('.')[-1]}"
    return f"{key}={value}"
