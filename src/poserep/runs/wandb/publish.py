"""Show finished runs on Weights & Biases, from their records; what is shown already is not sent again.

Reads RUNS/STUDY (RUNS is runs/ unless given). Without a key, or with --offline, each run leaves a record for wandb sync
in its folder. --again sends what has been sent.

example: poserep wandb push simcc-table1 --project keypoints
"""

import os
from collections.abc import Sequence
from pathlib import Path

from poserep.cli import parser_of
from poserep.errors import InputError, first_line
from poserep.runs.rundir import finished_in, runs_in
from poserep.runs.wandb.entry import read_entry
from poserep.runs.wandb.sender import Sender, Target, add_target, answers, default_mode, server


def publish(study: Path, target: Target, again: bool = False) -> list[str]:
    """Send the finished runs of a study and return the ids of those sent; `InputError` if none is, or can be sent."""
    import wandb

    if target.mode not in ("online", "offline"):
        raise InputError(f"WANDB_MODE={target.mode} shows nothing; unset it, or take --offline")
    runs = list(finished_in(study))
    if not runs:
        raise InputError(f"{study} holds no finished run")
    sent: list[str] = []
    for run_dir in runs:
        entry, sender = read_entry(run_dir), Sender(run_dir, target)
        if sender.ledger["record"] == entry.digest and not again:
            continue
        if target.mode == "online" and not sent and not answers(server()):
            raise InputError(f"{server()} does not answer; try again later, or take --offline")
        try:
            sender.open(entry)
            sender.log(entry.history)
            sender.close(entry)
        except (wandb.Error, TimeoutError, OSError) as error:
            raise InputError(
                f"{entry.id}: {first_line(error)}; {len(sent)} runs are there, the same command goes on with the others"
            ) from error
        sent.append(entry.id)
        print(f"{'recorded' if target.mode == 'offline' else 'sent'}: {entry.id} ({run_dir.name})", flush=True)
    return sent


def main(arguments: Sequence[str]) -> None:
    """Run the command ``poserep wandb push``."""
    parser = parser_of("wandb push", __doc__)
    add_target(parser)
    parser.add_argument("--offline", action="store_true", help="record, to be sent later")
    parser.add_argument("--again", action="store_true", help="send what has been sent, too")
    options = parser.parse_args(arguments)
    os.environ.setdefault("WANDB_SILENT", "true")
    study = options.runs / options.study
    target = Target(options.project, options.entity, "offline" if options.offline else default_mode())
    sent, finished = publish(study, target, options.again), [run_dir.finished for run_dir in runs_in(study)]
    done = "recorded" if target.mode == "offline" else "sent"
    print(f"{len(sent)} {done}, {sum(finished) - len(sent)} were there, {finished.count(False)} not finished")
    if sent and target.mode == "offline":
        print(f"no network was used; to send the records: wandb sync {study}/*/wandb/offline-run-*")
