from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from poserep.data.synthetic import generate
from poserep.overrides import CONF
from poserep.runs.create import prepare
from poserep.training.fit import fit

SMOKE = ["trainer=smoke", "trainer.limit=null", "trainer.pretrained=true"]
TINY = [*SMOKE, "data.prepare.train=8", "data.prepare.val=6"]


@pytest.fixture(scope="session")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Root of a tiny synthetic data set; the generator finds it made."""
    root = tmp_path_factory.mktemp("synthetic")
    generate(root, "easy", train=8, val=6, workers=1)
    return root


@pytest.fixture
def configure(synthetic: Path, tmp_path: Path) -> Callable[..., DictConfig]:
    """A configuration on the tiny data set, with overrides."""

    def make(*overrides: str) -> DictConfig:
        # Other data are not drawn, and have no number of persons to set.
        tiny = SMOKE if any(o.startswith("data=") for o in overrides) else TINY
        with initialize_config_dir(str(CONF), version_base="1.3"):
            return compose("config", [*tiny, f"data.root={synthetic}", f"runs={tmp_path}/runs", *overrides])

    return make


@pytest.fixture
def run(configure: Callable[..., DictConfig]) -> Callable[..., tuple[Path, dict[str, Any]]]:
    """Train and evaluate in this process: run directory and result."""

    def go(*overrides: str) -> tuple[Path, dict[str, Any]]:
        run_dir = prepare(configure(*overrides), "backbone")
        return run_dir, fit(run_dir)

    return go
