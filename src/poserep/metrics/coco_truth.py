"""The ground truth of a COCO-format file as pycocotools needs it."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from pycocotools.coco import COCO

from poserep.data.coco_file import CocoFile
from poserep.data.json_fields import FURTHEST, as_box, as_integer, as_numbers
from poserep.errors import InputError
from poserep.instances import BOX_COVER


def ground_truth(file: CocoFile, category: int, joints: int, area: str) -> tuple[COCO, list[Any]]:
    """Return all persons and crowds of a category for one COCOeval, which writes into them.

    ``area`` is ``annotation``, which every annotation must have then, or ``box`` to take 0.53 of the box whatever the
    file has. Beside the persons, the ids of the annotations are returned that cannot be read and are left out.
    """
    persons, unusable = _persons(file, category, joints, area)
    truth = COCO()
    truth.dataset = {
        "images": [{"id": key} for key in file.images_by_id],
        "annotations": [dict(person) for person in persons],
        "categories": [{"id": category, "name": "person"}],
    }
    truth.createIndex()
    return truth, unusable


@lru_cache(maxsize=1)
def _persons(file: CocoFile, category: int, joints: int, area: str) -> tuple[list[dict[str, Any]], list[Any]]:
    persons: list[dict[str, Any]] = []
    unusable: list[Any] = []
    for record in file.annotations or ():
        if not isinstance(record, dict) or record.get("category_id") != category:
            continue
        person = _person(record, joints, area == "box", file)
        if person is None:
            unusable.append(record.get("id"))
        else:
            # The file's ids may repeat, or be 0, which COCOeval takes for "not matched".
            persons.append({**person, "category_id": category, "id": len(persons) + 1})
    return persons, unusable


def _person(record: Mapping[str, Any], joints: int, by_box: bool, file: CocoFile) -> dict[str, Any] | None:
    keypoints, box = as_numbers(record.get("keypoints", [0] * 3 * joints), FURTHEST), as_box(record)
    image, crowd, count = as_integer(record.get("image_id")), record.get("iscrowd", 0), record.get("num_keypoints")
    if keypoints is None or box is None or len(keypoints) != 3 * joints:
        return None
    if image not in file.images_by_id or crowd not in (0, 1):
        return None
    area = BOX_COVER * float(box[2] * box[3]) if by_box else record.get("area")
    if area is None:
        raise InputError(
            f"{file.path}: annotation {record.get('id')} has no area, by which OKS is scaled; add the mask's area, or "
            "set data.metric.area=box to take 0.53 x box width x height as CrowdPose does"
        )
    if type(area) not in (int, float) or not 0 <= area <= FURTHEST**2:
        return None
    return {
        "image_id": image,
        "bbox": np.array(box),
        "area": area,
        "iscrowd": int(crowd),
        "keypoints": keypoints,
        "num_keypoints": count if type(count) is int else int((keypoints[2::3] > 0).sum()),
    }
