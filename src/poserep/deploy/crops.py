"""Crops on which a model's copies are compared: the run's own evaluation crops, or drawn ones."""

import tempfile
from pathlib import Path

import numpy as np

from poserep.config import DictConfig
from poserep.data import load_coco
from poserep.data.dataset import PoseDataset
from poserep.data.from_config import boxes_of, dataset_of, instances_of, root_of, skeleton_of
from poserep.data.synthetic import generate, generate_human4d
from poserep.errors import InputError
from poserep.skeleton import COCO


def sample_crops(cfg: DictConfig, reads: str, count: int) -> tuple[np.ndarray, str]:
    """Return crops (N, C, H, W) as the network gets them, evenly spread over a set, and a description.

    Args:
        cfg: Configuration of the run.
        reads: What the model's images are, see `poserep.deploy.card.Card`.
        count: How many; fewer if the set has no more.
    """
    cfg = cfg.copy()
    cfg.trainer.cache = None
    if Path(cfg.data.root).is_dir():
        try:
            skeleton, root = skeleton_of(cfg), root_of(cfg)
            dataset = dataset_of(cfg, instances_of(cfg, "val", skeleton, root, boxes_of(cfg)[0]), skeleton)
            return _spread(dataset, count), f"evaluation crops of {cfg.data.name}"
        except InputError:
            # Some of the set's files are missing: drawn people will do.
            pass
    with tempfile.TemporaryDirectory() as folder:
        if reads == "depths":
            # Two recordings in four views.
            root, skeleton = generate_human4d(folder, frames=-(-count // 8)), skeleton_of(cfg)
            return _spread(
                dataset_of(cfg, instances_of(cfg, "val", skeleton, root), skeleton), count
            ), "drawn depth maps"
        root = generate(folder, "hard", train=1, val=count, workers=1 if count < 100 else None)
        people = load_coco(root / "annotations" / "val.json", root / "images" / "val", COCO)
        return _spread(dataset_of(cfg, people, COCO), count), "drawn people"


def _spread(dataset: PoseDataset, count: int) -> np.ndarray:
    chosen = np.unique(np.linspace(0, len(dataset) - 1, count).round().astype(int))
    return np.stack([dataset[0, int(i)].image.numpy() for i in chosen])
