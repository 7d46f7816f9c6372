"""Configuration to data: files, persons, data sets and their metric. Nothing about networks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from poserep.config import make
from poserep.data import ImageCache, Instance, PoseDataset, Tally
from poserep.errors import InputError
from poserep.geometry import Size
from poserep.instances import Truth
from poserep.skeleton import COCO, CROWDPOSE, HUMAN4D, MPII, Skeleton

# The keys of a split that are paths below the data's root.
FILES = ("annotations", "heads")
PATHS = (*FILES, "images")
# What `data` says about loading, for those loaders that have it.
OPTIONS = ("skip_invalid", "clip", "project")


def skeleton_of(cfg: DictConfig) -> Skeleton:
    """The name of a known data set's, the path of a YAML or JSON file, or a mapping in place."""
    node = cfg.data.skeleton
    if isinstance(node, str):
        known = {skeleton.name: skeleton for skeleton in (COCO, CROWDPOSE, HUMAN4D, MPII)}
        return known[node] if node in known else Skeleton.from_file(node)
    category = OmegaConf.to_container(node, resolve=True)
    assert isinstance(category, dict)
    return Skeleton.from_category({str(key): value for key, value in category.items()})


def root_of(cfg: DictConfig) -> Path:
    """The folder of the data, which are made first if the configuration says how, no more than the run takes."""
    if not cfg.data.prepare:
        return Path(cfg.data.root)
    limit = cfg.trainer.get("limit")
    fewer = {split: min(cfg.data.prepare[split], limit) for split in ("train", "val")} if limit else {}
    return Path(make(cfg.data.prepare, **fewer))


def files_of(cfg: DictConfig, root: Path, split: str = "val") -> dict[str, Path]:
    """The files that say what is in a split, by the name that records give them."""
    files = {key: root / cfg.data[split][key] for key in FILES if cfg.data[split].get(key)}
    if split == "val" and cfg.data.detections:
        files["detections"] = root / cfg.data.detections
    return files


def options_of(cfg: DictConfig) -> dict[str, Any]:
    """How files are read."""
    return {key: cfg.data[key] for key in OPTIONS if key in cfg.data}


def boxes_of(cfg: DictConfig) -> list[str]:
    """The kinds of boxes to evaluate with, ``gt`` and/or ``det``.

    Raises:
        InputError: If the configuration asks for some that its data do not have.
    """
    offered = ["gt"] if cfg.data.get("labelled", True) else []
    offered += ["det"] if cfg.data.detections else []
    unknown = [b for b in cfg.boxes or () if b not in offered]
    if unknown or not offered:
        raise InputError(
            f"boxes={unknown or cfg.boxes} cannot be had: {cfg.data.name} offers {offered}; set data.detections"
        )
    return list(cfg.boxes or offered)


def instances_of(
    cfg: DictConfig, split: str, skeleton: Skeleton, root: Path, boxes: str = "gt", tally: Tally | None = None
) -> list[Instance]:
    """The persons of a split (``train`` or ``val``), or with ``boxes="det"`` the detections on its images."""
    node = cfg.data[split]
    paths = {key: root / node[key] for key in PATHS if node.get(key)}
    if boxes == "det":
        paths["detections"] = root / cfg.data.detections
    return make(node, skeleton=skeleton, tally=tally, **options_of(cfg), **paths)


def dataset_of(cfg: DictConfig, instances: list[Instance], skeleton: Skeleton, augment: Any = None) -> PoseDataset:
    """The crops of persons as a configuration wants them."""
    options: dict[str, Any] = dict(cfg.data.get("crop") or {})
    if cfg.data.get("read"):
        options["read"] = make(cfg.data.read)
    if cfg.trainer.get("cache"):
        options["cache"] = ImageCache(Path(cfg.trainer.cache), cfg.trainer.cache_gb)
    return PoseDataset(instances, skeleton, Size.parse(cfg.input_size), cfg.align, augment, seed=cfg.seed, **options)


def truth_of(cfg: DictConfig, instances: Sequence[Instance], skeleton: Skeleton, root: Path) -> Truth:
    """Return what predictions for persons of the validation split are scored against."""
    padding = (cfg.data.get("crop") or {}).get("padding", 1.25)
    return Truth(instances, skeleton, root / cfg.data.val.annotations, Size.parse(cfg.input_size), padding)
