"""COCO-format keypoint annotations and detection files, of any skeleton."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from poserep.data.instances import Instance
from poserep.errors import InputError
from poserep.skeleton import Skeleton


def load_coco(
    annotations: str | Path,
    images: str | Path,
    skeleton: Skeleton,
    detections: str | Path | None = None,
    skip_invalid: bool = False,
) -> list[Instance]:
    """Read persons from a COCO-format annotation file.

    With annotated boxes: every person with a labelled keypoint that is no crowd, its box clipped to the image. With a
    detection file: every box of the annotations' images, unclipped, without keypoints.

    Args:
        annotations: JSON with ``images``, ``annotations`` and ``categories``.
        images: Folder that the files' names are relative to.
        skeleton: Must have the category's keypoints, in order.
        detections: COCO result file with ``image_id``, ``category_id``, ``bbox``, ``score``; None takes the
            annotated boxes.
        skip_invalid: Drop boxes without area in place of refusing them.

    Raises:
        InputError: If a file is missing or malformed, the skeleton does not fit, or a box has no area.
    """
    path = Path(annotations)
    data = read_json(path, "annotation file")
    if not isinstance(data, Mapping) or not {"images", "annotations", "categories"} <= data.keys():
        raise InputError(f"annotation file {path} lacks images, annotations or categories: is it COCO format?")
    category = keypoint_category(data["categories"], skeleton, path)
    # Some files in the wild repeat an image once per person.
    by_id = {record["id"]: record for record in data["images"]}
    folder = Path(images)
    if detections is None:
        return _annotated(data["annotations"], by_id, category, folder, skeleton, path, skip_invalid)
    return _detected(Path(detections), by_id, category, folder, skeleton, skip_invalid)


def read_json(path: Path, what: str) -> Any:
    """Parse a JSON file.

    Raises:
        InputError: If it is missing or not JSON.
    """
    if not path.is_file():
        raise InputError(f"{what} {path} does not exist; set data.root (or the file's own key) to where it lies")
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise InputError(f"{what} {path} is not valid JSON: {error}") from error


def keypoint_category(categories: Iterable[Mapping[str, Any]], skeleton: Skeleton, path: Path) -> int:
    """The id of the category that carries the skeleton's keypoints.

    Raises:
        InputError: If no category has keypoints, or none has the skeleton's.
    """
    with_keypoints = [c for c in categories if c.get("keypoints")]
    if not with_keypoints:
        raise InputError(
            f"{path}: no category has keypoints; this is a detection or caption file. For COCO take person_keypoints_*"
        )
    for candidate in with_keypoints:
        if tuple(candidate["keypoints"]) == skeleton.names:
            return candidate["id"]
    found = with_keypoints[0]["keypoints"]
    raise InputError(
        f"{path}: its keypoints are not those of skeleton {skeleton.name!r}: {len(found)} in the file {list(found)}, "
        f"{skeleton.num_keypoints} in the skeleton {list(skeleton.names)}; set data.skeleton to the file's keypoints"
    )


def _annotated(
    annotations: Iterable[Mapping[str, Any]],
    images: Mapping[int, Mapping[str, Any]],
    category: int,
    folder: Path,
    skeleton: Skeleton,
    path: Path,
    skip_invalid: bool,
) -> list[Instance]:
    instances = []
    for annotation in annotations:
        if annotation["category_id"] != category or annotation.get("iscrowd", 0):
            continue
        flat = annotation.get("keypoints", ())
        if len(flat) != 3 * skeleton.num_keypoints:
            raise InputError(
                f"{path}: annotation {annotation['id']} has {len(flat)} keypoint numbers; skeleton {skeleton.name!r} "
                f"needs 3 for each of its {skeleton.num_keypoints} keypoints"
            )
        keypoints = np.asarray(flat, np.float32).reshape(-1, 3)
        if not (keypoints[:, 2] > 0).any():
            continue
        if not np.isfinite(keypoints).all():
            raise InputError(f"{path}: annotation {annotation['id']} has keypoints that are not finite numbers")
        if len(annotation.get("bbox", ())) != 4:
            raise InputError(f"{path}: annotation {annotation['id']} has no bbox [x, y, width, height]")
        record = _image(images, annotation["image_id"], path)
        x, y, w, h = (float(v) for v in annotation["bbox"])
        left, top = max(x, 0.0), max(y, 0.0)
        right, bottom = min(x + w, float(record["width"])), min(y + h, float(record["height"]))
        box = np.array([left, top, right - left, bottom - top])
        if not _has_area(box, f"{path}: annotation {annotation['id']}", skip_invalid):
            continue
        weight = (keypoints[:, 2] > 0).astype(np.float32)
        instances.append(
            Instance(
                folder / record["file_name"],
                annotation["image_id"],
                annotation["id"],
                box,
                keypoints[:, :2],
                weight,
                area=float(annotation.get("area") or 0.0),
            )
        )
    if not instances:
        raise InputError(f"{path}: no person with labelled keypoints")
    return instances


def _detected(
    path: Path,
    images: Mapping[int, Mapping[str, Any]],
    category: int,
    folder: Path,
    skeleton: Skeleton,
    skip_invalid: bool,
) -> list[Instance]:
    nothing = np.zeros((skeleton.num_keypoints, 2), np.float32), np.zeros(skeleton.num_keypoints, np.float32)
    instances = []
    for number, detection in enumerate(read_json(path, "detection file")):
        lacking = sorted({"image_id", "category_id", "bbox", "score"} - detection.keys())
        if lacking:
            raise InputError(f"{path}: detection {number} has no {lacking}; is it a COCO result file?")
        if detection["category_id"] != category or detection["image_id"] not in images:
            continue
        box = np.asarray(detection["bbox"], np.float64)
        if not _has_area(box, f"{path}: detection {number}", skip_invalid):
            continue
        image = folder / images[detection["image_id"]]["file_name"]
        instances.append(Instance(image, detection["image_id"], number, box, *nothing, score=float(detection["score"])))
    if not instances:
        raise InputError(f"{path}: no detection of category {category} lies on an image of the annotation file")
    return instances


def _image(images: Mapping[int, Mapping[str, Any]], image_id: int, path: Path) -> Mapping[str, Any]:
    if image_id not in images:
        raise InputError(f"{path}: an annotation names image {image_id}, which the file does not list")
    return images[image_id]


def _has_area(box: np.ndarray, where: str, skip_invalid: bool) -> bool:
    if np.isfinite(box).all() and (box[2:] > 0).all():
        return True
    if skip_invalid:
        return False
    raise InputError(
        f"{where} has a box without area inside its image, [x, y, w, h] = {[round(float(v), 2) for v in box]}; mend "
        "the file, or set data.skip_invalid=true to leave such persons out"
    )
