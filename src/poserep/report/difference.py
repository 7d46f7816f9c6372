"""What differs between two results: configuration, data, versions, metrics and training. Reads nothing."""

from collections.abc import Iterator, Mapping
from typing import Any

from poserep.runs.identity import ELSEWHERE, beneath, flatten

# What stands for a value where a side has none; null is a value.
ABSENT = "(absent)"
# Of a result, what tells how training went.
TRAINING = ("epochs", "checkpoint", "seconds", "speed", "cost")
# Too much to compare line by line.
LONG = ("cost.parts",)


def difference(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, Any]:
    """Two results side by side.

    Args:
        a: As in result.json.
        b: Likewise.

    Returns:
        ``configuration``, ``elsewhere`` (keys of the configuration that change nothing about what a run is),
        ``data`` (hashes of files), ``protocol``, ``versions`` and ``training``, each with ``differ``, by dotted key
        the values of both, `ABSENT` where a side has no such key, and ``equal``, the keys and values in which both
        agree. And ``metrics``, a list of entries with ``boxes``, ``readout`` (of both), ``metric``, ``a``, ``b`` and
        ``difference`` (b - a; None if either side has no value), default readouts first.
    """
    config = [flatten(r["config"]) for r in (a, b)]
    hashes = [
        {key: value for key, value in flat.items() if beneath(key, ("contents",))} | _hashes(result)
        for flat, result in zip(config, (a, b), strict=True)
    ]
    run = [{k: v for k, v in flat.items() if not beneath(k, ("contents", *ELSEWHERE))} for flat in config]
    place = [{k: v for k, v in flat.items() if beneath(k, ELSEWHERE)} for flat in config]
    return {
        "configuration": _side_by_side(*run),
        "elsewhere": _side_by_side(*place),
        "data": _side_by_side(*hashes),
        "protocol": _side_by_side(*_protocols(a, b)),
        "versions": _side_by_side(*(_versions(r) for r in (a, b))),
        "training": _side_by_side(*(_training(r) for r in (a, b))),
        "metrics": list(_metrics(a, b)),
    }


def pairs(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[tuple[str | None, str | None]]:
    """Which of two evaluations' readouts are held against each other: the default ones, then those of one name.

    A readout without its like is held against None.
    """
    first = (next(iter(a)), next(iter(b)))
    left, right = [name for name in a if name != first[0]], [name for name in b if name != first[1]]
    common = [name for name in left if name in right]
    alone = [(name, None) for name in left if name not in right], [(None, name) for name in right if name not in left]
    return [first, *((name, name) for name in common), *alone[0], *alone[1]]


def _side_by_side(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, Any]:
    keys = list(dict.fromkeys((*a, *b)))
    found = {key: [a.get(key, ABSENT), b.get(key, ABSENT)] for key in keys}
    return {
        "differ": {key: both for key, both in found.items() if both[0] != both[1]},
        "equal": {key: both[0] for key, both in found.items() if both[0] == both[1]},
    }


def _default(result: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The protocol of each kind of boxes' default readout."""
    return {boxes: next(iter(by_readout.values())) for boxes, by_readout in result["protocol"].items() if by_readout}


def _hashes(result: Mapping[str, Any]) -> dict[str, Any]:
    return {
        f"{boxes}.{name}": value for boxes, found in _default(result).items() for name, value in found["hashes"].items()
    }


def _protocols(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Of the default readouts, for the boxes that both were evaluated on."""
    both = [_default(r) for r in (a, b)]
    for of in both:
        found = {boxes: of[boxes] for boxes in of if boxes in both[0] and boxes in both[1]}
        yield flatten({boxes: {k: v for k, v in p.items() if k != "hashes"} for boxes, p in found.items()})


def _versions(result: Mapping[str, Any]) -> dict[str, Any]:
    made = {key: value for key, value in result["provenance"].items() if key != "packages"}
    # Evaluations do not record one.
    where = {"device": f"{result['devices']} x {result['device']}"} if "device" in result else {}
    return {**made, **result["provenance"]["packages"], **where}


def _training(result: Mapping[str, Any]) -> dict[str, Any]:
    flat = flatten({key: result[key] for key in TRAINING if key in result})
    return {key: value for key, value in flat.items() if key not in LONG} | flatten(
        {"loaded": result.get("loaded", {})}
    )


def _metrics(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for boxes in dict.fromkeys((*a["metrics"], *b["metrics"])):
        mine, others = (r["metrics"].get(boxes, {}) for r in (a, b))
        found = pairs(mine, others) if mine and others else [(n, None) for n in mine] + [(None, n) for n in others]
        for readouts in found:
            left, right = (by.get(name, {}) for by, name in zip((mine, others), readouts, strict=True))
            for metric in dict.fromkeys((*left, *right)):
                values = left.get(metric), right.get(metric)
                known = all(isinstance(v, int | float) and v != -1 for v in values)
                yield {
                    "boxes": boxes,
                    "readout": list(readouts),
                    "metric": metric,
                    "a": values[0],
                    "b": values[1],
                    "difference": values[1] - values[0] if known else None,
                }
