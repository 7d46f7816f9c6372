"""Show finished runs on Weights & Biases, from their records; what is shown already is not sent again.

Reads RUNS/STUDY (RUNS is runs/ unless given). Without a key, or with --offline, each run leaves a record for wandb sync
in its folder. --again sends what has been sent.

example: poserep wandb push simcc-table1 --project keypoints
"""

import argparse
import json
import os
import shutil
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from netrc import NetrcParseError, netrc
from pathlib import Path
from typing import Any

from poserep.cli import parser_of
from poserep.errors import Failed, InputError, first_line
from poserep.files import write_json
from poserep.runs.rundir import RunDir, finished_in, runs_in
from poserep.runs.wandb.entry import WandbEntry, digest, read_entry

# Set by an agent of a W&B sweep for the run that it starts, beside the run's id, project and owner.
SWEEP = "WANDB_SWEEP_ID"
# Seconds within which a server must answer, begin a run, and end it.
_ANSWER, _BEGIN, _END = 3.0, 30.0, 120.0


@dataclass(frozen=True)
class Target:
    """Where runs are shown: a project of W&B, its owner (None: the key's), ``online`` or ``offline``.

    ``id`` is that of the only run which is shown there, if an agent of W&B has given it one.
    """

    project: str
    entity: str | None = None
    mode: str = "online"
    id: str | None = None


def training_target(project: str, entity: str | None) -> Target:
    """Return where a training is shown: where the agent of W&B that has started it says, or else as configured."""
    if SWEEP not in os.environ:
        return Target(project, entity, default_mode())
    # W&B's own client goes by the environment then, and ignores what it is given.
    given = (os.environ.get(f"WANDB_{name}") for name in ("PROJECT", "ENTITY", "RUN_ID"))
    own_project, own_entity, run_id = given
    return Target(own_project or project, own_entity or entity, default_mode(), run_id)


def default_mode() -> str:
    """Return what WANDB_MODE says; otherwise ``online`` if there is a key and ``offline`` if not."""
    mode = os.environ.get("WANDB_MODE", "")
    return {"dryrun": "offline"}.get(mode, mode) or ("online" if has_key() else "offline")


def has_key() -> bool:
    """Return whether the environment or the user's netrc file holds a key."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    own = urllib.parse.urlparse(os.environ.get("WANDB_BASE_URL", "")).hostname
    try:
        return any("wandb" in host or host == own for host in netrc(os.environ.get("NETRC")).hosts)
    except (OSError, NetrcParseError):
        return False


def server() -> str:
    """Return the address of the server."""
    import wandb

    return str(wandb.setup().settings.base_url)


def answers(url: str, seconds: float = _ANSWER) -> bool:
    """Return whether a server answers at all within the time."""
    try:
        urllib.request.urlopen(url, timeout=seconds).close()
    except urllib.error.HTTPError:
        return True
    except (OSError, ValueError):
        return False
    return True


def add_target(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say which study is shown, and where."""
    parser.add_argument("study", metavar="STUDY", help="folder of runs")
    parser.add_argument("runs", nargs="?", default="runs", type=Path, metavar="RUNS", help="its folder (runs)")
    project, entity = os.environ.get("WANDB_PROJECT") or "poserep", os.environ.get("WANDB_ENTITY") or None
    parser.add_argument("--project", default=project, help="project of W&B (WANDB_PROJECT, or else poserep)")
    parser.add_argument("--entity", default=entity, help="its owner (WANDB_ENTITY, or else the owner of the key)")


