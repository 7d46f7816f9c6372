"""Show a run on Weights & Biases while it trains, from a process of its own that reads what the run writes.

`poserep.training.loggers` starts it. Training never waits for it: it knows of the network, training does not.
"""

import argparse
import os
import select
import sys
from collections.abc import Callable
from pathlib import Path

from poserep.runs.rundir import RunDir
from poserep.runs.wandb.entry import read_entry
from poserep.runs.wandb.sender import Sender
from poserep.runs.wandb.target import Target, answers, default_mode, first_line, server

# Seconds between looks at the record, and between looks for a server that did not answer.
PAUSE, RETRY = 2.0, 30.0
# Seconds to end a run; whoever trains waits a little longer.
END = 8.0


def remedy(run_dir: Path) -> str:
    """What shows the run later."""
    where = "" if str(run_dir.parent.parent) == "runs" else f" {run_dir.parent.parent}"
    return f"poserep wandb push {run_dir.parent.name}{where} shows the run once there is a network"


def follow(run_dir: Path, target: Target, over: Callable[[float], bool]) -> str:
    """Show a run until it is over.

    Args:
        run_dir: Of the run.
        target: Where to show it.
        over: Waits for so many seconds at most; whether training has ended.

    Returns:
        Why it is not shown in full; empty if it is.
    """
    if target.mode == "disabled":
        return ""
    if target.mode == "online":
        told = False
        while not answers(server()):
            if not told:
                say(f"{server()} does not answer; training goes on. {remedy(run_dir)}")
                told = True
            if over(RETRY):
                return ""
    sender = Sender(run_dir, target)
    try:
        sender.open(read_entry(run_dir), END)
        while not over(PAUSE):
            # What the last epoch says may not be all of it.
            sender.log({row["epoch"]: dict(sorted(row.items())) for row in RunDir(run_dir).curve()[:-1]})
        entry = read_entry(run_dir)
        # Nor is it all if the run was stopped: it goes on from there.
        shown = list(entry.history) if RunDir(run_dir).finished else list(entry.history)[:-1]
        sender.log({epoch: entry.history[epoch] for epoch in shown})
        sender.close(entry)
    except Exception as error:
        return first_line(error)
    return ""


def say(text: str) -> None:
    """One line, for whoever looks at the training."""
    print(f"W&B: {text}", file=sys.stderr, flush=True)


def told_to_end(seconds: float) -> bool:
    """Whether whoever trains has said so on standard input, or is no more."""
    ready, _, _ = select.select([sys.stdin], [], [], seconds)
    return bool(ready)


def main() -> None:
    """Command line; for `poserep.training.loggers`."""
    parser = argparse.ArgumentParser(prog="python -m poserep.runs.wandb.follow", description=__doc__)
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--project", required=True)
    parser.add_argument("--entity")
    given = parser.parse_args()
    # Loaders come first where processors are few.
    os.nice(5)
    os.environ.setdefault("WANDB_SILENT", "true")
    why = follow(given.run_dir, Target(given.project, given.entity, default_mode()), told_to_end)
    if why:
        say(f"{why}. {remedy(given.run_dir)}")


if __name__ == "__main__":
    main()
