"""Hydra sweeper that runs the cells of a table with whichever launcher is chosen, until each has ended."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from poserep.config import composable
from poserep.errors import Failed, InputError, Stopped
from poserep.overrides import explain, key_of, quoted
from poserep.runs import stop_request
from poserep.runs.create import create_run, missing_files, resolved
from poserep.runs.identity import name_of
from poserep.runs.lease import holder
from poserep.runs.plan import Cell, count_states, forget, remember
from poserep.runs.rundir import RunDir
from poserep.sweeps.cell import WORKER, by_cause, fail_without_files, name_push_command, run_directory
from poserep.sweeps.table import cells_of, chosen, read_table

# Seconds between two looks at cells that other processes run.
_POLL = 5.0
# Prefix of the files by which sweeps tell their cells to stop, and days after which no cell can still have to read one.
STOP, KEEP_DAYS = ".stop.", 30
# Signals that a scheduler sends shortly before a job's time is up.
TIME_IS_UP = ("SIGUSR1", "SIGUSR2")


@dataclass
class RowSweeperConfig:
    """Options of ``override hydra/sweeper: rows``, set with ``hydra.sweeper.retries=2`` and the like."""

    _target_: str = "hydra_plugins.poserep_sweeper.RowSweeper"
    retries: int = 1  # how often a cell that failed is run again, unless its input is at fault
    fail_fast: bool = False  # begin nothing more after a cell has failed
    rows: list[str] = field(default_factory=list)  # names of rows, or patterns with *, if not all are to run
    worker: str = WORKER  # the module that runs a directory, named on its command line


ConfigStore.instance().store("rows", RowSweeperConfig, group="hydra/sweeper", provider="poserep")


class RowSweeper(Sweeper):
    """Runs every row of ``table.rows``, times the product of the sweeps on the command line.

    All cells are composed, and their run directories created, before the first one runs; launchers are handed the
    directories. A command-line override replaces that key in the rows, one of a group everything in the group, and rows
    that become equal run once. Cells that have finished are left alone; cells that another process runs are waited for,
    and taken over should it die. A cell that fails does not stop the others and is run again ``retries`` times; the
    sweep then fails. SIGTERM, SIGUSR1 and SIGUSR2 let every running cell save a checkpoint and stop. The options are
    those of `RowSweeperConfig`.
    """

    config: DictConfig
    hydra_context: HydraContext

    def __init__(self, retries: int, fail_fast: bool, rows: Sequence[str], worker: str) -> None:
        self.retries, self.fail_fast, self.rows, self.worker = retries, fail_fast, rows, worker
        self.stopped_by = ""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Prepare for `sweep`; called by Hydra. Its launchers get a task of ours, which runs a directory."""
        self.config, self.hydra_context = config, hydra_context
        self.launcher: Launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=run_directory, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Run all cells.

        No table, no such row, or a cell that does not compose is an `InputError`; nothing has run then. Raises `Failed`
        if a cell has not finished, `Stopped` if the sweep was asked to stop.
        """
        if not OmegaConf.select(self.config, "table.rows"):
            raise InputError("this configuration has no table.rows; run a file of sweeps/, or drop hydra/sweeper=rows")
        study = Path(self.config.runs) / self.config.study
        cells = self._cells(arguments)
        if not cells:
            raise InputError("no row of this table is a run: all of them are quoted")
        configs = self._compose(cells)
        run_dirs = self._create(study, cells, configs)
        missing = {name_of(config): missing_files(config) for config in configs}
        print(f"{study}: {len(run_dirs)} cells, {count_states(_states(run_dirs))}", flush=True)
        name_push_command(study, run_dirs, configs[0]["logger"] or {})
        for old in study.glob(f"{STOP}*"):
            with suppress(FileNotFoundError):
                if time.time() - old.stat().st_mtime > KEEP_DAYS * 86400:
                    old.unlink()
        stop_file = study / f"{STOP}{uuid.uuid4().hex}"

        def stop(number: int, frame: Any) -> None:
            # Cells look for this file, on whatever machine they run.
            stop_file.write_text("stop")
            self.stopped_by = signal.Signals(number).name

        with stop_request.handled_by(stop):
            try:
                failed = fail_without_files(run_dirs, missing)
                if not (failed and self.fail_fast):
                    failed = self._run(run_dirs, failed, stop_file)
                stop_file.unlink(missing_ok=True)
            except KeyboardInterrupt:
                # The terminal interrupts the cells here. Those elsewhere, or yet to begin, find the file.
                stop_file.write_text("stop")
                self.stopped_by, failed = "Ctrl-C", {}
        self._end(study, run_dirs, failed)

    def _cells(self, arguments: Sequence[str]) -> list[Cell]:
        node: Any = OmegaConf.to_container(self.config.table, resolve=False)
        table = read_table(node)
        # Hydra has applied overrides of the table itself.
        given = [override for override in arguments if not key_of(override).startswith("table.")]
        rows = chosen(table, self.rows)
        # A run keeps the names of all rows that it stands for.
        return [cell for cell in cells_of(table, given) if rows.intersection(cell.rows)]

    def _compose(self, cells: Sequence[Cell]) -> list[dict[str, Any]]:
        """Return the resolved configuration of each cell."""
        # Here, as Hydra imports this module for every command.
        from poserep.data.split_pictures import picture_hasher
        from poserep.sweeps.composition import SharedComposition

        compose, hashes, configs = (
            SharedComposition(self.hydra_context.config_loader, self.config),
            picture_hasher(),
            [],
        )
        for cell in cells:
            overrides = list(cell.overrides)
            try:
                cfg, backbone = compose(composable(overrides))
                config = resolved(cfg, backbone)
                config["contents"] |= hashes(cfg)
                configs.append(config)
            except Exception as error:
                raise InputError(f"row {cell.rows[0]!r}: {explain(error, overrides)}") from error
        return configs

    def _create(self, study: Path, cells: Sequence[Cell], configs: Sequence[dict[str, Any]]) -> list[RunDir]:
        """Create the run directory of each different configuration and record what the table asks for."""
        run_dirs: dict[str, RunDir] = {}
        latest = {}
        for cell, config in zip(cells, configs, strict=True):
            run_dir = create_run(config)
            run_dirs[run_dir.name], latest[run_dir.name] = run_dir, cell
            remember(study, run_dir.name, cell)
        forget(study, latest)
        return list(run_dirs.values())

    def _run(self, run_dirs: Sequence[RunDir], failed: dict[str, str], stop_file: Path) -> dict[str, str]:
        """Launch cells until each has ended; return the causes of those that failed, ``failed`` included."""
        failed, tries = dict(failed), {run_dir.name: 0 for run_dir in run_dirs}
        while not self.stopped_by:
            left = [run for run in run_dirs if run.name not in failed and not run.finished]
            ready = [run for run in left if holder(run.path) is None]
            if not left or stop_file.is_file():
                break
            if not ready:
                time.sleep(_POLL)
                continue
            before = {run.name: run.status() for run in ready}
            causes = self._launch(ready, stop_file)
            after = {run.name: run.status() for run in ready}
            begun = [run for run in ready if after[run.name] != before[run.name] or run.name in causes]
            # A launcher that breaks down before any cell has begun has used up one try of all cells.
            for run in begun or ready:
                status = after[run.name] if after[run.name] != before[run.name] else {"state": "waiting"}
                not_begun = stop_file.is_file() and run not in begun
                if status["state"] in ("finished", "stopped") or not_begun or holder(run.path) is not None:
                    continue
                if run.name in causes and status["state"] != "failed":
                    # It failed before or after the run itself, which records its own failure.
                    run.write_status("failed", error=causes[run.name])
                    status = run.status()
                tries[run.name] += 1
                if status.get("input") or self.fail_fast or tries[run.name] > self.retries:
                    failed[run.name] = status.get("error", "the process ended without reporting a cause")
            if failed and self.fail_fast and not stop_file.is_file():
                stop_file.write_text("failed")
        return failed

    def _launch(self, run_dirs: Sequence[RunDir], stop_file: Path) -> dict[str, str]:
        """Run cells once; return the causes of those whose job failed."""
        environment = [f"+hydra.job.env_set.{stop_request.STOP_FILE}='{stop_file.absolute()}'"]
        environment += [f"+hydra.job.env_set.{stop_request.FAIL_FAST}='1'"] if self.fail_fast else []
        overrides = [
            [f"+directory={quoted(str(run.path))}", f"+worker={self.worker}", *environment] for run in run_dirs
        ]
        try:
            jobs = self.launcher.launch(overrides, initial_job_idx=0)
        except Exception as error:
            # A launcher whose worker was killed: the records of the cells say which of them have ended.
            print(f"{type(self.launcher).__name__}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            return {}
        return {run.name: cause for run, job in zip(run_dirs, jobs, strict=True) if (cause := _cause(job))}

    def _end(self, study: Path, run_dirs: Sequence[RunDir], failed: dict[str, str]) -> None:
        states = _states(run_dirs)
        print(f"{study}: {count_states(states)}", flush=True)
        summary = "\n".join([f"{len(failed)} of {len(run_dirs)} cells failed:", *by_cause(run_dirs, failed)])
        if self.stopped_by:
            if failed:
                print(summary, file=sys.stderr, flush=True)
            if self.stopped_by in TIME_IS_UP and "SLURM_JOB_ID" in os.environ:
                subprocess.run(["scontrol", "requeue", os.environ["SLURM_JOB_ID"]], check=False)
            raise Stopped(self.stopped_by)
        if failed:
            raise Failed(summary)
        if set(states) != {"finished"}:
            raise Failed(f"not all cells have finished; poserep sweep status {study.name} shows them")


def _states(run_dirs: Iterable[RunDir]) -> list[str]:
    return [run_dir.status()["state"] for run_dir in run_dirs]


def _cause(job: JobReturn) -> str:
    """Return why a job failed around its run, which records its own failures; nothing if it did not."""
    if job.status != JobStatus.FAILED:
        return ""
    try:
        # This property raises what the job raised.
        return str(job.return_value)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
