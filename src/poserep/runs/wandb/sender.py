"""One run on Weights & Biases, written from its record, and what has been sent of it."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from poserep.files import write_json
from poserep.runs.wandb.entry import Entry, digest
from poserep.runs.wandb.target import Target

# Seconds to begin a run on a server, and to end it.
BEGIN, END = 30.0, 120.0


class Sender:
    """One run on Weights & Biases, written from its record.

    A run there that has been written before is resumed, and of its epochs only those sent that it has not: it ignores
    steps that are not above its last one. If epochs that have been sent say something else by now, it is written anew.
    """

    def __init__(self, run_dir: Path, target: Target) -> None:
        self.run_dir, self.target = run_dir, target
        self.ledger = read_ledger(run_dir, target)
        self.run: Any = None

    def open(self, entry: Entry, finish_within: float = END) -> None:
        """Begin, or go on with, the run that the entry names.

        Raises:
            wandb.Error: If the server does not take it.
        """
        import wandb

        now = {str(epoch): digest(row) for epoch, row in entry.history.items()}
        rewritten = any(now.get(epoch) != sent for epoch, sent in self.ledger["rows"].items())
        if self.target.mode == "offline":
            # Each of them would be a segment of the run when they are synchronised.
            for folder in self.run_dir.glob(f"wandb/offline-run-*-{entry.id}"):
                shutil.rmtree(folder, ignore_errors=True)
        mode: Any = self.target.mode
        self.run = wandb.init(
            project=self.target.project,
            entity=self.target.entity,
            mode=mode,
            dir=self.run_dir,
            id=entry.id,
            name=entry.name,
            group=entry.group,
            tags=list(entry.tags),
            resume=None if rewritten else "allow",
            settings=wandb.Settings(
                init_timeout=BEGIN, finish_timeout=finish_within, finish_timeout_raises=True,
                silent=True, console="off", x_disable_stats=True, x_skip_transaction_log=self.target.mode == "online",
            ),
        )  # fmt: skip
        there = self.run.starting_step
        self.ledger["rows"] = {epoch: sent for epoch, sent in self.ledger["rows"].items() if int(epoch) < there}
        # Not given to `init`: a resumed run would keep the values that it has.
        self.run.config.update(dict(entry.config), allow_val_change=True)
        self.run.define_metric("epoch", hidden=True)
        self.run.define_metric("*", step_metric="epoch")

    def log(self, history: Mapping[int, Mapping[str, Any]]) -> None:
        """Send the epochs that have not been sent."""
        new = {epoch: row for epoch, row in history.items() if str(epoch) not in self.ledger["rows"]}
        for epoch, row in new.items():
            if epoch >= self.run.starting_step:
                self.run.log({key: value for key, value in row.items() if key != "step"}, step=epoch, commit=True)
        if new:
            self.ledger["rows"] |= {str(epoch): digest(row) for epoch, row in new.items()}
            write_json(ledger(self.run_dir), self.ledger)

    def close(self, entry: Entry) -> None:
        """End the run; one that has finished is complete with this, and the ledger says so.

        Raises:
            TimeoutError: If the server has not taken everything in the time.
        """
        # Another table may have asked for the run by now.
        self.run.config.update(dict(entry.config), allow_val_change=True)
        self.run.summary.update(dict(entry.summary))
        self.run.finish(exit_code=0 if entry.summary else 1)
        sent = self.ledger["rows"] == {str(epoch): digest(row) for epoch, row in entry.history.items()}
        write_json(ledger(self.run_dir), {**self.ledger, "record": entry.digest if entry.summary and sent else None})


def ledger(run_dir: Path) -> Path:
    """Where it is written what has been sent; a run that stands in several studies is shown in each of them."""
    return run_dir / f"published-{run_dir.absolute().parent.name}.json"


def read_ledger(run_dir: Path, target: Target) -> dict[str, Any]:
    """What has been sent of a run to a target: ``rows``, digests by epoch, and ``record``, of all if it is complete."""
    path = ledger(run_dir)
    found = json.loads(path.read_text()) if path.is_file() else {}
    if all(found.get(key) == value for key, value in asdict(target).items()):
        return dict(found)
    return {**asdict(target), "rows": {}, "record": None}
