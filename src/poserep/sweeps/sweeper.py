"""Hydra sweeper that runs the cells of a table, whichever launcher is chosen, until all have an end."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from poserep.errors import InputError
from poserep.files import write_json
from poserep.runs import interrupt
from poserep.runs.lease import holder
from poserep.runs.plan import Cell, count, forget, remember, state_of
from poserep.sweeps.table import cells, chosen, read_table

# Seconds between looks at cells that others are running.
POLL = 5.0
# Files by which sweeps tell their cells to stop, and the days after which no cell can still have to read one.
STOP, KEPT = ".stop.", 30
# Signals that a scheduler sends when the time of a job is nearly up.
WARNINGS = ("SIGUSR1", "SIGUSR2")


@dataclass
class RowSweeperConfig:
    """``override hydra/sweeper: rows``; set with ``hydra.sweeper.retries=2`` and the like."""

    _target_: str = "hydra_plugins.poserep_rows.RowSweeper"
    retries: int = 1  # how often a cell that failed is begun again, unless its input is at fault
    fail_fast: bool = False  # begin nothing more after a cell has failed
    rows: list[str] = field(default_factory=list)  # names of rows, or patterns with *, if not all are to run


ConfigStore.instance().store("rows", RowSweeperConfig, group="hydra/sweeper", provider="poserep")


class RowSweeper(Sweeper):
    """Runs every row of ``table.rows``, times the product of the sweeps on the command line.

    All cells are composed before the first one runs. A command-line override of a key replaces that key in the rows,
    one of a group everything in the group, and rows that become equal run once. Cells that have finished are left
    alone, cells that another process has in hand are left to it, and waited for; should it die, they are taken over.
    A cell that fails does not stop the others, and is begun again ``retries`` times; the sweep then ends with exit
    status 1. SIGTERM, SIGUSR1 and SIGUSR2 let every running cell save a checkpoint and stop.

    Args:
        retries: How often a cell that failed is begun again, unless its input is at fault.
        fail_fast: Begin nothing more after a cell has failed, nor that cell again.
        rows: Names of the rows to run, or patterns as a shell has them for files; all unless given.
    """

    def __init__(self, retries: int = 1, fail_fast: bool = False, rows: Sequence[str] = ()) -> None:
        self.retries, self.fail_fast, self.rows = retries, fail_fast, rows
        self.stopped_by = ""
        # Files that are not there, by the cell that needs them.
        self.lacking: dict[str, list[Path]] = {}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Called by Hydra before `sweep`."""
        from hydra.core.plugins import Plugins

        self.config, self.hydra_context = config, hydra_context
        self.parser = OverridesParser.create(config_loader=hydra_context.config_loader)
        self.launcher: Launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Run all cells.

        Raises:
            InputError: If the configuration has no table or no such row, or a cell does not compose; nothing has run.
            SystemExit: With status 1 unless every cell has finished, 75 if the sweep was asked to stop.
        """
        assert self.config is not None
        if not OmegaConf.select(self.config, "table.rows"):
            raise InputError("this configuration has no table.rows; run a file of sweeps/, or drop hydra/sweeper=rows")
        study = Path(self.config.runs) / self.config.study
        wanted = self._cells(arguments)
        if not wanted:
            raise InputError("no row of this table is a run: all of them are quoted")
        found = self._plan(study, wanted)
        states = [state_of(study / name)["state"] for name in found]
        print(f"{study}: {len(found)} cells, {count(states)}", flush=True)
        _forget_old(study)
        file = study / f"{STOP}{uuid.uuid4().hex}"
        before = {name: signal.signal(getattr(signal, name), self._on_signal(file)) for name in interrupt.SIGNALS}
        try:
            failed = self._run(study, found, file)
            file.unlink(missing_ok=True)
        except KeyboardInterrupt:
            # The terminal tells the cells here; those elsewhere, or yet to begin, are not waited for and find the file.
            file.write_text("stop")
            self.stopped_by, failed = "Ctrl-C", {}
        finally:
            for name, handler in before.items():
                signal.signal(getattr(signal, name), handler)
        self._end(study, list(found), failed)

    def _cells(self, arguments: Sequence[str]) -> list[Cell]:
        assert self.config is not None and self.hydra_context is not None
        node = OmegaConf.to_container(self.config.table, resolve=False)
        assert isinstance(node, dict)
        table = read_table({str(key): value for key, value in node.items()})
        # The table itself is the sweep's business; Hydra has applied what was said of it.
        parsed = self.parser.parse_overrides(list(arguments))
        given = [o for o in parsed if not o.get_key_element().startswith("table.")]
        defaults = self.parser.parse_overrides(list(table.arguments))
        groups = self.hydra_context.config_loader.list_groups("")
        wanted = chosen(table, self.rows)
        # A run keeps the names of all rows that it stands for.
        return [c for c in cells(table, choices(given), groups, choices(defaults)) if wanted.intersection(c.rows)]

    def _plan(self, study: Path, wanted: Sequence[Cell]) -> dict[str, list[str]]:
        """The overrides of every cell by the name of its run directory, all composed and noted down."""
        # What a run is made of takes seconds to import, and other commands load this plugin too.
        from poserep.config import explain
        from poserep.runs.create import missing, resolved
        from poserep.runs.identity import name_of

        assert self.config is not None and self.hydra_context is not None
        found: dict[str, list[Cell]] = {}
        for cell in wanted:
            overrides = list(cell.overrides)
            try:
                cfg = self.hydra_context.config_loader.load_sweep_config(self.config, overrides)
                config = resolved(cfg, cfg.hydra.runtime.choices["backbone"])
            except InputError as error:
                raise InputError(f"row {cell.rows[0]!r}: {error}") from error
            except Exception as error:
                raise InputError(f"row {cell.rows[0]!r}: {explain(error, overrides)}") from error
            name = name_of(config)
            found.setdefault(name, []).append(cell)
            self.lacking[name] = missing(config)
        # A table that does not compose asks for nothing.
        for name, asking in found.items():
            for cell in asking:
                remember(study, name, cell)
        forget(study, {name: asking[-1] for name, asking in found.items()})
        return {name: list(asking[0].overrides) for name, asking in found.items()}

    def _run(self, study: Path, wanted: dict[str, list[str]], file: Path) -> dict[str, str]:
        """Launch until every cell has an end; the causes of those that failed."""
        failed = self._without_files(study, wanted)
        if failed and self.fail_fast:
            return failed
        tries = dict.fromkeys(wanted, 0)
        told = [f"+hydra.job.env_set.{interrupt.FILE}='{file.absolute()}'"]
        told += [f"+hydra.job.env_set.{interrupt.FAIL_FAST}='1'"] if self.fail_fast else []
        while not self.stopped_by:
            left = [n for n in wanted if n not in failed and state_of(study / n)["state"] != "finished"]
            ready = [n for n in left if holder(study / n) is None]
            if not left or file.is_file():
                break
            if not ready:
                time.sleep(POLL)
                continue
            before = {name: state_of(study / name) for name in ready}
            causes = self._launch({name: [*wanted[name], *told] for name in ready})
            after = {name: state_of(study / name) for name in ready}
            begun = {name for name in ready if after[name] != before[name] or name in causes}
            # If a launcher breaks down before any of them has begun, all of them have had their try.
            for name in begun or ready:
                state = after[name] if after[name] != before[name] else {"state": "waiting"}
                unbegun = file.is_file() and name not in begun
                if state["state"] in ("finished", "stopped") or unbegun or holder(study / name) is not None:
                    continue
                if name in causes and state["state"] != "failed":
                    # Before or after the run itself, which would have said so.
                    state = {"state": "failed", "since": time.time(), "error": causes[name]}
                    (study / name).mkdir(parents=True, exist_ok=True)
                    write_json(study / name / "status.json", state)
                tries[name] += 1
                if state.get("input") or self.fail_fast or tries[name] > self.retries:
                    failed[name] = state.get("error", "the process ended without recording a cause")
            if failed and self.fail_fast and not file.is_file():
                file.write_text("failed")
        return failed

    def _without_files(self, study: Path, wanted: Iterable[str]) -> dict[str, str]:
        """The cells that cannot begin, which is said at once and once."""
        failed = {}
        for name in wanted:
            gone = self.lacking.get(name)
            # A run that another table has finished is linked.
            if gone and holder(study / name) is None and not any(study.parent.glob(f"*/{name}/result.json")):
                failed[name] = f"there is no {', '.join(str(path) for path in gone)}"
                (study / name).mkdir(parents=True, exist_ok=True)
                state = {"state": "failed", "input": True, "since": time.time(), "error": failed[name]}
                write_json(study / name / "status.json", state)
        paths = [path for name in failed for path in self.lacking[name]]
        for path in dict.fromkeys(paths):
            print(f"missing: {path}, which {paths.count(path)} of {len(self.lacking)} cells need", file=sys.stderr)
        if failed:
            print("docs/tables.md says what they are; data.root=... says where data lie", file=sys.stderr, flush=True)
        return failed

    def _launch(self, cells: Mapping[str, Sequence[str]]) -> dict[str, str]:
        """Run cells once; what went wrong, for those whose job says so."""
        try:
            jobs = self.launcher.launch([list(overrides) for overrides in cells.values()], initial_job_idx=0)
        except Exception as error:
            # A launcher whose worker was killed; the cells' records say which of them have an end.
            print(f"{type(self.launcher).__name__}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            return {}
        causes = {name: _cause(job) for name, job in zip(cells, jobs, strict=True)}
        return {name: cause for name, cause in causes.items() if cause}

    def _on_signal(self, file: Path) -> Any:
        def stop(number: int, frame: Any) -> None:
            # Cells look for this file, on whatever machine they are.
            file.write_text("stop")
            self.stopped_by = signal.Signals(number).name

        return stop

    def _end(self, study: Path, names: Sequence[str], failed: dict[str, str]) -> None:
        states = [state_of(study / name)["state"] for name in names]
        print(f"{study}: {count(states)}", flush=True)
        if failed:
            lines = [f"  {name}: {failed[name]}" for name in names if name in failed]
            print(f"{len(failed)} of {len(names)} cells failed:\n" + "\n".join(lines), file=sys.stderr, flush=True)
        if self.stopped_by:
            print(f"stopped by {self.stopped_by}; the same command goes on", file=sys.stderr, flush=True)
            if self.stopped_by in WARNINGS and "SLURM_JOB_ID" in os.environ:
                subprocess.run(["scontrol", "requeue", os.environ["SLURM_JOB_ID"]], check=False)
            raise SystemExit(os.EX_TEMPFAIL)
        if failed or set(states) != {"finished"}:
            raise SystemExit(1)


def _forget_old(study: Path) -> None:
    for path in study.glob(f"{STOP}*"):
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > KEPT * 86400:
                path.unlink()


def _cause(job: JobReturn) -> str:
    """Why a job failed; empty if it did not, or was asked to stop."""
    if job.status != JobStatus.FAILED:
        return ""
    try:
        # Raises what the job did.
        return str(job.return_value)
    except interrupt.Stopped:
        return ""
    except Exception as error:
        return str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"


def choices(overrides: Sequence[Override]) -> dict[str, list[str]]:
    """What each key is set to in turn, as overrides."""
    found = {}
    for override in overrides:
        key = override.input_line.split("=", 1)[0] if override.input_line else override.get_key_element()
        values = (
            override.sweep_string_iterator() if override.is_sweep_override() else [override.get_value_element_as_str()]
        )
        found[key.lstrip("+~")] = [f"{key}={value}" for value in values]
    return found
