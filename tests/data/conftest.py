"""The tiny data sets with their configurations, and copies of them to break."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from poserep import cli
from poserep.data import load_coco
from poserep.data.check.command import composed_data
from poserep.instances import Instance
from poserep.skeleton import COCO

DETECTIONS = "person_detection_results/COCO_val2017_detections_AP_H_56_person.json"
MORE = {
    "coco": [f"data.detections={DETECTIONS}"],
    "crowdpose": ["data.detections=annotations/det_for_crowd_test_0.1_0.5.json"],
    "human4d": ["size=160x320", "augment=none"],
}


@pytest.fixture(scope="session")
def words(tiny_sets: dict[str, Path]) -> dict[str, list[str]]:
    """The overrides that choose each set."""
    return {name: [f"data={name}", f"data.root={root}", *MORE.get(name, [])] for name, root in tiny_sets.items()}


@pytest.fixture(scope="session")
def cfgs(words: dict[str, list[str]]) -> dict[str, Any]:
    """Their configurations."""
    return {name: composed_data(overrides).cfg for name, overrides in words.items()}


@pytest.fixture(scope="session")
def drawn(synthetic: Path) -> list[Instance]:
    """Six drawn people of the tiny set."""
    folder = next(synthetic.glob("easy-8-6-*"))
    return load_coco(folder / "annotations/train.json", folder / "images/train", COCO)[:6]


@pytest.fixture
def copy(tiny_sets, cfgs, tmp_path) -> Callable[..., tuple[Path, Any]]:
    """Copies a set, and returns the copy and its configuration."""

    def make(name: str = "coco", **data: Any) -> tuple[Path, Any]:
        root, cfg = tmp_path / name, cfgs[name].copy()
        shutil.copytree(tiny_sets[name], root)
        cfg.data.root = str(root)
        for key, value in data.items():
            cfg.data[key] = value
        return root, cfg

    return make


@pytest.fixture
def data(capsys) -> Callable[..., tuple[int, str, str]]:
    """Runs ``poserep data`` with some words: exit code, output, errors."""

    def go(*arguments: object) -> tuple[int, str, str]:
        code = cli.main(["data", *map(str, arguments)])
        return code, *capsys.readouterr()

    return go
