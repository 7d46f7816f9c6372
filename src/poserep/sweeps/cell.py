"""Running one cell of a sweep: a run directory, in a process of its own."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from poserep.config import DictConfig
from poserep.errors import Failed, Stopped, message
from poserep.runs.devices import claimed_gpus
from poserep.runs.launch import launch
from poserep.runs.lease import by_whom, holder
from poserep.runs.rundir import RunDir
from poserep.runs.stop_request import end_sweep_after_failure, sweep_is_ending
from poserep.runs.wandb.follow import push_command
from poserep.runs.wandb.publish import training_target

# The module that trains and evaluates a run directory, named on its command line.
WORKER = "poserep.training.fit"


def run_directory(cfg: DictConfig) -> None:
    """Run the directory that ``cfg.directory`` names: the task that a sweep hands to Hydra's launchers.

    The run's record, which the sweep reads, says how it ended; Hydra would print a report of its own for an exception.
    """
    with suppress(Failed, Stopped):
        run_cell(RunDir(cfg.directory), cfg.worker)


def run_cell(run_dir: RunDir, worker: str = WORKER) -> None:
    """Run a directory in a process of its own, on GPUs that no other cell on this machine has.

    A run that has finished, here or for another table, and one that another process is working on are left alone.
    Nothing is begun if the sweep of this process is ending. Raises `Failed` if the run failed, `Stopped` if it was
    asked to stop.
    """
    if sweep_is_ending():
        return
    twin = None if (finished := run_dir.finished) else link_twin(run_dir)
    if finished or twin:
        print(f"finished before{f', as {twin}' if twin else ''}: {run_dir}", flush=True)
        return
    if other := holder(run_dir.path):
        print(f"left {by_whom(other)}: {run_dir}", flush=True)
        return
    print(f"run: {run_dir}", flush=True)
    trainer = run_dir.config()["trainer"]
    devices = trainer["devices"]
    try:
        with claimed_gpus(devices if trainer["accelerator"] == "gpu" else 0) as gpus:
            launch(worker, [str(run_dir)], devices, gpus or None, saves=True)
    except Failed as error:
        # Two launchers may begin a cell at the same moment; one of them gets it.
        other = holder(run_dir.path)
        if other or run_dir.finished:
            print(f"left {by_whom(other)}: {run_dir}", flush=True)
            return
        ending = how_it_ended(run_dir, error)
        if isinstance(ending, Failed):
            end_sweep_after_failure()
        raise ending from error


def how_it_ended(run_dir: RunDir, error: Failed) -> Failed | Stopped:
    """Return the exception that says how a run ended, from what it recorded; ``error`` is recorded if it did not."""
    status = run_dir.status()
    if status["state"] == "stopped":
        return Stopped(status["why"])
    if status["state"] in ("running", "waiting") and holder(run_dir.path) is None:
        # What kills a process keeps it from recording why.
        with suppress(Failed):
            run_dir.write_status("failed", error=message(error))
        return Failed(message(error))
    return Failed(status.get("error") or message(error))


def link_twin(run_dir: RunDir) -> RunDir | None:
    """Replace a directory that has not begun by a link to the same run, finished for another table, and return that."""
    twin = run_dir.twin
    if twin is None or [path.name for path in run_dir.path.iterdir()] != ["config.yaml"]:
        return None
    run_dir.config_file.unlink()
    run_dir.path.rmdir()
    run_dir.path.symlink_to(Path("..", twin.path.parent.name, twin.name), target_is_directory=True)
    return twin


def fail_without_files(run_dirs: Sequence[RunDir], missing: Mapping[str, Sequence[Path]]) -> dict[str, str]:
    """Record the cells that cannot begin for lack of files as failed, say so once per file, and return the causes."""
    failed = {}
    for run_dir in run_dirs:
        # A run that another table has finished needs no files: it is linked.
        if missing[run_dir.name] and run_dir.twin is None and holder(run_dir.path) is None:
            first, *others = missing[run_dir.name]
            more = (
                f", and {len(others)} more of its files {'are' if len(others) > 1 else 'is'} missing" if others else ""
            )
            failed[run_dir.name] = f"there is no {first}{more}"
            run_dir.write_status("failed", input=True, error=failed[run_dir.name])
    paths = [path for name in failed for path in missing[name]]
    for path in dict.fromkeys(paths):
        print(f"missing: {path}, which {paths.count(path)} of {len(run_dirs)} cells need", file=sys.stderr)
    if failed:
        print("docs/tables.md says what they are; data.root=... says where data lie", file=sys.stderr, flush=True)
    return failed


def by_cause(run_dirs: Sequence[RunDir], failed: Mapping[str, str]) -> list[str]:
    """Return a line for each cause of failures, with the first of the cells that share it and how many more do."""
    alike: dict[str, list[str]] = {}
    for run_dir in (run_dir for run_dir in run_dirs if run_dir.name in failed):
        alike.setdefault(failed[run_dir.name], []).append(run_dir.name)
    more = {cause: f" and {len(names) - 1} more" if len(names) > 1 else "" for cause, names in alike.items()}
    return [f"  {names[0]}{more[cause]}: {cause}" for cause, names in alike.items()]


def name_push_command(study: Path, run_dirs: Sequence[RunDir], logger: Mapping[str, Any]) -> None:
    """Print which command shows runs that had finished before on W&B, if it is to show the table."""
    if "project" in logger and any(run_dir.finished for run_dir in run_dirs):
        command = push_command(study, training_target(logger["project"], logger.get("entity")))
        print(f"W&B: runs that had finished before are shown by {command}", flush=True)
