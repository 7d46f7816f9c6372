"""Composing the cells of a table: what takes Hydra long is done once for all cells that share it."""

import copy
import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, open_dict

from poserep.overrides import groups, key_of


class SharedComposition:
    """Composes overrides as Hydra does for a job of a sweep.

    Choosing files, and adding and deleting keys, takes Hydra a tenth of a second, so that cells that do the same share
    it. What differs are values of keys that exist, such as seeds, which are set in a copy, as Hydra sets them last.

    Args:
        loader: Hydra's loader of configurations.
        master: The sweep's own configuration, whose overrides of Hydra hold for all cells.
    """

    def __init__(self, loader: Any, master: DictConfig) -> None:
        self._loader, self._master = loader, master
        self._shared: dict[tuple[str, ...], tuple[DictConfig, str]] = {}
        self._parse = cache(OverridesParser.create().parse_override)

    def __call__(self, words: Sequence[str]) -> tuple[DictConfig, str]:
        """Return a configuration without Hydra's part and without the table's rows, and the chosen backbone."""
        values = [word for word in words if self.sets_a_value(word)]
        others = tuple(word for word in words if word not in values)
        if others not in self._shared:
            self._shared[others] = self._composed(list(others))
        shared, backbone = self._shared[others]
        cfg = copy.deepcopy(shared)
        self._loader._apply_overrides_to_config([self._parse(word) for word in values], cfg)
        return cfg, backbone

    def sets_a_value(self, word: str) -> bool:
        """Return whether an override gives a key of the run that exists another value, and does nothing else."""
        key = key_of(word)
        if word[0] in "+~" or re.search("[@/]", key) or key.split(".")[0] in ("hydra", "table"):
            return False
        return not (key in groups() or self._loader.repository.group_exists(key))

    def _composed(self, words: list[str]) -> tuple[DictConfig, str]:
        cfg = self._loader.load_sweep_config(self._master, words)
        backbone = cfg.hydra.runtime.choices["backbone"]
        with open_dict(cfg):
            del cfg["hydra"]
        # Copies are made of it, and a table is longer than the configuration of a run.
        cfg.table.update(dict.fromkeys(cfg.table.keys() & {"rows", "recipes", "notes"}))
        return cfg, backbone