class Sender:
    """One run on Weights & Biases, written from its record.

    A run that W&B has already is resumed, and only epochs that it lacks are sent: it ignores steps that are not above
    its last one. If epochs that have been sent have changed since, the run is written anew. The ``ledger`` holds what
    the target has been sent: ``rows``, digests by epoch, and ``record``, that of the whole entry once it is complete.
    """

    def __init__(self, run_dir: RunDir, target: Target) -> None:
        self.run_dir, self.target = run_dir, target
        self.file = ledger_file(run_dir)
        kept = json.loads(self.file.read_text()) if self.file.is_file() else {}
        known = all(kept.get(key) == value for key, value in asdict(target).items())
        self.ledger: dict[str, Any] = kept if known else {**asdict(target), "rows": {}, "record": None}
        self.run: Any = None

    def open(self, entry: WandbEntry, finish_within: float = _END) -> None:
        """Begin, or resume, the run that the entry names; raises `wandb.Error` if the server does not take it."""
        import wandb

        run_id = self.target.id or entry.id
        now = _digests(entry.history)
        rewritten = any(now.get(epoch) != sent for epoch, sent in self.ledger["rows"].items())
        if self.target.mode == "offline":
            # Each of them would be a segment of the run when they are synchronised.
            for folder in self.run_dir.path.glob(f"wandb/offline-run-*-{run_id}"):
                shutil.rmtree(folder, ignore_errors=True)
        target: dict[str, Any] = {**asdict(self.target), "id": run_id}
        self.run = wandb.init(
            **target,
            dir=self.run_dir.path,
            name=entry.name,
            group=entry.group,
            tags=list(entry.tags),
            resume=None if rewritten else "allow",
            settings=wandb.Settings(
                init_timeout=_BEGIN, finish_timeout=finish_within, finish_timeout_raises=True,
                silent=True, console="off", x_disable_stats=True, x_skip_transaction_log=self.target.mode == "online",
            ),
        )  # fmt: skip
        there = self.run.starting_step
        self.ledger["rows"] = {epoch: sent for epoch, sent in self.ledger["rows"].items() if int(epoch) < there}
        # A resumed run ignores the configuration that `wandb.init` is given.
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
            self.ledger["rows"] |= _digests(new)
            write_json(self.file, self.ledger)

    def close(self, entry: WandbEntry) -> None:
        """End the run; the ledger records a finished one as complete. Raises `TimeoutError` if the server is slow."""
        # Another table may have asked for the run meanwhile.
        self.run.config.update(dict(entry.config), allow_val_change=True)
        self.run.summary.update(dict(entry.summary))
        self.run.finish(exit_code=0 if entry.summary else 1)
        complete = entry.summary and self.ledger["rows"] == _digests(entry.history)
        write_json(self.file, {**self.ledger, "record": digest(asdict(entry)) if complete else None})


def _digests(history: Mapping[int, Mapping[str, Any]]) -> dict[str, str]:
    return {str(epoch): digest(row) for epoch, row in history.items()}


def ledger_file(run_dir: RunDir) -> Path:
    """Return the file that records what has been sent; a run of several studies has one for each."""
    return run_dir / f"published-{run_dir.path.absolute().parent.name}.json"


def send(run_dir: RunDir, target: Target, again: bool = False) -> str:
    """Send a finished run and return its id; nothing and an empty text if the target has all of it already.

    A server that does not answer is an `InputError`; others of ``wandb`` are `Failed`.
    """
    import wandb

    entry, sender = read_entry(run_dir), Sender(run_dir, target)
    if sender.ledger["record"] == digest(asdict(entry)) and not again:
        return ""
    if target.mode == "online" and not answers(server()):
        raise InputError(f"{server()} does not answer")
    run_id = target.id or entry.id
    try:
        sender.open(entry)
        sender.log(entry.history)
        sender.close(entry)
    except (wandb.Error, TimeoutError, OSError) as error:
        raise Failed(f"{run_id}: {first_line(error)}") from error
    return run_id


def publish(study: Path, target: Target, again: bool = False) -> list[str]:
    """Send a study's finished runs and return the ids of those sent; `InputError` before the first, `Failed` after."""
    if target.mode not in ("online", "offline"):
        raise InputError(f"WANDB_MODE={target.mode} shows nothing; unset it, or take --offline")
    runs = list(finished_in(study))
    if not runs:
        raise InputError(f"{study} holds no finished run")
    sent: list[str] = []
    for run_dir in runs:
        try:
            run_id = send(run_dir, target, again)
        except (Failed, InputError) as error:
            if isinstance(error, InputError) and not sent:
                raise InputError(f"{error}; try again later, or take --offline") from error
            done = f"{len(sent)} runs are there, the same command goes on with the others"
            raise Failed(f"{error}; {done}") from error
        if run_id:
            sent.append(run_id)
            print(f"{'recorded' if target.mode == 'offline' else 'sent'}: {run_id} ({run_dir.name})", flush=True)
    return sent


def main(arguments: Sequence[str]) -> None:
    """Run the command ``poserep wandb push``."""
    parser = parser_of("wandb push", __doc__)
    add_target(parser)
    parser.add_argument("--offline", action="store_true", help="leave records for wandb sync in place of sending")
    parser.add_argument("--again", action="store_true", help="send runs again that have been sent")
    options = parser.parse_args(arguments)
    os.environ.setdefault("WANDB_SILENT", "true")
    study = options.runs / options.study
    target = Target(options.project, options.entity, "offline" if options.offline else default_mode())
    sent, finished = publish(study, target, options.again), [run_dir.finished for run_dir in runs_in(study)]
    done = "recorded" if target.mode == "offline" else "sent"
    already, unfinished = sum(finished) - len(sent), finished.count(False)
    print(f"{len(sent)} {done}, {already} were {done} before, {unfinished} have not finished")
    if sent and target.mode == "offline":
        print(f"no network was used; to send the records: wandb sync {study}/*/wandb/offline-run-*")
