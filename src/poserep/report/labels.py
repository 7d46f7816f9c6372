"""What runs are called on tables and figures: their scheme, and the settings that set them apart."""

import json
import re
from collections.abc import Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

from poserep.drawing import colours
from poserep.runs.identity import ELSEWHERE, beneath, flatten

# The content of a result.json, with the run directory under ``path``.
Result = Mapping[str, Any]


def scheme_title(result: Result) -> str:
    """Return the title of the representation."""
    return str(result["config"]["representation"]["title"])


def input_size(result: Result) -> str:
    """Return the input size, as ``256x192``."""
    return str(result["config"]["input_size"])


def height_and_width(size: str) -> list[int]:
    """Return the two numbers of an input size, by which sizes are ordered."""
    return [int(number) for number in size.split("x")]


def scheme_colours(results: Sequence[Result]) -> dict[str, str]:
    """Return a colour for every scheme; known schemes have the same one on every page."""
    return colours([scheme_title(result) for result in results])


def run_labels(results: Sequence[Result]) -> list[str]:
    """Return scheme and setting of each run; runs that differ in seed or size only share a label."""
    found = zip(map(scheme_title, results), map(short_setting, run_settings(results)), strict=True)
    return [f"{title}, {setting}" if setting else title for title, setting in found]


def short_setting(setting: str) -> str:
    """Return ``a.b.k=2`` as ``k=2``, unless two keys would then be the same."""
    keys = re.findall(r"(?:^|, )(?:\w+\.)+(\w+)=", setting)
    return re.sub(r"(^|, )(?:\w+\.)+(\w+=)", r"\1\2", setting) if len({*keys}) == len(keys) else setting


def run_settings(results: Sequence[Result]) -> list[str]:
    """Return what sets each run apart from others of its scheme and size, seeds aside; empty if nothing does.

    Where the table rows that a run stands for tell it apart, they name it: a result may hold them as ``rows``, with
    ``suffix`` (mode and arguments) behind them. Otherwise the keys do that differ, as ``key=value``.
    """
    places = [(scheme_title(result), input_size(result)) for result in results]
    found = _differing([flatten(result["config"]) for result in results], places)
    identities = list(zip(places, found, strict=True))
    alike = {where: {text for other, text in identities if other == where} for where in places}
    # Tables show scheme and size beside the setting, and curves over size join runs of one name.
    scheme = [f"representation={result['config']['representation'].get('name')}" for result in results]
    rows = [
        [row.replace(f" {input_size(r)}", "") for row in r.get("rows", ()) if row != own]
        for r, own in zip(results, scheme, strict=True)
    ]
    # Shorter names come second, so that they win where both tell runs apart.
    for joined in (" | ".join, _common_beginning):
        names = [f"{joined(own)}{r['suffix']}" if own else "" for own, r in zip(rows, results, strict=True)]
        meant: dict[tuple[Any, str], set[Any]] = {}
        for name, identity in zip(names, identities, strict=True):
            meant.setdefault((identity[0], name), set()).add(identity)
        for i, (name, (where, _)) in enumerate(zip(names, identities, strict=True)):
            if name and len(alike[where]) > 1 and len(meant[where, name]) == 1:
                found[i] = name
    return found


def _common_beginning(rows: Sequence[str]) -> str:
    """Return what the names of several rows begin with: readouts of one run differ at the end only."""
    same = takewhile(lambda letters: len(set(letters)) == 1, zip(*rows, strict=False))
    common = "".join(letters[0] for letters in same).rstrip(" ,+|(-")
    return common if len(common) > 2 else rows[0]


def _differing(flat: Sequence[Mapping[str, Any]], places: Sequence[object]) -> list[str]:
    """Return of each flat configuration, as ``key=value``, in what it differs from others of its place."""
    lines = []
    for own, here in zip(flat, places, strict=True):
        differ = differing_keys([f for f, there in zip(flat, places, strict=True) if there == here], ("seed",))
        if "data.name" in differ:
            # Another data set has other values everywhere, which need no mention.
            differ = ["data.name", *(key for key in differ if key.split(".")[0] not in ("data", "contents"))]
        # A key that only other runs have says nothing about this one.
        lines.append(", ".join(_told(key, own) for key in differ if key in own))
    return lines


def _told(key: str, own: Mapping[str, Any]) -> str:
    """Return a key with its value, and for the hash of initial weights the name of the run or file that they are of."""
    if key != "contents.init" or not own.get("init"):
        return setting_text(key, own[key])
    name, digest = Path(own["init"]).name, own[key]
    # Names of runs hold what they are; files of one name may differ.
    return f"init={name}" + ("" if "#run" in digest and not name.endswith(".ckpt") else f" ({digest[:6]})")


def differing_keys(configs: Sequence[Mapping[str, Any]], hidden: Sequence[str] = ()) -> list[str]:
    """Return the dotted keys, sorted, whose values differ between configurations that `flatten` has made flat.

    Keys that change nothing about what a run is are left out, and those that are ``hidden`` or below hidden ones.
    """
    keys = sorted({key for config in configs for key in config})
    kept = (key for key in keys if not beneath(key, (*ELSEWHERE, *hidden)))
    return [key for key in kept if len({json.dumps(config.get(key)) for config in configs}) > 1]


def setting_text(key: str, value: Any) -> str:
    """Return ``key=value``; a class is named without its module."""
    target = key.endswith("._target_")
    return f"{key.removesuffix('._target_')}={str(value).split('.')[-1] if target else value}"
