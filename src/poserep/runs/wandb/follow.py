"""Show a run on Weights & Biases while it trains, from a process of its own that reads what the run writes.

`poserep.training.loggers` starts it. It waits for the network so that training never has to.
"""

import argparse
import os
import select
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from poserep.errors import Failed, InputError, first_line
from poserep.runs.rundir import RunDir
from poserep.runs.wandb.entry import read_entry, read_history
from poserep.runs.wandb.publish import Sender, Target, answers, send, server, training_target

# Seconds between looks at the record, and between looks for a server that did not answer.
PAUSE, RETRY = 2.0, 30.0
# Seconds to end a run; the training process waits a little longer.
FOLLOW_END = 8.0


def push_command(study: Path, target: Target) -> str:
    """Return the command that shows a study's finished runs."""
    words = [study.name, *([] if str(study.parent) == "runs" else [str(study.parent)])]
    words += [f"--project {target.project}"] if target.project != "poserep" else []
    words += [f"--entity {target.entity}"] if target.entity else []
    return f"poserep wandb push {' '.join(words)}"


def push_remedy(run_dir: Path, target: Target) -> str:
    """Return which command shows the run later."""
    return f"{push_command(run_dir.parent, target)} shows the run once there is a network"


def show_finished(run_dir: RunDir, project: str, entity: str | None) -> None:
    """Show a run that had finished before it was asked for, unless it is there; trouble is a line and no error."""
    target = training_target(project, entity)
    if target.mode == "disabled":
        return
    os.environ.setdefault("WANDB_SILENT", "true")
    try:
        done = f"{'recorded for' if target.mode == 'offline' else 'sent to'} project {target.project}"
        run_id = send(run_dir, target)
        print(f"W&B: {done} as {run_id}" if run_id else f"W&B: {done} before", flush=True)
    except (Failed, InputError) as error:
        warn(f"{first_line(error)}. {push_remedy(run_dir.path, target)}")


def follow(path: Path, target: Target, over: Callable[[float], bool]) -> str:
    """Show a run until ``over(seconds)``, which waits, is true; return why it is not shown in full, else nothing."""
    if target.mode == "disabled":
        return ""
    if target.mode == "online":
        warned = False
        while not answers(server()):
            if not warned:
                warn(f"{server()} does not answer; training goes on. {push_remedy(path, target)}")
                warned = True
            if over(RETRY):
                return ""
    run_dir = RunDir(path)
    sender = Sender(run_dir, target)
    try:
        sender.open(read_entry(run_dir), FOLLOW_END)
        while not over(PAUSE):
            sender.log(_complete(read_history(run_dir)))
        entry = read_entry(run_dir)
        # A run that was stopped goes on with its last epoch.
        sender.log(entry.history if run_dir.finished else _complete(entry.history))
        sender.close(entry)
    except Exception as error:
        return first_line(error)
    return ""


def _complete(history: Mapping[int, Mapping[str, Any]]) -> dict[int, Mapping[str, Any]]:
    """Return the history without its last epoch, of which more may come."""
    return {epoch: history[epoch] for epoch in list(history)[:-1]}


def warn(text: str) -> None:
    """Print one line for the user of the training."""
    print(f"W&B: {text}", file=sys.stderr, flush=True)


def main() -> None:
    """Run the program that `poserep.training.loggers` starts."""
    parser = argparse.ArgumentParser(prog="python -m poserep.runs.wandb.follow", description=__doc__)
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--project", required=True)
    parser.add_argument("--entity")
    options = parser.parse_args()
    # Data loaders come first where processors are few.
    os.nice(5)
    os.environ.setdefault("WANDB_SILENT", "true")
    target = training_target(options.project, options.entity)
    # The training process writes to standard input when it ends, or closes it.
    if why := follow(options.run_dir, target, lambda seconds: bool(select.select([sys.stdin], [], [], seconds)[0])):
        warn(f"{why}. {push_remedy(options.run_dir, target)}")


if __name__ == "__main__":
    main()
