"""Speed of the codecs beside loops over samples and joints, in one process and one thread.

The loops are those of tests/reference/loops.py, written the way the field writes them. Both sides' answers are compared
before anything is timed; then they take turns, so that a disturbed machine slows both. Goals hold for the median.

    python benchmarks/codecs.py --record
    python benchmarks/codecs.py --cuda --record    each codec as a share of a training step, on a GPU
"""

import argparse
import os
from collections.abc import Sequence
from typing import Any

import torch
from comparison import compare, show
from machine import processor, record
from rich.console import Console
from rich.table import Table
from rivals import JOBS, SIZE
from shares import GOAL, shares


def show_shares(found: dict[str, Any]) -> None:
    """Print the result of `shares`."""
    table = Table(title=f"share of a training step ({found['backbone']}, {found['step_ms']:.1f} ms), goal {GOAL:.0%}")
    for heading in ("representation", "readout", "encode ms", "loss ms", "decode ms", "share", "met"):
        table.add_column(heading, justify="left" if heading[0] == "r" else "right")
    for row in found["rows"]:
        times = [f"{row[key]:.3f}" for key in ("encode_ms", "loss_ms", "decode_ms")]
        met = "yes" if row["share"] < GOAL else "[red]NO[/]"
        table.add_row(row["representation"], row["readout"], *times, f"{row['share']:.2%}", met)
    Console(width=160).print(table)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=15, help="at least 2")
    parser.add_argument("--calls", type=int, default=5, help="of the codec in a round; the loops run once")
    parser.add_argument("--only", default="", help="jobs whose name contains this")
    parser.add_argument("--cuda", action="store_true", help="shares of a training step instead, on a GPU")
    parser.add_argument("--record", action="store_true", help="write benchmarks/results/codecs-<device>.json")
    options = parser.parse_args(arguments)
    if options.cuda and not torch.cuda.is_available():
        raise SystemExit("--cuda measures on a GPU, and torch sees none here; leave it out for the comparison on a CPU")
    if options.cuda:
        device, settings, measured = torch.cuda.get_device_name(), {}, shares(batch=options.batch)
        show_shares(measured)
    else:
        device = processor()
        settings = {
            "size": str(SIZE),
            "threads": 1,
            "batch": options.batch,
            "rounds": options.rounds,
            "calls": options.calls,
        }
        # Processes that ran or wanted to, over the minute before: with less than the cores, none was in the way.
        load = os.getloadavg()[0]
        measured = {
            "load_before": load,
            "rows": compare(JOBS, options.batch, options.rounds, options.calls, options.only),
        }
        show(measured["rows"])
    if options.record:
        print(f"written: {record('codecs', device, settings, measured)}")


if __name__ == "__main__":
    main()
