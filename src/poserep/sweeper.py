"""Hydra sweeper that runs the rows of a table, whichever launcher is chosen."""

import sys
from collections.abc import Sequence
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
from poserep.tables import cells, read_table


@dataclass
class RowSweeperConfig:
    """``override hydra/sweeper: rows``."""

    _target_: str = "hydra_plugins.poserep_rows.RowSweeper"


ConfigStore.instance().store("rows", RowSweeperConfig, group="hydra/sweeper", provider="poserep")


class RowSweeper(Sweeper):
    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Called by Hydra before `sweep`."""
        from hydra.core.plugins import Plugins

        self.config = config
        self.parser = OverridesParser.create(config_loader=hydra_context.config_loader)
        self.groups = hydra_context.config_loader.list_groups("")
        self.launcher: Launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        assert self.config is not None
        if not OmegaConf.select(self.config, "table.rows"):
            raise InputError("this configuration has no table.rows; run a file of sweeps/, or drop hydra/sweeper=rows")
        table = read_table(OmegaConf.to_container(self.config.table, resolve=False))
        given = choices([o for o in self.parser.parse_overrides(arguments) if not o.get_key_element().startswith("table.")])
        defaults = choices(self.parser.parse_overrides(list(table.arguments)))
        jobs = [list(cell.overrides) for cell in cells(table, given, self.groups, defaults)]
        failed = []
        for job, returned in zip(jobs, self.launcher.launch(jobs, initial_job_idx=0), strict=True):
            assert isinstance(returned, JobReturn)
            if returned.status != JobStatus.COMPLETED:
                failed.append(f"  {' '.join(job)}: {cause(returned)}")
        if failed:
            print(f"{len(failed)} of {len(jobs)} cells failed:\n" + "\n".join(failed), file=sys.stderr, flush=True)
            raise SystemExit(1)


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


def cause(returned: JobReturn) -> str:
    """Why a job failed, on one line."""
    try:
        return str(returned.return_value)
    except Exception as error:
        return f"{type(error).__name__}: {str(error).strip().splitlines()[-1]}"
