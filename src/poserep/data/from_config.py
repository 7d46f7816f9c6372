"""The data that a configuration names: skeleton, files, persons and crops. Reading files takes no torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from poserep.config import DictConfig, OmegaConf, as_dict, make
from poserep.data.coco_file import CocoFile, NotCoco, read_coco
from poserep.data.wholebody import WHOLEBODY
from poserep.errors import InputError
from poserep.geometry import Size
from poserep.instances import CocoForm, Instance, Tally, Truth
from poserep.skeleton import COCO, CROWDPOSE, HUMAN4D, MPII, Skeleton

if TYPE_CHECKING:
    from poserep.data.dataset import PoseDataset
    from poserep.data.scenes import SceneDataset

# The keys of a split that are paths below the data's root.
FILES = ("annotations", "heads")
PATHS = (*FILES, "images")
# The keys of `data` that are handed to those loaders that have them.
OPTIONS = ("category", "skip_invalid", "clip", "project", "boxes", "fields")


def skeleton_of(cfg: DictConfig) -> Skeleton:
    """Return the skeleton that `data.skeleton` names: built-in, file or inline mapping."""
    node = cfg.data.skeleton
    if isinstance(node, str):
        known = {skeleton.name: skeleton for skeleton in (COCO, CROWDPOSE, HUMAN4D, MPII, WHOLEBODY)}
        return known[node] if node in known else Skeleton.from_file(node)
    return Skeleton.from_category(as_dict(node))


def root_of(cfg: DictConfig) -> Path:
    """Return the folder of the data; drawn data are drawn first, no more than ``trainer.limit`` takes."""
    if not cfg.data.prepare:
        return Path(cfg.data.root)
    limit = cfg.trainer.get("limit")
    fewer = {split: min(cfg.data.prepare[split], limit) for split in ("train", "val")} if limit else {}
    return Path(make(cfg.data.prepare, **fewer))


def located(root: Path, given: str | Sequence[str] | None) -> list[Path]:
    """Return the paths of what a key names below the data's root: one file, several or none."""
    return [root / name for name in ([given] if isinstance(given, str) else given or ())]


def form_of(cfg: DictConfig) -> CocoForm:
    """Return how the records of files in COCO's format are taken."""
    return CocoForm(cfg.data.get("boxes") or "annotated", tuple(cfg.data.get("fields") or ()), takes_scenes(cfg))


def takes_scenes(cfg: DictConfig) -> bool:
    """Tell whether the representation takes whole images with all their people, not crops of persons."""
    return bool(cfg.get("representation") and cfg.representation.get("scenes"))


def split_files(cfg: DictConfig, root: Path, split: str = "val") -> dict[str, Path]:
    """Return the files that define a split, by the name under which records list them."""
    files = {}
    for key in FILES:
        # Several annotation files are read as one.
        for n, path in enumerate(located(root, cfg.data[split].get(key)), 1):
            files[key if n == 1 else f"{key} {n}"] = path
    if split == "val" and cfg.data.detections:
        files["detections"] = root / cfg.data.detections
    return files


def coco_file_of(cfg: DictConfig, root: Path, split: str) -> CocoFile | None:
    """Return a split's annotation file, or None if it has another format than COCO's."""
    paths = located(root, cfg.data[split].annotations)
    if paths[0].suffix != ".json":
        return None
    try:
        return read_coco(paths, form_of(cfg))
    except NotCoco:
        return None


def options_of(cfg: DictConfig) -> dict[str, Any]:
    """Return the options of loading that the configuration has."""
    # Plain lists, as results record them.
    return {key: value for key, value in as_dict(cfg.data).items() if key in OPTIONS}


def is_labelled(cfg: DictConfig) -> bool:
    """Tell whether the data set has annotated persons; test images have none."""
    return bool(cfg.data.get("labelled", True))


def splits_of(cfg: DictConfig) -> list[str]:
    """Return the splits of the data set; one without labels has no persons to train on."""
    return ["train", "val"] if is_labelled(cfg) else ["val"]


def boxes_of(cfg: DictConfig) -> list[str]:
    """Return the kinds of boxes to evaluate with, ``gt`` and/or ``det``, or ``scene`` where whole images are taken.

    Those asked for must be available.
    """
    if takes_scenes(cfg):
        if list(cfg.boxes or ["scene"]) != ["scene"]:
            raise InputError(
                f"boxes={list(cfg.boxes)}: representation={cfg.representation.name} finds people in whole images, "
                "without boxes (AP_scene); set boxes=null"
            )
        return ["scene"]
    available = ["gt"] if is_labelled(cfg) else []
    available += ["det"] if cfg.data.detections else []
    unknown = [b for b in cfg.boxes or () if b not in available]
    if unknown or not available:
        raise InputError(
            f"boxes={unknown or cfg.boxes} is not available for {cfg.data.name} (available: "
            f"{', '.join(available) or 'none'}); set data.detections=FILE"
        )
    return list(cfg.boxes or available)


