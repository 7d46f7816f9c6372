"""What validation takes beyond the network's own passes: flip test, readouts, metrics, and all the rest.

Drawn people are validated as after an epoch of training, with the flip test and every readout of a representation, by
untrained networks: which numbers come out does not matter to the time. Each representation is timed with the matcher of
persons that is the default, and with pycocotools in its place, in turns.

    python benchmarks/validation.py --record
"""

import argparse
import os
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any
from unittest.mock import patch

import torch
from machine import processor, record
from rich.console import Console
from rich.table import Table
from stages import Clock
from stopwatch import spread

from poserep.config import compose
from poserep.metrics.coco import CocoAP
from poserep.models.model import PoseNet
from poserep.training.build import Run, build
from poserep.training.gather import Gather
from poserep.training.trainer import make_trainer, quiet

REPRESENTATIONS = ("heatmap", "simcc", "sr")
MATCHERS = ("hotcoco", "pycocotools")
# The share of a pass that is not the network.
GOAL = 0.05


@contextmanager
def watched(clock: Clock, run: Run) -> Iterator[None]:
    """Time the parts of a validation pass, each without the parts inside it."""
    codec = type(run.module.codec)
    parts = {
        "network": [(PoseNet, "forward")],
        "flip test": [(codec, "mirror"), (codec, "merge")],
        "readouts": [(codec, "decode_each")],
        "metrics": [(CocoAP, "__call__"), (Gather, "update"), (Gather, "predictions")],
    }
    with ExitStack() as stack:
        for name, functions in parts.items():
            for kind, function in functions:
                stack.enter_context(patch.object(kind, function, clock.timed(name, getattr(kind, function))))
        yield


def measure(
    representation: str, backbone: str, size: str, batch: int, persons: int, rounds: int, root: str
) -> list[dict[str, Any]]:
    """Return for each matcher the ms an image that each part takes in the median of some passes, and other shares.

    The matchers take turns, after a pass of each that makes what loaders and kernels need and shows that both give the
    same values.
    """
    words = [f"backbone={backbone}", f"representation={representation}", f"size={size}", f"trainer.batch={batch}"]
    words += [f"data.prepare.val={persons}", "data.prepare.train=8", f"data.root={root}", "boxes=[gt]"]
    runs = {name: build(compose([*words, f"data.metric.matcher={name}"]).cfg) for name in MATCHERS}
    first, second = (run.module.net for run in runs.values())
    second.load_state_dict(first.state_dict())
    passes: dict[str, list[dict[str, float]]] = {name: [] for name in MATCHERS}
    for number in range(rounds + 1):
        values = []
        for name, run in runs.items():
            clock, trainer = Clock(), make_trainer(run.cfg, [], [])
            with watched(clock, run):
                validate = partial(trainer.validate, run.module, datamodule=run.data, verbose=False)
                clock.timed("rest", validate)()
            values.append({readout: found.scores.values for readout, found in run.module.scored["gt"].items()})
            if number:
                passes[name].append({part: 1000 * seconds / persons for part, seconds in clock.seconds.items()})
        if values[0] != values[1]:
            raise SystemExit(f"{representation}: the matchers disagree; nothing is shown.\n{values}")
    return [_row(representation, list(runs[name].module.readouts), name, found) for name, found in passes.items()]


def _row(representation: str, readouts: list[str], matcher: str, passes: list[dict[str, float]]) -> dict[str, Any]:
    others = [{**parts, "network": 0.0} for parts in passes]
    return {
        "representation": representation,
        "readouts": readouts,
        "matcher": matcher,
        "ms": {part: statistics.median(parts[part] for parts in passes) for part in passes[0]},
        "beyond_ms": spread([sum(parts.values()) / 1000 for parts in others]),
        "share": statistics.median(1 - parts["network"] / sum(parts.values()) for parts in passes),
        "goal": GOAL,
    }


def show(rows: Sequence[dict[str, Any]]) -> None:
    """Print the table."""
    parts = list(rows[0]["ms"])
    table = Table(title="a validation pass, ms an image")
    for heading in ("representation", "readouts", "matcher", *parts, "all but the network"):
        table.add_column(heading, justify="left" if heading in ("representation", "readouts", "matcher") else "right")
    for row in rows:
        words = row["representation"], " ".join(row["readouts"]), row["matcher"]
        table.add_row(*words, *(f"{row['ms'][part]:.2f}" for part in parts), f"{row['share']:.1%}")
    Console(width=140).print(table)
    print(f"goal: at most {GOAL:.0%} of a pass is not the network")


def main(arguments: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--size", default="256x192")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--persons", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--representations", nargs="+", default=REPRESENTATIONS)
    parser.add_argument("--record", action="store_true", help="write benchmarks/results/validation-<processor>.json")
    options = parser.parse_args(arguments)
    quiet()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as root:
        of_all = options.backbone, options.size, options.batch, options.persons, options.rounds, root
        rows = [row for name in options.representations for row in measure(name, *of_all)]
    show(rows)
    if options.record:
        settings = {key: value for key, value in vars(options).items() if key not in ("record", "representations")}
        found = {"load_before": load, "threads": torch.get_num_threads(), "rows": rows}
        print(f"written: {record('validation', processor(), settings, found)}")
    return rows


if __name__ == "__main__":
    main()
