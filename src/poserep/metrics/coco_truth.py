"""The persons of an annotation file as COCO's evaluation takes them: all that can be read, of one category."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from poserep.data.coco_file import CocoFile
from poserep.data.json_fields import FURTHEST, as_box, as_integer, as_keypoints
from poserep.errors import InputError
from poserep.instances import BOX_COVER


@lru_cache(maxsize=1)
def persons_of(
    file: CocoFile, categories: tuple[int, ...], joints: int, area: str, columns: tuple[int, ...]
) -> tuple[list[dict[str, Any]], list[Any]]:
    """Return all persons and crowds of categories, numbered from 1, and the ids of those that cannot be read.

    They count as one category, the first. ``area`` is ``annotation``, which every annotation must have then, or ``box``
    to take 0.53 of the box whatever the file has. ``columns`` are the positions of the evaluated joints among those of
    the file. Where some are left out, ``num_keypoints`` counts the labelled ones of the others, whatever the file says.
    """
    records = [r for r in file.annotations or () if isinstance(r, dict) and r.get("category_id") in categories]
    persons = [_person(record, joints, area == "box", file, columns) for record in records]
    unusable = [record.get("id") for record, person in zip(records, persons, strict=True) if person is None]
    # The file's ids may repeat, or be 0, which COCOeval takes for "not matched".
    known = enumerate((person for person in persons if person is not None), 1)
    return [{**person, "category_id": categories[0], "id": number} for number, person in known], unusable


def _person(
    record: Mapping[str, Any], joints: int, by_box: bool, file: CocoFile, columns: tuple[int, ...]
) -> dict[str, Any] | None:
    keypoints, box = as_keypoints(record.get("keypoints"), joints), as_box(record)
    image, crowd, count = as_integer(record.get("image_id")), record.get("iscrowd", 0), record.get("num_keypoints")
    if keypoints is None or box is None:
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
    keypoints = keypoints.reshape(joints, 3)[list(columns)].ravel()
    given = type(count) is int and len(columns) == joints
    return {
        "image_id": image,
        "bbox": np.array(box),
        "area": area,
        "iscrowd": int(crowd),
        "keypoints": keypoints,
        "num_keypoints": count if given else int((keypoints[2::3] > 0).sum()),
    }