def instances_of(
    cfg: DictConfig, split: str, skeleton: Skeleton, root: Path, boxes: str = "gt", tally: Tally | None = None
) -> list[Instance]:
    """Return the persons of a split (``train`` or ``val``), or with ``boxes="det"`` the detections on its images.

    The persons of ``boxes="scene"`` are those of ``gt``, none on test images.
    """
    node, options = cfg.data[split], options_of(cfg)
    if boxes == "scene" and not is_labelled(cfg):
        return []
    if takes_scenes(cfg):
        if coco_file_of(cfg, root, split) is None:
            raise InputError(
                f"representation={cfg.representation.name} takes whole images with all their people, which need "
                f"annotations in COCO's format; those of data={cfg.data.name} have another: take data=coco or crowdpose"
            )
        options["masks"] = True
    paths: dict[str, Any] = {
        key: where if where[1:] else where[0] for key in PATHS if (where := located(root, node.get(key)))
    }
    if boxes == "det":
        paths["detections"] = root / cfg.data.detections
    return make(node, skeleton=skeleton, tally=tally, **options, **paths)


@dataclass
class LoadedSplit:
    """The persons of a split without the invalid ones, which ``tally`` lists; ``refusal`` says why there are none."""

    instances: list[Instance] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    refusal: str = ""

    def line(self, boxes: str) -> str:
        """Return what was read in one line; ``boxes`` says of which kind."""
        lenient = ", with data.skip_invalid=true" if self.tally.invalid else ""
        return f"{boxes} boxes{lenient}: {self.tally.line()}"

    def required(self) -> list[Instance]:
        """Return the instances, or raise the refusal as an `InputError` if there are none."""
        if not self.instances:
            raise InputError(self.refusal)
        return self.instances


def load_split(cfg: DictConfig, split: str, skeleton: Skeleton, root: Path, boxes: str = "gt") -> LoadedSplit:
    """Read a split as if ``data.skip_invalid`` were true."""
    lenient, loaded = cfg.copy(), LoadedSplit()
    lenient.data.skip_invalid = True
    try:
        loaded.instances = instances_of(lenient, split, skeleton, root, boxes, loaded.tally)
    except InputError as error:
        loaded.refusal = str(error)
    return loaded


def image_reader(cfg: DictConfig) -> Callable[[Path], np.ndarray]:
    """Return the function that reads the data set's images, see `PoseDataset`."""
    from poserep.data.image_files import PhotographReader

    if cfg.data.get("read"):
        return make(cfg.data.read)
    return PhotographReader(cfg.data.get("orientation", "refuse"), cfg.data.get("range"))


def dataset_of(
    cfg: DictConfig,
    instances: Sequence[Instance],
    skeleton: Skeleton,
    augment: Any = None,
    split: str = "val",
    root: Path | None = None,
    tally: Tally | None = None,
) -> PoseDataset | SceneDataset:
    """Return the crops of persons that a configuration describes, or the whole images with all their people.

    Whole images need the annotation file of the ``split`` from which all ``instances`` were read, below ``root``, and
    add to the ``tally`` of that; ``trainer.limit`` counts them.
    """
    # Imported here, as everything else in this module does without torch.
    from poserep.data.cache import ImageCache
    from poserep.data.dataset import PoseDataset

    crop = dict(cfg.data.get("crop") or {})
    options: dict[str, Any] = {"seed": cfg.seed, "read": image_reader(cfg)}
    if cfg.trainer.get("cache"):
        options["cache"] = ImageCache(cfg.trainer.cache, cfg.trainer.cache_gb, options["read"])
    size = Size.parse(cfg.input_size)
    if not takes_scenes(cfg):
        return PoseDataset(instances, skeleton, size, cfg.align, augment, **crop, **options)
    from poserep.data.scene_table import scenes_of

    root = root or root_of(cfg)
    file, folder = coco_file_of(cfg, root, split), root / cfg.data[split].images
    assert file is not None
    tally, lenient = Tally() if tally is None else tally, bool(cfg.data.get("skip_invalid"))
    joints = None if is_labelled(cfg) else skeleton.num_keypoints
    scenes = scenes_of(file, folder, instances, split == "train", tally, lenient, cfg.trainer.get("limit"), joints)
    options["bgr"] = crop.get("bgr", False)
    return make(cfg.representation.scenes)(scenes, skeleton, size, cfg.align, augment, **options)


def limited_to(cfg: DictConfig, instances: list[Instance]) -> list[Instance]:
    """Return the persons of the validation split that ``trainer.limit`` takes: all of the first ones' images.

    Where whole images are taken, the data set itself counts them.
    """
    limit = None if takes_scenes(cfg) else OmegaConf.select(cfg, "trainer.limit")
    if limit is None:
        return instances
    images = {person.image_id for person in instances[:limit]}
    return [person for person in instances if person.image_id in images]


def truth_of(
    cfg: DictConfig, instances: Sequence[Instance], skeleton: Skeleton, root: Path, layout: Skeleton | None = None
) -> Truth:
    """Return what predictions for persons of the validation split are scored against; ``layout`` as `Truth` has it.

    Under ``trainer.limit`` only the images of these persons count.
    """
    limited = OmegaConf.select(cfg, "trainer.limit") is not None
    padding = (cfg.data.get("crop") or {}).get("padding", 1.25)
    files, size = located(root, cfg.data.val.annotations), Size.parse(cfg.input_size)
    return Truth(instances, skeleton, files, size, padding, cfg.data.get("category"), form_of(cfg), layout, limited)
