"""Show what differs between two runs, as tables.

RUN_A and RUN_B are run directories, or evaluation-*.json files in them. Parts that are equal in both take one line.
Metrics are not tested here: poserep compare tells whether a difference is more than noise.

example: poserep diff runs/demo/heatmap-... runs/demo/simcc-...
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from poserep.cli import parser_of
from poserep.files import write_json
from poserep.runs.identity import ELSEWHERE, beneath, flatten
from poserep.runs.result_values import format_number, is_undefined
from poserep.runs.rundir import named_result
from poserep.sheet import Sheet, numbers, texts

# Stands for a value where a side has none; null is a value.
ABSENT = "(absent)"
PARTS = {
    "configuration": "Configuration",
    "elsewhere": "Where it ran (no part of what the run is)",
    "data": "Files, first digits of their SHA-256",
    "protocol": "Protocol of the default readouts",
    "versions": "Versions and device",
    "training": "Training and cost",
}
# Parts whose values are shown even where both sides agree.
NAMED = ("data", "versions")
# Entries of a result that tell how training went, and those among them that are too long to compare line by line.
TRAINING = ("epochs", "checkpoint", "seconds", "speed", "cost")
LONG = ("cost.parts",)


def difference(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, Any]:
    """Compare two results, with the contents of result.json.

    Each of `PARTS` has ``differ``, by dotted key the values of both, `ABSENT` where a side has no such key, and
    ``equal``, the keys and values in which both agree. ``metrics`` are entries with ``boxes``, ``readout`` (of both),
    ``metric``, ``a``, ``b`` and ``difference`` (b - a; None if either side has no value), default readouts first.
    """
    parts: dict[str, Any] = {}
    for name, left, right in zip(PARTS, _parts(a, b), _parts(b, a), strict=True):
        both = {key: [left.get(key, ABSENT), right.get(key, ABSENT)] for key in (*left, *right)}
        differ = {key: pair for key, pair in both.items() if pair[0] != pair[1]}
        parts[name] = {"differ": differ, "equal": {k: pair[0] for k, pair in both.items() if k not in differ}}
    return parts | {"metrics": list(_metrics(a, b))}


def _parts(result: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the values of each of `PARTS`, flat; protocols for the boxes that the other was evaluated on, too."""
    flat, default = flatten(result["config"]), _default_protocols(result)
    yield {key: value for key, value in flat.items() if not beneath(key, ("contents", *ELSEWHERE))}
    yield {key: value for key, value in flat.items() if beneath(key, ELSEWHERE)}
    hashes = {f"{boxes}.{name}": value for boxes in default for name, value in default[boxes]["hashes"].items()}
    yield {key: value for key, value in flat.items() if beneath(key, ("contents",))} | hashes
    shared = {boxes: default[boxes] for boxes in default if boxes in _default_protocols(other)}
    yield flatten({boxes: {k: v for k, v in p.items() if k != "hashes"} for boxes, p in shared.items()})
    versions = {key: value for key, value in result["provenance"].items() if key != "packages"}
    # Evaluations record no device.
    device = {"device": f"{result['devices']} x {result['device']}"} if "device" in result else {}
    yield {**versions, **result["provenance"]["packages"], **device}
    training = flatten({key: result[key] for key in TRAINING if key in result} | {"loaded": result.get("loaded", {})})
    yield {key: value for key, value in training.items() if key not in LONG}


def _default_protocols(result: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the protocol of the default readout, by kind of boxes."""
    return {boxes: next(iter(by_readout.values())) for boxes, by_readout in result["protocol"].items() if by_readout}


def paired_readouts(a: Iterable[str], b: Iterable[str]) -> list[tuple[str | None, str | None]]:
    """Return the pairs of readouts to compare: the default ones, then those of one name; others stand beside None."""
    (first, *left), (second, *right) = a, b
    common = [(name, name) for name in left if name in right]
    alone = [(name, None) for name in left if name not in right], [(None, name) for name in right if name not in left]
    return [(first, second), *common, *alone[0], *alone[1]]


def _metrics(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for boxes in dict.fromkeys((*a["metrics"], *b["metrics"])):
        both = [result["metrics"].get(boxes, {}) for result in (a, b)]
        alone = [(name, None) for name in both[0]] + [(None, name) for name in both[1]]
        for readouts in paired_readouts(*both) if all(both) else alone:
            left, right = (by.get(name, {}) for by, name in zip(both, readouts, strict=True))
            for metric in dict.fromkeys((*left, *right)):
                one, two = left.get(metric), right.get(metric)
                gap = None if any(is_undefined(value) for value in (one, two)) else two - one
                about = {"boxes": boxes, "readout": list(readouts), "metric": metric}
                yield {**about, "a": one, "b": two, "difference": gap}


def show_difference(found: Mapping[str, Any], a: Mapping[str, Any], b: Mapping[str, Any], everything: bool) -> None:
    """Print what `difference` found, with the metrics that tables show, or all of them."""
    for letter, result in (("A", a), ("B", b)):
        print(f"{letter}: {result.get('name') or result['run']}")
    equal = []
    for part, title in PARTS.items():
        differ, same = found[part]["differ"], found[part]["equal"]
        if differ:
            print(f"\n{title}" + (f"; {len(same)} more are equal" if same else ""))
            rows = [(key, _value_text(left), _value_text(right)) for key, (left, right) in differ.items()]
            Sheet("", texts("", "A", "B"), rows).show()
        else:
            values = ", ".join(f"{key} {_value_text(v)}" for key, v in same.items()) if part in NAMED else ""
            equal.append(f"{title}: {'equal' if same else 'none on either side'}{f': {values}' if values else ''}")
    print("\nMetrics")
    shown = (row for row in found["metrics"] if everything or row["metric"] in {*a["columns"], *b["columns"]})
    columns = (*texts("boxes", "readout", "metric"), *numbers("A", "B", "B - A"))
    Sheet("", columns, [_metric_cells(row) for row in shown]).show()
    print("\n".join(equal))


def _metric_cells(row: Mapping[str, Any]) -> list[str]:
    left, right = (name or "–" for name in row["readout"])
    change = "–" if row["difference"] is None else f"{row['difference']:+.2f}"
    values = (format_number(row[side], 2) for side in "ab")
    return [row["boxes"], left if left == right else f"{left} | {right}", row["metric"], *values, change]


def _value_text(value: Any) -> str:
    if value == ABSENT:
        return "–"
    return f"{value:.6g}" if isinstance(value, float) else "null" if value is None else str(value)


def main(arguments: Sequence[str]) -> None:
    """Run the command ``poserep diff``."""
    parser = parser_of("diff", __doc__)
    parser.add_argument("a", type=Path, metavar="RUN_A", help="directory of a run, or evaluation file in one")
    parser.add_argument("b", type=Path, metavar="RUN_B", help="the same of the other run")
    parser.add_argument("--all", action="store_true", help="show all metrics, not only those of tables")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything to a file as well")
    options = parser.parse_args(arguments)
    a, b = (run_dir.result(evaluation) for run_dir, evaluation in map(named_result, (options.a, options.b)))
    found = difference(a, b)
    show_difference(found, a, b, options.all)
    if options.json:
        write_json(options.json, {"a": str(options.a), "b": str(options.b), **found})
        print(f"written: {options.json}")
