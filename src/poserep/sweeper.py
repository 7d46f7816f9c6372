"""Hydra sweeper that runs the rows of a table, whichever launcher is chosen."""

import itertools
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from poserep.errors import InputError


@dataclass
class RowSweeperConfig:
    """``override hydra/sweeper: rows``."""

    _target_: str = "hydra_plugins.poserep_rows.RowSweeper"


ConfigStore.instance().store("rows", RowSweeperConfig, group="hydra/sweeper", provider="poserep")


class RowSweeper(Sweeper):
    """Runs every row of ``table.rows``, times the product of the sweeps on the command line.

    A command-line override of a key replaces that key in the rows, and rows that become equal run once. A job that
    fails does not stop the others; the sweep then ends with exit status 1. Finished cells are skipped by the job.
    """

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Called by Hydra before `sweep`."""
        from hydra.core.plugins import Plugins

        self.config = config
        self.parser = OverridesParser.create(config_loader=hydra_context.config_loader)
        self.launcher: Launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Run all cells.

        Raises:
            InputError: If the configuration has no table.
            SystemExit: With status 1 if a cell failed.
        """
        assert self.config is not None
        if not OmegaConf.select(self.config, "table.rows"):
            raise InputError("this configuration has no table.rows; run a file of sweeps/, or drop hydra/sweeper=rows")
        jobs = list(cells(self.config.table.rows, self.parser.parse_overrides(arguments)))
        failed = []
        for job, returned in zip(jobs, self.launcher.launch(jobs, initial_job_idx=0), strict=True):
            assert isinstance(returned, JobReturn)
            if returned.status != JobStatus.COMPLETED:
                failed.append(f"  {' '.join(job)}: {cause(returned)}")
        if failed:
            print(f"{len(failed)} of {len(jobs)} cells failed:\n" + "\n".join(failed), file=sys.stderr, flush=True)
            raise SystemExit(1)


def cells(rows: Sequence[DictConfig], overrides: Sequence[Override]) -> Iterator[list[str]]:
    """The overrides of every cell, without repetitions."""
    choices: list[list[str]] = []
    for override in overrides:
        key = override.get_key_element()
        values = (
            override.sweep_string_iterator() if override.is_sweep_override() else [override.get_value_element_as_str()]
        )
        choices.append([f"{key}={value}" for value in values])
    given = {override.get_key_element() for override in overrides}
    seen = set()
    for row in rows:
        own = [o for o in row.overrides if o.split("=")[0] not in given]
        for chosen in itertools.product(*choices):
            job = (*own, *chosen)
            if job not in seen:
                seen.add(job)
                yield list(job)


def cause(returned: JobReturn) -> str:
    """Why a job failed, on one line."""
    try:
        return str(returned.return_value)
    except Exception as error:
        return f"{type(error).__name__}: {str(error).strip().splitlines()[-1]}"
