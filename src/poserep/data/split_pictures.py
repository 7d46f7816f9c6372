"""The pictures of a configured set: which belong to a run and what they hold, and whether they can be used."""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from poserep.config import as_dict
from poserep.data.check.rules import corrected, picture_findings
from poserep.data.from_config import (
    boxes_of,
    coco_file_of,
    image_reader,
    load_split,
    root_of,
    skeleton_of,
    splits_of,
    takes_scenes,
)
from poserep.data.image_files import PhotographReader
from poserep.data.pictures import digest_of, known_pictures
from poserep.errors import InputError
from poserep.instances import Tally


def listed_pictures(cfg: Any, split: str, root: Path) -> list[Path]:
    """Return the image files that a split lists, or if its format lists none, those of its persons."""
    if file := coco_file_of(cfg, root, split):
        return [path for _, path in file.image_files(root / cfg.data[split].images)]
    return [i.image for i in load_split(cfg, split, skeleton_of(cfg), root).required()]


def _used(cfg: Any, split: str, root: Path) -> list[Path]:
    """Return the image files that decide a run's numbers; empty if they cannot be told, which loaders say better."""
    limit = cfg.trainer.get("limit")
    try:
        if limit and not takes_scenes(cfg):
            kinds, skeleton = boxes_of(cfg) if split == "val" else ["gt"], skeleton_of(cfg)
            loaded = [load_split(cfg, split, skeleton, root, boxes).instances[:limit] for boxes in kinds]
            if images := [person.image for persons in loaded for person in persons]:
                return images
        first = limit if takes_scenes(cfg) else None
        file = coco_file_of(cfg, root, split) if split == "train" else None
        if file and file.annotations:
            # Half of COCO's training images show nobody.
            ids = {a.get("image_id") for a in file.annotations if isinstance(a, dict)}
            folder = root / cfg.data[split].images
            return [path for record, path in file.image_files(folder) if record["id"] in ids][:first]
        return listed_pictures(cfg, split, root)[:first]
    except (InputError, OSError, TypeError):
        return []


def picture_hashes(cfg: Any, splits: Sequence[str] | None = None) -> dict[str, str]:
    """Return the hashes of the pictures of the splits, by what ``contents`` of a run's configuration calls them.

    Names below the images' folder and contents count, not where the folder is. Drawn sets have none: they follow from
    their configuration.
    """
    if cfg.data.prepare:
        return {}
    root, hashes = root_of(cfg), {}
    # The training file last, as only the last file that was parsed is kept, and training reads it next.
    for split in sorted(splits or splits_of(cfg), reverse=True):
        folder = root / cfg.data[split].images
        if digest := digest_of(folder, known_pictures(folder, _used(cfg, split, root))):
            hashes[f"pictures {split}"] = digest
    return hashes


def picture_hasher() -> Callable[[Any], dict[str, str]]:
    """Return `picture_hashes` for many configurations of a few sets, each of which is looked at once."""
    known: dict[str, dict[str, str]] = {}

    def hashes(cfg: Any) -> dict[str, str]:
        key = json.dumps([as_dict(cfg.data), cfg.trainer.get("limit"), list(cfg.boxes or ())])
        if key not in known:
            known[key] = picture_hashes(cfg)
        return known[key]

    return hashes


def check_pictures(cfg: Any, split: str, root: Path, images: Iterable[Path], tally: Tally) -> None:
    """Raise an `InputError` for pictures that are missing, damaged, or not what their annotations were made on.

    ``tally`` counts those that the reader turns or scales.
    """
    if cfg.data.prepare:
        return
    folder, reader = root / cfg.data[split].images, image_reader(cfg)
    pictures = known_pictures(folder, images)
    if not isinstance(reader, PhotographReader):
        # Only the reader knows what its files should be.
        pictures = {path: picture._replace(fault="") for path, picture in pictures.items()}
    mended = bool(tally.mended["image sizes exchanged"])
    findings = list(picture_findings(pictures, reader, coco_file_of(cfg, root, split), folder, mended))
    if broken := [finding for finding in findings if finding.rule.error]:
        first = broken[0]
        count = sum(finding.rule == first.rule for finding in broken)
        value, share = f" ({first.value})" if first.value else "", f"{count} of {len(pictures)} {split} images"
        raise InputError(f"{first.where}: {first.rule.name}{value}, so are {share}; {first.rule.remedy}")
    tally.mended.update(corrected(pictures, reader))
