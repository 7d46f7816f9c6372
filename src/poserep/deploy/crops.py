"""Crops of people on which a model's copies are compared: the run's own evaluation crops, or drawn ones."""

import tempfile
from pathlib import Path

import numpy as np
from omegaconf import DictConfig

from poserep.data import load_coco
from poserep.data.dataset import PoseDataset
from poserep.data.from_config import boxes_of, dataset_of, instances_of, root_of, skeleton_of
from poserep.data.synthetic import generate, generate_human4d
from poserep.errors import InputError
from poserep.skeleton import COCO

DRAWN_FOR = {"depths": "drawn depth maps", "photographs": "drawn people"}


def crops(cfg: DictConfig, reads: str, count: int) -> tuple[np.ndarray, str]:
    """Crops as the network gets them, evenly spread over the evaluation set, and what they are.

    Args:
        cfg: Of the run.
        reads: What the model's images are, see `poserep.deploy.card.Card`.
        count: How many; fewer if the set has no more.

    Returns:
        (N, C, H, W) and a description.
    """
    cfg = cfg.copy()
    cfg.trainer.cache = None
    if Path(cfg.data.root).is_dir():
        try:
            skeleton, root = skeleton_of(cfg), root_of(cfg)
            dataset = dataset_of(cfg, instances_of(cfg, "val", skeleton, root, boxes_of(cfg)[0]), skeleton)
            return _spread(dataset, count), f"evaluation crops of {cfg.data.name}"
        except InputError:
            # Some of the set's files are elsewhere: people are people.
            pass
    with tempfile.TemporaryDirectory() as folder:
        return _spread(_drawn(cfg, reads, count, Path(folder)), count), DRAWN_FOR[reads]


def _drawn(cfg: DictConfig, reads: str, count: int, folder: Path) -> PoseDataset:
    if reads == "depths":
        # Two recordings in four views.
        root = generate_human4d(folder, frames=-(-count // 8))
        skeleton = skeleton_of(cfg)
        return dataset_of(cfg, instances_of(cfg, "val", skeleton, root), skeleton)
    root = generate(folder, "hard", train=1, val=count)
    persons = load_coco(root / "annotations" / "val.json", root / "images" / "val", COCO)
    return dataset_of(cfg, persons, COCO)


def _spread(dataset: PoseDataset, count: int) -> np.ndarray:
    chosen = np.unique(np.linspace(0, len(dataset) - 1, count).round().astype(int))
    return np.stack([dataset[0, int(i)].image.numpy() for i in chosen])
