"""Fixtures that several modules share."""

import os
from pathlib import Path

import pytest
import torch

# The tensors of most tests are so small that handing them to several threads takes longer than working on them.
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder with real photographs and annotations, which are not part of the project."""
    folder = os.environ.get("POSEREP_REAL_DATA")
    if not folder:
        pytest.skip("POSEREP_REAL_DATA is not set: no real photographs")
    if not Path(folder).is_dir():
        pytest.skip("POSEREP_REAL_DATA names no folder: no real photographs")
    return Path(folder)


@pytest.fixture(scope="session")
def tiny_sets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of tiny data sets in the public sets' layouts, by name; drawn once, to be copied before a change."""
    from layouts import generate_coco, generate_crowdpose, generate_human4d, generate_mpii

    root = tmp_path_factory.mktemp("layouts")
    return {
        "coco": generate_coco(root),
        "crowdpose": generate_crowdpose(root),
        "mpii": generate_mpii(root),
        "human4d": generate_human4d(root, frames=2),
    }


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long, so that no worker waits at the end for another's last test."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
