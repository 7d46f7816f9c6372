"""Whether two runs or readouts differ by more than the choice of images explains, from their stored predictions.

A and B are run directories, evaluation-*.json files of poserep evaluate, or several of them joined by commas that
differ in their seed only. Images are drawn anew with replacement, the same for both sides, and the difference of
the metric gets an interval; no network is needed. Both sides must be about the same persons and the same metric.

example: poserep compare runs/demo/heatmap-...:dark runs/demo/simcc-... --metric AP75
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from poserep.cli import parser_of, wide_console
from poserep.errors import InputError
from poserep.files import provenance, write_json
from poserep.metrics.bootstrap import Difference, Side, paired_bootstrap
from poserep.report.compare.stored import Evaluation, check_protocols, read_side, rebuild

LEVEL = 0.95


def compare(
    a: Sequence[Evaluation],
    b: Sequence[Evaluation],
    name: str | None = None,
    samples: int = 1000,
    seed: int = 0,
    score_threshold: float | None = None,
) -> dict[str, Any]:
    """The difference of a metric between two sides, as a record.

    Args:
        a: Runs of the first side, which differ in their seed only.
        b: Runs of the second.
        name: Of the metric; the one by which checkpoints are chosen unless given.
        samples: Resamples of the images.
        seed: Of the draw.
        score_threshold: Of both sides, in place of those that they were evaluated with: joints of lower score do not
            count in a person's.

    Raises:
        InputError: If the sides cannot be compared, or the metric is unknown.
    """
    name = name or a[0].result["columns"][0]
    for run in (*a, *b):
        if name not in run.values:
            raise InputError(f"{run.name} has no metric {name!r}; it has {', '.join(run.values)}")
    differences = list(dict.fromkeys(line for run in (*a, *b) for line in check_protocols(a[0], run)))
    sides, lower = [], False
    for side in (a, b):
        rebuilt = [rebuild(run, score_threshold) for run in side]
        lower = name in rebuilt[0][0].lower
        sides.append([scorer.resampler(predictions, [name]) for scorer, predictions in rebuilt])
    found = paired_bootstrap(sides[0], sides[1], name, samples, seed, LEVEL)
    if score_threshold is not None:
        differences = [line for line in differences if not line.startswith("score_threshold")]
    for run, value in zip((*a, *b), found.a.values + found.b.values, strict=True):
        if score_threshold is None and abs(value - run.values[name]) > 1e-6 * max(1, abs(value)):
            note = f"note: {name} of {run.name} is {value:.6g} here and {run.values[name]:.6g} in {run.path.name}"
            print(f"{note}; was it evaluated by another version?", file=sys.stderr)
    record = {
        "metric": name,
        "data": a[0].protocol.data,
        "drawn": not a[0].protocol.real,
        "boxes": a[0].boxes,
        "score_threshold": score_threshold,
        "a": _record(a, found.a),
        "b": _record(b, found.b),
        **{key: getattr(found, key) for key in ("difference", "low", "high", "within_noise", "share")},
        "verdict": verdict(found, lower),
        "level": LEVEL,
        "samples": found.samples,
        "left_out": found.left_out,
        "images": found.images,
        "seed": seed,
        "protocol_differs": differences,
        "provenance": provenance(),
    }
    return record


def _record(runs: Sequence[Evaluation], side: Side) -> dict[str, Any]:
    sd = side.sd if len(runs) > 1 else None
    names, seeds = [run.name for run in runs], [run.result["config"]["seed"] for run in runs]
    return {
        "runs": names,
        "readout": runs[0].readout,
        "seeds": seeds,
        "values": side.values,
        "mean": side.mean,
        "sd": sd,
    }


def verdict(found: Difference, lower: bool) -> str:
    """Which side is better, if one is; ``lower`` says that less is."""
    if found.within_noise:
        return "within noise"
    return "A better" if (found.low > 0) != lower else "B better"


def show(record: dict[str, Any]) -> None:
    """Print what `compare` found."""
    name, drawn = record["metric"], " (drawn people)" if record["drawn"] else ""
    title = f"{name}, {record['boxes']} boxes, {record['images']} images of {record['data']}{drawn}"
    if record["score_threshold"] is not None:
        title += f", joints above {record['score_threshold']:g}"
    table = Table(title=title, title_justify="left")
    for heading in ("side", "run", "readout"):
        table.add_column(heading)
    for heading in ("seeds", name):
        table.add_column(heading, justify="right")
    for letter in "ab":
        side = record[letter]
        spread = f" ± {side['sd']:.2f}" if side["sd"] is not None else ""
        cells = "\n".join(side["runs"]), side["readout"], str(len(side["runs"])), f"{side['mean']:.2f}{spread}"
        table.add_row(letter.upper(), *cells)
    wide_console().print(table)
    print(
        f"A - B: {record['difference']:+.2f}, {record['level']:.0%} interval [{record['low']:+.2f}, "
        f"{record['high']:+.2f}]: {record['verdict']}\n"
        f"A is not above B in {record['share']:.1%} of {record['samples']} resamples of the images"
    )
    if record["left_out"]:
        print(f"note: {record['left_out']} more resamples have nothing to measure and are left out")
    if any(len(record[letter]["runs"]) > 1 for letter in "ab"):
        print("note: the interval is about the choice of images; how seeds scatter is what ± says")
    if record["protocol_differs"]:
        print(f"note: not the same protocol in: {', '.join(record['protocol_differs'])}")


def main(arguments: Sequence[str]) -> None:
    """The command ``poserep compare``."""
    parser = parser_of("compare", __doc__)
    parser.add_argument("a", help="A[:READOUT]")
    parser.add_argument("b", help="B[:READOUT]")
    parser.add_argument("--metric", help="one of the result's; its chief one unless given")
    parser.add_argument("--boxes", choices=["gt", "det"], help="the first that A was evaluated with unless given")
    text = "joints above it count in both sides, whatever they were evaluated with; 0 counts all"
    parser.add_argument("--score-threshold", type=float, help=text)
    parser.add_argument("--samples", type=int, default=1000, help="resamples of the images")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument("--json", type=Path, help="write everything there as well")
    options = parser.parse_args(arguments)
    a = read_side(options.a, options.boxes)
    b = read_side(options.b, options.boxes or a[0].boxes)
    record = compare(a, b, options.metric, options.samples, options.seed, options.score_threshold)
    show(record)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        write_json(options.json, record)
        print(f"written: {options.json}")
