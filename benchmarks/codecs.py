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
from machine import processor, record
from rich.console import Console
from rich.table import Table
from rivals import JOBS, SIZE, one_thread, side
from shares import GOAL, shares
from stopwatch import extra_memory, race, spread


def compare(batch: int, rounds: int, calls: int, only: str = "") -> list[dict[str, Any]]:
    """Check, then time all jobs whose name contains ``only``.

    Args:
        batch: Samples.
        rounds: In each, every job's loops run once and the codec ``calls`` times.
        calls: See there.
        only: Part of a name.
    """
    one_thread()
    jobs = {name: make(batch) for name, make in JOBS.items() if only in name}
    memory = {
        name: {which: extra_memory(side, name, which, batch) for which in ("fast", "slow")}
        for name, job in jobs.items()
        if job.goal_mb
    }
    for name, job in jobs.items():
        try:
            job.check()
        except AssertionError as error:
            raise SystemExit(f"{name}: codec and loops disagree; nothing was timed.\n{error}") from None
    rivals = {}
    for name, job in jobs.items():
        mode = torch.inference_mode(not job.gradients)
        rivals |= {(name, "slow"): (mode(job.slow), 1), (name, "fast"): (mode(job.fast), calls)}
    seconds = race(rivals, rounds)
    rows = []
    for name, job in jobs.items():
        fast, slow = spread(seconds[name, "fast"]), spread(seconds[name, "slow"])
        ratio = slow["median"] / fast["median"]
        extra = memory.get(name, {})
        goals = [
            (fast["median"], job.goal_ms),
            (job.goal_ratio or 0.0, ratio if job.goal_ratio else None),
            (extra.get("fast"), job.goal_mb),
        ]
        known = [value <= limit for value, limit in goals if value is not None and limit is not None]
        rows.append(
            {
                "job": name,
                "fast_ms": fast,
                "slow_ms": slow,
                "ratio": ratio,
                "extra_mb": extra,
                "goal": {"ms": job.goal_ms, "ratio": job.goal_ratio, "extra_mb": job.goal_mb},
                "met": all(known) if known else None,
            }
        )
    return rows


def show(rows: Sequence[dict[str, Any]]) -> None:
    """Print the result of `compare`."""
    table = Table(title="one thread, ms: median \\[quartiles], minimum")
    for heading in ("job", "codec", "min", "loops", "min", "ratio", "extra MB", "goal", "met"):
        table.add_column(heading, justify="left" if heading == "job" else "right")
    for row in rows:
        goal = row["goal"]
        wanted = [
            text.format(goal[key])
            for key, text in (("ms", "{:g} ms"), ("ratio", "{:g}x"), ("extra_mb", "{:g} MB"))
            if goal[key]
        ]
        cells = [cell for key in ("fast_ms", "slow_ms") for cell in _cells(row[key])]
        extra = " / ".join("?" if value is None else f"{value:.0f}" for value in row["extra_mb"].values())
        met = {None: "", True: "yes", False: "[red]NO[/]"}[row["met"]]
        table.add_row(row["job"], *cells, f"{row['ratio']:.1f}", extra, ", ".join(wanted), met)
    Console(width=160).print(table)


def _cells(found: dict[str, float]) -> tuple[str, str]:
    return f"{found['median']:.2f} \\[{found['p25']:.2f}, {found['p75']:.2f}]", f"{found['min']:.2f}"


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
        measured = {"load_before": load, "rows": compare(options.batch, options.rounds, options.calls, options.only)}
        show(measured["rows"])
    if options.record:
        print(f"written: {record('codecs', device, settings, measured)}")


if __name__ == "__main__":
    main()
