"""Show finished runs on Weights & Biases, from their records; what is shown already is not sent again.

``python -m poserep.publish STUDY [RUNS] [--project P] [--entity E] [--offline] [--again]``

Reads RUNS/STUDY (RUNS is ``runs`` unless given). Without a key, or with --offline, each run leaves a record for
``wandb sync`` in its folder. --again sends what has been sent.
"""

import argparse
import json
import os
import shutil
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from netrc import NetrcParseError, netrc
from pathlib import Path
from typing import Any

from poserep.entry import Entry, digest, read_entry
from poserep.errors import InputError
from poserep.results import finished, write_json

# Seconds: to see whether a server answers at all, to begin a run there, and to end it.
ANSWER, BEGIN, END = 3.0, 30.0, 120.0


@dataclass(frozen=True)
class Target:
    """Where runs are shown.

    Attributes:
        project: Of Weights & Biases.
        entity: Who owns it; None: the key's.
        mode: ``online`` or ``offline``.
    """

    project: str
    entity: str | None = None
    mode: str = "online"


def default_mode() -> str:
    """What WANDB_MODE says; otherwise ``online`` if there is a key and ``offline`` if not."""
    said = {"dryrun": "offline"}.get(mode := os.environ.get("WANDB_MODE", ""), mode)
    return said or ("online" if has_key() else "offline")


def has_key() -> bool:
    """Whether the environment or the user's netrc file holds a key."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    own = urllib.parse.urlparse(os.environ.get("WANDB_BASE_URL", "")).hostname
    try:
        return any("wandb" in host or host == own for host in netrc(os.environ.get("NETRC")).hosts)
    except (OSError, NetrcParseError):
        return False


def server() -> str:
    """Address of the server."""
    import wandb

    return str(wandb.setup().settings.base_url)


def answers(url: str, seconds: float = ANSWER) -> bool:
    """Whether there is a server that says anything at all within the time."""
    try:
        urllib.request.urlopen(url, timeout=seconds).close()
    except urllib.error.HTTPError:
        return True
    except (OSError, ValueError):
        return False
    return True


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


def publish(study: Path, target: Target, again: bool = False) -> list[str]:
    """Send the finished runs of a study; ids of those that were sent.

    Raises:
        InputError: If there is none, or the server does not take them.
    """
    import wandb

    if target.mode not in ("online", "offline"):
        raise InputError(f"WANDB_MODE={target.mode} shows nothing; unset it, or take --offline")
    runs = [path.parent for path in sorted(study.glob("*/result.json"))]
    if not runs:
        raise InputError(f"{study} holds no finished run")
    sent: list[str] = []
    for run_dir in runs:
        entry = read_entry(run_dir)
        if read_ledger(run_dir, target)["record"] == entry.digest and not again:
            continue
        if target.mode == "online" and not sent and not answers(server()):
            raise InputError(f"{server()} does not answer; try again later, or take --offline")
        sender = Sender(run_dir, target)
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


def first_line(error: Exception) -> str:
    """What an error of W&B's package says, which may be a page long or nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def waiting(study: Path) -> int:
    """How many runs of a study have not finished."""
    return sum(not finished(path.parent) for path in study.glob("*/config.yaml"))


def arguments(parser: argparse.ArgumentParser) -> None:
    """Those that say which study, and where it is shown."""
    parser.add_argument("study")
    parser.add_argument("runs", nargs="?", default="runs", type=Path)
    parser.add_argument("--project", default="poserep")
    parser.add_argument("--entity")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m poserep.publish", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments(parser)
    parser.add_argument("--offline", action="store_true")
    parser.add_argument("--again", action="store_true")
    given = parser.parse_args()
    os.environ.setdefault("WANDB_SILENT", "true")
    study = given.runs / given.study
    target = Target(given.project, given.entity, "offline" if given.offline else default_mode())
    try:
        sent = publish(study, target, given.again)
    except InputError as error:
        sys.exit(f"error: {error}")
    there = len(list(study.glob("*/result.json"))) - len(sent)
    print(f"{len(sent)} sent, {there} were there, {waiting(study)} not finished")
    if sent and target.mode == "offline":
        print(f"no network was used; to send the records: wandb sync {study}/*/wandb/offline-run-*")


if __name__ == "__main__":
    main()
