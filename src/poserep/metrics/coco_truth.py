"""Ground truth of COCO-format files as pycocotools wants it, each file read once."""

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pycocotools.coco import COCO as CocoFile

from poserep.errors import InputError
from poserep.instances import BOX_COVER

# Px. What is farther away is a mistake in the file.
FURTHEST = 1e6
# Polygons, which fill most of a file, play no part.
KEPT = ("id", "category_id", "area", "iscrowd", "num_keypoints")


class Parsed(NamedTuple):
    """What an annotation file holds, shared by all who ask: not to be changed.

    Attributes:
        path: Of the file.
        images: By id, as they stand there.
        annotations: The fields that matter; ``bbox`` and ``keypoints`` (3K,) as arrays, None if they are no numbers.
        categories: As they stand there.
    """

    path: Path
    images: Mapping[int, Mapping[str, Any]]
    annotations: tuple[Mapping[str, Any], ...]
    categories: tuple[Mapping[str, Any], ...]


def read_truth(path: Path) -> Parsed:
    """Parse an annotation file, unless that has been done since it was last written.

    Raises:
        InputError: If it is missing or not COCO format.
    """
    try:
        stat = path.stat()
        return _parse(path, stat.st_mtime_ns, stat.st_size)
    except OSError as error:
        raise InputError(f"annotation file {path} cannot be read: {error.strerror}; check data.root") from error


@lru_cache(maxsize=4)
def _parse(path: Path, *_: int) -> Parsed:
    try:
        data = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InputError(f"annotation file {path} is not valid JSON: {error}") from error
    if not isinstance(data, dict) or not all(isinstance(data.get(key), list) for key in ("images", "categories")):
        raise InputError(f"annotation file {path} lacks images or categories: is it COCO format?")
    return Parsed(
        path,
        {key: row for row in _rows(data["images"]) if (key := _whole(row.get("id"))) is not None},
        tuple(_plain(row) for row in _rows(data.get("annotations"))),
        tuple(_rows(data["categories"])),
    )


def category_of(parsed: Parsed, names: tuple[str, ...], aliases: Mapping[str, str]) -> int:
    """The id of the category that has these keypoints, or of ``person`` in a file without any, as of test images.

    Raises:
        InputError: If there is none.
    """
    categories = [c for c in parsed.categories if _whole(c.get("id")) is not None]
    rows = [c for c in categories if isinstance(c.get("keypoints"), list) and c["keypoints"]]
    for row in rows:
        found = tuple(str(name) for name in row["keypoints"])
        if names in (found, tuple(aliases.get(name, name) for name in found)):
            return int(row["id"])
    for row in categories if not rows else ():
        if row.get("name") == "person":
            return int(row["id"])
    raise InputError(f"{parsed.path}: no category has the keypoints {list(names)}; set data.skeleton to the file's")


def ground_truth(parsed: Parsed, category: int, joints: int, area: str) -> tuple[CocoFile, list[Any]]:
    """The persons of a category.

    Args:
        parsed: The file.
        category: Its id.
        joints: K.
        area: ``annotation``, or ``box`` to take 0.53 of the box whatever the file has.

    Raises:
        InputError: If an annotation has no area and ``boxed`` is false.
    """
    unusable: list[Any] = []
    found: list[dict[str, Any]] = []
    for row in parsed.annotations:
        if row.get("category_id") != category:
            continue
        person = _person(row, joints, area == "box", parsed)
        if person is None:
            unusable.append(row.get("id"))
        else:
            # An id of 0 would read as "not matched", and of equal ids only the last would count.
            found.append({**person, "category_id": category, "id": len(found) + 1})
    file = CocoFile()
    file.dataset = {
        "images": [{"id": key} for key in parsed.images],
        "annotations": found,
        "categories": [{"id": category, "name": "person"}],
    }
    file.createIndex()
    return file, unusable


def _person(row: Mapping[str, Any], joints: int, boxed: bool, parsed: Parsed) -> dict[str, Any] | None:
    keypoints, box, crowd = row.get("keypoints", np.zeros(3 * joints)), row.get("bbox"), row.get("iscrowd", 0)
    if keypoints is None or box is None or (len(keypoints), len(box)) != (3 * joints, 4):
        return None
    if row["image_id"] not in parsed.images or crowd not in (0, 1):
        return None
    area = BOX_COVER * float(box[2] * box[3]) if boxed else row.get("area")
    if area is None:
        raise InputError(
            f"{parsed.path}: annotation {row.get('id')} has no area, by which OKS is scaled; add the mask's area, or "
            "set data.metric.area=box to take 0.53 x box width x height as CrowdPose does"
        )
    if type(area) not in (int, float) or not 0 <= area <= FURTHEST**2:
        return None
    count = row.get("num_keypoints")
    return {
        "image_id": row["image_id"],
        "bbox": box,
        "area": area,
        "iscrowd": int(crowd),
        "keypoints": keypoints,
        "num_keypoints": count if type(count) is int else int((keypoints[2::3] > 0).sum()),
    }


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    lists = {key: _numbers(row[key]) for key in ("bbox", "keypoints") if key in row}
    return {key: row[key] for key in KEPT if key in row} | {"image_id": _whole(row.get("image_id"))} | lists


def _rows(records: Any) -> list[dict[str, Any]]:
    return [row for row in records if isinstance(row, dict)] if isinstance(records, list) else []


def _whole(value: Any) -> int | None:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if type(value) is int else None


def _numbers(values: Any) -> np.ndarray | None:
    if not isinstance(values, list) or not all(type(v) in (int, float) for v in values):
        return None
    try:
        found = np.array(values, np.float64)
    except OverflowError:
        return None
    # Not a number is not below the limit either.
    return found if (np.abs(found) <= FURTHEST).all() else None
