"""What an exported file is compared with PyTorch on: crops or whole images of the run's set, or drawn ones."""

import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from poserep.config import DictConfig
from poserep.data import load_coco
from poserep.data.dataset import PoseDataset
from poserep.data.from_config import boxes_of, dataset_of, instances_of, root_of, skeleton_of
from poserep.data.image_files import read_image
from poserep.data.scenes import SceneDataset
from poserep.data.synthetic import generate
from poserep.deploy.card import Card
from poserep.deploy.media import Frame
from poserep.deploy.scene_poses import scene_of
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
        # If some of the set's files are missing, drawn people will do.
        with suppress(InputError):
            dataset = dataset_of(cfg, instances_of(cfg, "val", skeleton, root_of(cfg), boxes_of(cfg)[0]), skeleton)
            return _crops(dataset, count), f"evaluation crops of {cfg.data.name}"
    with tempfile.TemporaryDirectory() as folder:
        root = generate(folder, "hard", train=1, val=count, workers=1 if count < 100 else None)
        people, source = load_coco(root / "annotations" / "val.json", root / "images" / "val", COCO), "drawn people"
        if reads == "depths":
            cfg.data.read = {"_target_": f"{__name__}.brightness_as_depth", "_partial_": True}
            source += ", brightness taken for depth"
        return _crops(dataset_of(cfg, people, COCO), count), source


def brightness_as_depth(path: Path) -> np.ndarray:
    """Read a photograph as depths (H, W) float32: black is one metre away, white five."""
    return (1 + read_image(path).mean(-1) / 64).astype(np.float32)


def sample_scenes(cfg: DictConfig, card: Card, count: int) -> tuple[list[np.ndarray], str]:
    """Return ``count`` whole images (C, H, W), as the network gets them at scale 1, and a description.

    They are evenly spread over a set; there are fewer if it has no more.
    """

    def inputs(paths: Sequence[Path], read: Callable[[Path], np.ndarray]) -> list[np.ndarray]:
        return [scene_of(card, Frame(paths[i], read(paths[i]))).crops[0] for i in _spread(len(paths), count)]

    if Path(cfg.data.root).is_dir():
        with suppress(InputError):
            skeleton, root = skeleton_of(cfg), root_of(cfg)
            dataset = dataset_of(cfg, instances_of(cfg, "val", skeleton, root), skeleton, root=root)
            return inputs(dataset.paths(), card.reader), f"evaluation images of {cfg.data.name}"
    with tempfile.TemporaryDirectory() as folder:
        root = generate(folder, "easy", train=1, val=count, workers=1 if count < 100 else None)
        paths = sorted((root / "images" / "val").iterdir())
        if card.reads == "depths":
            return inputs(paths, brightness_as_depth), "drawn people, brightness taken for depth"
        return inputs(paths, read_image), "drawn people"


def _crops(dataset: PoseDataset | SceneDataset, count: int) -> np.ndarray:
    return np.stack([dataset[0, i].image.numpy() for i in _spread(len(dataset), count)])


def _spread(length: int, count: int) -> list[int]:
    return np.unique(np.linspace(0, length - 1, count).round().astype(int)).tolist()
