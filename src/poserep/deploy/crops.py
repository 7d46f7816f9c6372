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
    """Return ``count`` crops (N, C, H, W), as a run's network gets them, evenly spread over a set, and a description.

    There are fewer if the set has no more. ``reads`` is what the images are, see `poserep.deploy.card.Card`.
    """
    cfg = cfg.copy()
    cfg.trainer.cache = None
    skeleton = skeleton_of(cfg)
    if Path(cfg.data.root).is_dir():
        try:
            dataset = dataset_of(cfg, instances_of(cfg, "val", skeleton, root_of(cfg), boxes_of(cfg)[0]), skeleton)
            return _spread(dataset, count), f"evaluation crops of {cfg.data.name}"
        except InputError:
            # Some of the set's files are missing: drawn people will do.
            pass
    with tempfile.TemporaryDirectory() as folder:
        if reads == "depths":
            # Two recordings in four views.
            root = generate_human4d(folder, frames=-(-count // 8))
            dataset = dataset_of(cfg, instances_of(cfg, "val", skeleton, root), skeleton)
            return _spread(dataset, count), "drawn depth maps"
        root = generate(folder, "hard", train=1, val=count, workers=1 if count < 100 else None)
        people = load_coco(root / "annotations" / "val.json", root / "images" / "val", COCO)
        return _spread(dataset_of(cfg, people, COCO), count), "drawn people"


def _spread(dataset: PoseDataset, count: int) -> np.ndarray:
    chosen = np.unique(np.linspace(0, len(dataset) - 1, count).round().astype(int))
    return np.stack([dataset[0, int(i)].image.numpy() for i in chosen])
