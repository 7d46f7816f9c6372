"""Fixtures that several modules share: tiny data, configurations on it, and runs."""

import json
import os
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from poserep.config import DictConfig, compose
from tiny import SMOKE, TINY

# The tensors of most tests are so small that handing them to several threads takes longer than working on them.
torch.set_num_threads(1)
# Numbers of tests are those of every processor.
OmegaConf.register_new_resolver("cpu_precision", lambda: "32-true", replace=True)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder with real photographs and annotations, which are not part of the project."""
    folder = Path(os.environ.get("POSEREP_REAL_DATA", "not set"))
    if not folder.is_dir():
        pytest.skip(f"POSEREP_REAL_DATA ({folder}) names no folder of real photographs")
    return folder


@pytest.fixture(scope="session")
def coco_subset(real_data: Path) -> Path:
    """Annotations of a part of COCO's val2017."""
    path = real_data / "coco_annotations/person_keypoints_val2017_subset.json"
    if not path.is_file():
        pytest.skip(f"{path} does not exist: no real annotations")
    return path


@pytest.fixture(scope="session", autouse=True)
def own_caches(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep what is remembered of pictures away from the user's own cache folder."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("caches"))


def of_all_workers(factory: pytest.TempPathFactory) -> Path:
    """Return the folder of this run of the tests, in which what one worker draws is there for the others."""
    own = factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Root of a tiny set of drawn people, on which its generator finds nothing left to do."""
    from poserep.data.synthetic import generate

    root = of_all_workers(tmp_path_factory) / "synthetic"
    generate(root, "easy", train=8, val=6, workers=1)
    return root


@pytest.fixture
def configure(synthetic: Path, tmp_path: Path) -> Callable[..., DictConfig]:
    """Compose a configuration on the tiny data set, with overrides."""

    def make(*overrides: str) -> DictConfig:
        # Other data are not drawn, and have no number of persons to set.
        tiny = SMOKE if any(o.startswith("data=") for o in overrides) else TINY
        return compose([*tiny, f"data.root={synthetic}", f"runs={tmp_path}/runs", *overrides]).cfg

    return make


def made_here(cfg: DictConfig) -> tuple[Path, dict[str, Any]]:
    """Train and evaluate in this process: run directory and result."""
    from poserep.runs.create import prepare
    from poserep.training.fit import fit

    run_dir = prepare(cfg, "backbone")
    return run_dir.path, fit(run_dir)


@pytest.fixture
def run(configure: Callable[..., DictConfig]) -> Callable[..., tuple[Path, dict[str, Any]]]:
    """Compose with overrides, train and evaluate: run directory and result."""
    return lambda *overrides: made_here(configure(*overrides))


@pytest.fixture(scope="session")
def trained_once(synthetic: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Train with overrides on the tiny data set, once a session for the same ones: the run directory, to be read."""
    own = [*TINY, f"data.root={synthetic}", f"runs={tmp_path_factory.mktemp('trained')}/runs"]
    return cache(lambda *overrides: made_here(compose([*own, *overrides]).cfg)[0])


@pytest.fixture
def trained(trained_once: Callable[..., Path], tmp_path: Path) -> Callable[..., tuple[Path, dict[str, Any]]]:
    """Copy a run of `trained_once`: run directory, which may be changed, and result."""

    def copy(*overrides: str) -> tuple[Path, dict[str, Any]]:
        original = trained_once(*overrides)
        run_dir = tmp_path / "trained" / original.name
        shutil.copytree(original, run_dir)
        return run_dir, json.loads((run_dir / "result.json").read_text())

    return copy


@pytest.fixture(scope="session")
def tiny_sets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of tiny data sets in the public sets' layouts, by name; drawn once, to be copied before a change."""
    from layouts import generate_coco, generate_crowdpose, generate_human4d, generate_mpii

    root = of_all_workers(tmp_path_factory) / "layouts"
    return {
        "coco": generate_coco(root),
        "crowdpose": generate_crowdpose(root),
        "mpii": generate_mpii(root),
        "human4d": generate_human4d(root, frames=2),
    }


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long, so that no worker waits at the end for another's last test."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
