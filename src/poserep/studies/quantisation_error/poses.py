"""Annotated poses, and the crops through which a network would see them; no image is needed."""

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from poserep.data import load_coco
from poserep.errors import InputError
from poserep.files import file_hash, write_json
from poserep.geometry import Align, Crop, Size, box_to_region, crop_matrix
from poserep.instances import BOX_COVER, Instance
from poserep.skeleton import Skeleton

Area = Literal["annotation", "box"]


@dataclass(frozen=True, eq=False)
class Poses:
    """The annotated persons of a file. Two are equal only if they are the same object.

    Attributes:
        annotations: COCO-format file with an area for each of them.
        digest: Hash of the file that was read.
        area: Whose areas they are.
        xy: (N, K, 2) float32, image px.
        weight: (N, K) float32, 0 where unlabelled, else 1.
    """

    annotations: Path
    digest: str
    area: Area
    skeleton: Skeleton
    instances: list[Instance]
    xy: Tensor
    weight: Tensor

    def crops(self, size: Size, align: Align) -> Crop:
        """The crops of evaluation, around annotated boxes."""
        boxes = np.stack([instance.box for instance in self.instances])
        return Crop(torch.from_numpy(crop_matrix(*box_to_region(boxes, size, align), size, align)))


@lru_cache
def read_poses(annotations: Path, skeleton: Skeleton, area: Area, skip_invalid: bool, scratch: Path) -> Poses:
    """Read the persons with labelled joints of a COCO-format file, whose images need not exist.

    Args:
        annotations: The file.
        skeleton: Must have the file's keypoints.
        area: By which OKS is scaled: the ``annotation``'s own, or 0.53 x width x height of its ``box`` (CrowdPose).
        skip_invalid: Leave out persons whose box has no area.
        scratch: Folder for a copy of the file with areas, if they are those of boxes.

    Raises:
        InputError: If the file has no keypoints, other keypoints, boxes without area, or persons without ``area``.
    """
    if area not in ("annotation", "box"):
        raise InputError(f"table.area={area!r} is not one of ('annotation', 'box')")
    instances = load_coco(annotations, annotations.parent, skeleton, skip_invalid=skip_invalid)
    digest = file_hash(annotations)
    data = json.loads(annotations.read_bytes())
    if area == "box":
        for annotation in data["annotations"]:
            width, height = annotation.get("bbox", (0, 0, 0, 0))[2:]
            annotation["area"] = BOX_COVER * width * height
        annotations = scratch / f"annotations-{digest}.json"
        annotations.parent.mkdir(parents=True, exist_ok=True)
        write_json(annotations, data)
    else:
        lacking = [a for a in data["annotations"] if "area" not in a]
        if lacking:
            raise InputError(
                f"{annotations}: {len(lacking)} of {len(data['annotations'])} annotations, {lacking[0]['id']} among "
                "them, have no area, by which OKS is scaled; table.area=box takes 0.53 x box width x height for all, "
                "as CrowdPose does"
            )
    arrays = [i.keypoints for i in instances], [i.weight for i in instances]
    xy, weight = (torch.from_numpy(np.stack(array).astype(np.float32)) for array in arrays)
    return Poses(annotations, digest, area, skeleton, instances, xy, weight)
