"""A command line that Hydra composes: one run, several with ``-m``, or those that a sweeper asks for."""

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any
from unittest.mock import patch

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from hydra.types import RunMode

from poserep.cli import take_origin
from poserep.config import DictConfig, composable, origin_of
from poserep.errors import InputError
from poserep.overrides import ERRORS, explain, refuse_options, understood


def run_application(program: str, arguments: Sequence[str], task: Callable[[DictConfig, str, bool, str], Any]) -> None:
    """Let Hydra compose a command line, or several with ``-m`` or by a sweeper, and call a task with each.

    The task gets the configuration, the chosen backbone, whether it is one of several, and the direction of a search or
    ""; ``program`` is the name in Hydra's own help. A command line that does not compose is an `InputError`.
    """
    given, words = take_origin(arguments)
    refuse_options(words, ("--config-dir", "--config-name"))
    folder, paths, own = origin_of(given.config_dir)
    # Hydra takes overrides before options alone.
    words = sorted(words, key=lambda word: word.startswith("-") or not ("=" in word or word.startswith("~")))
    ended_by: list[Exception] = []

    def job(cfg: DictConfig) -> Any:
        chosen, several = HydraConfig.get(), HydraConfig.get().mode == RunMode.MULTIRUN
        direction = (several and chosen.sweeper.get("direction")) or ""
        try:
            return task(cfg, chosen.runtime.choices["backbone"], several, direction)
        except Exception as error:
            if several:
                raise
            # Hydra would print a report of its own for an exception that leaves the job.
            ended_by.append(error)

    full_error, argv = os.environ.get("HYDRA_FULL_ERROR"), [program, *paths, *composable(words, own)]
    try:
        # Without the variable Hydra prints errors in its own way and ends the process.
        with patch.dict(os.environ, HYDRA_FULL_ERROR="1"), patch.object(sys, "argv", argv):
            hydra.main(config_path=str(folder), config_name=given.config_name, version_base="1.3")(job)()
    except ERRORS as error:
        if full_error == "1" or isinstance(error, InputError) or not understood(error):
            raise
        raise InputError(explain(error, arguments)) from error
    if ended_by:
        raise ended_by[0]


def set_search_defaults() -> None:
    """Let Optuna's sweeper, if it is installed, look for the greatest metric, and go on after a trial that failed."""
    # Plugins store their configurations when they are found.
    Plugins.instance()
    store = ConfigStore.instance()
    if "optuna.yaml" in store.list("hydra/sweeper"):
        node = store.load("hydra/sweeper/optuna.yaml").node
        node.update(direction="maximize", n_jobs=1, max_failure_rate=1.0)
        store.store("optuna", node, group="hydra/sweeper", provider="poserep")
