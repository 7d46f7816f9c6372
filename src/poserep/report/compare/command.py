"""Tell whether two runs or readouts differ by more than the choice of images explains, from their stored predictions.

A and B are run directories, evaluation-*.json files of poserep evaluate, or several of them joined by commas that
differ in their seed only. A side may also be a file of another program's results in COCO's format, which is scored as
the other side's run was. Images are drawn anew with replacement, the same for both sides, and the difference of the
metric gets an interval; no network is needed. Both sides must be about the same persons and the same metric.

example: poserep compare runs/demo/heatmap-...:dark runs/demo/simcc-... --metric AP75
         poserep compare runs/demo/heatmap-... results.json
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from poserep.cli import parser_of
from poserep.errors import InputError
from poserep.files import provenance, write_json
from poserep.metrics.bootstrap import Difference, Side, paired_bootstrap
from poserep.metrics.seed_interval import power
from poserep.report.compare.stored import StoredEvaluation, check_protocols, read_sides, rebuild
from poserep.sheet import Sheet, numbers, texts

LEVEL = 0.95
# True differences of which a comparison says how probably it would have seen them, in the metric's unit.
DIFFERENCES = (0.3, 1, 3)


def compare_sides(
    a: Sequence[StoredEvaluation],
    b: Sequence[StoredEvaluation],
    name: str | None = None,
    samples: int = 1000,
    seed: int = 0,
    score_threshold: float | None = None,
) -> dict[str, Any]:
    """Return the difference of a metric between two sides with its interval, as a record.

    The runs of a side differ in their seed only. The metric ``name`` is the one by which checkpoints are chosen unless
    given. Images are resampled ``samples`` times. A ``score_threshold`` replaces those of both sides: joints of lower
    score do not count in a person's score. Sides that do not compare and unknown metrics are an `InputError`.
    """
    name, runs = name or a[0].result["columns"][0], (*a, *b)
    for run in runs:
        if name not in run.values:
            raise InputError(f"{run.name} has no metric {name!r}; it has {', '.join(run.values)}")
    differences = list(dict.fromkeys(line for run in runs for line in check_protocols(a[0], run)))
    scorers = [rebuild(run, score_threshold) for run in runs]
    lower = name in scorers[0][0].lower
    resamplers = [scorer.resampler(predictions, [name]) for scorer, predictions in scorers]
    same = [run.run_dir.path for run in a] == [run.run_dir.path for run in b]
    gap = paired_bootstrap(resamplers[: len(a)], resamplers[len(a) :], name, samples, seed, LEVEL, same)
    if score_threshold is not None:
        differences = [line for line in differences if not line.startswith("score_threshold")]
    else:
        for run, value in zip(runs, gap.a.values + gap.b.values, strict=True):
            if not run.agrees(name, value):
                note = f"note: {name} of {run.name} is {value:.6g} here and {run.values[name]:.6g} in {run.path.name}"
                print(f"{note}; was it evaluated by another version?", file=sys.stderr)
    reason = ""
    if not lower and not any((*gap.a.values, *gap.b.values, gap.low, gap.high)):
        causes = list(dict.fromkeys(run.diagnosis for run in runs if run.diagnosis))
        reason = f"{name} is 0 on both sides in every resample" + (f" ({'; '.join(causes)})" if causes else "")
    low, high = gap.seeds[:2] if gap.seeds else (gap.low, gap.high)
    better = "within noise" if low <= 0 <= high else "A better" if (low > 0) != lower else "B better"
    return {
        "metric": name,
        "data": a[0].protocol.data,
        "drawn": not a[0].protocol.real,
        "boxes": " and ".join(dict.fromkeys(run.boxes for run in runs)),
        "score_threshold": score_threshold,
        "a": _side_record(a, gap.a),
        "b": _side_record(b, gap.b),
        **{key: getattr(gap, key) for key in ("difference", "low", "high", "share")},
        "within_noise": low <= 0 <= high,
        "over_seeds": _seeds_record(gap) if gap.seeds else None,
        "verdict": "not tested" if reason else better,
        "not_tested_because": reason,
        "level": LEVEL,
        **{key: getattr(gap, key) for key in ("samples", "left_out", "images")},
        "seed": seed,
        "protocol_differs": differences,
        "provenance": provenance(),
    }


def _seeds_record(gap: Difference) -> dict[str, Any]:
    """Return the interval over seeds and images, and how probably other true differences would have been seen."""
    assert gap.seeds
    seen = {str(true): power(true, gap.seeds.error, gap.seeds.df, LEVEL) for true in DIFFERENCES}
    return {**gap.seeds._asdict(), "power": seen}


def _side_record(runs: Sequence[StoredEvaluation], side: Side) -> dict[str, Any]:
    return {
        "runs": [run.name for run in runs],
        "readout": runs[0].readout,
        "seeds": [run.result["config"]["seed"] for run in runs],
        "values": side.values,
        "mean": side.mean,
        "sd": side.sd if len(runs) > 1 else None,
    }


def show_comparison(record: dict[str, Any]) -> None:
    """Print the record of `compare_sides`."""
    name, drawn = record["metric"], " (drawn people)" if record["drawn"] else ""
    title = f"{name}, {record['boxes']} boxes, {record['images']} images of {record['data']}{drawn}"
    if record["score_threshold"] is not None:
        title += f", joints above {record['score_threshold']:g}"
    rows = []
    for letter, side in (("A", record["a"]), ("B", record["b"])):
        value = f"{side['mean']:.2f}" + (f" ± {side['sd']:.2f}" if side["sd"] is not None else "")
        rows.append([letter, "\n".join(side["runs"]), side["readout"], str(len(side["runs"])), value])
    Sheet(title, (*texts("side", "run", "readout"), *numbers("seeds", name)), rows).show()
    if record["not_tested_because"]:
        print(f"A - B: nothing to test, as {record['not_tested_because']}")
    else:
        ends = record["over_seeds"] or record
        print(
            f"A - B: {record['difference']:+.2f}, {record['level']:.0%} interval [{ends['low']:+.2f}, "
            f"{ends['high']:+.2f}]: {record['verdict']}\n"
            f"A is above B in {1 - record['share']:.1%} of {record['samples']} resamples of the images"
        )
    if record["left_out"]:
        print(f"note: {record['left_out']} more resamples have nothing to measure and are left out")
    if seeds := record["over_seeds"]:
        of_images = f"[{record['low']:+.2f}, {record['high']:+.2f}]"
        print(f"note: the interval is over seeds and images; over images alone it is {of_images}")
        chances = ", ".join(f"{difference} with {chance:.0%}" for difference, chance in seeds["power"].items())
        print(f"note: with these seeds and images a true difference of this size would be seen: {chances}")
    elif not record["not_tested_because"]:
        print("note: the interval is over images alone, as a side has one seed: what others would give is not in it")
    if record["protocol_differs"]:
        print(f"note: not the same protocol in: {', '.join(record['protocol_differs'])}")


def main(arguments: Sequence[str]) -> None:
    """Run the command ``poserep compare``."""
    parser = parser_of("compare", __doc__)
    parser.add_argument("a", metavar="A[:READOUT]", help="runs of one side, its default readout if none is given")
    parser.add_argument("b", metavar="B[:READOUT]", help="runs of the other side")
    parser.add_argument("--metric", help="metric to compare (the chief one of A)")
    parser.add_argument(
        "--boxes", choices=["gt", "det", "scene"], help="kind of boxes (the first that A was evaluated with)"
    )
    text = "count joints of higher scores alone, on both sides, in a person's score; 0 counts all (each run's own)"
    parser.add_argument("--score-threshold", type=float, help=text)
    parser.add_argument("--samples", type=int, default=1000, help="number of resamples of the images (1000)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the resampling (0)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything to a file as well")
    options = parser.parse_args(arguments)
    a, b = read_sides(options.a, options.b, options.boxes)
    record = compare_sides(a, b, options.metric, options.samples, options.seed, options.score_threshold)
    show_comparison(record)
    if options.json:
        write_json(options.json, record)
        print(f"written: {options.json}")
