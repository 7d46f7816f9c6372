"""Compares jobs that are done in two ways, the package's and that of loops: answers first, then time and memory."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from rivals import Job, one_thread, side
from stopwatch import extra_memory, race, spread


def compare(
    makers: Mapping[str, Callable[[int], Job]], batch: int, rounds: int, calls: int, only: str = ""
) -> list[dict[str, Any]]:
    """Check, then time all jobs whose name contains ``only``.

    Args:
        makers: Make jobs for a batch, by name; those of jobs with a ``goal_mb`` can be pickled.
        batch: Samples.
        rounds: In each, every job's loops run once and the other side ``calls`` times.
        calls: See there.
        only: Part of a name.
    """
    one_thread()
    jobs = {name: make(batch) for name, make in makers.items() if only in name}
    memory = {
        name: {which: extra_memory(side, makers[name], which, batch) for which in ("fast", "slow")}
        for name, job in jobs.items()
        if job.goal_mb
    }
    for name, job in jobs.items():
        try:
            job.check()
        except AssertionError as error:
            raise SystemExit(f"{name}: we and the loops disagree; nothing was timed.\n{error}") from None
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
    for heading in ("job", "ours", "min", "loops", "min", "ratio", "extra MB", "goal", "met"):
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
