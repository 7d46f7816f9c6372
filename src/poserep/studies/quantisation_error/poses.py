"""Annotated poses, and the crops through which a network would see them; no image is needed."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from torch import Tensor

from poserep.data import load_coco
from poserep.data.coco_file import read_coco
from poserep.errors import InputError, check_choice
from poserep.files import file_hash
from poserep.geometry import Align, Crop, Size, box_to_region, crop_matrix
from poserep.instances import Instance
from poserep.metrics.coco import AreaSource
from poserep.skeleton import Skeleton


@dataclass(frozen=True, eq=False)
class Poses:
    """The annotated persons of a COCO-format file. Two are equal only if they are the same object.

    ``digest`` is the hash of the file that was read, ``area`` where areas come from; ``xy`` (N, K, 2) are float32,
    image px, ``weight`` (N, K) is 0 where unlabelled, else 1.
    """

    annotations: Path
    digest: str
    area: AreaSource
    skeleton: Skeleton
    instances: list[Instance]
    xy: Tensor
    weight: Tensor

    def crops(self, size: Size, align: Align) -> Crop:
        """The crops of evaluation, around annotated boxes."""
        boxes = np.stack([instance.box for instance in self.instances])
        return Crop(torch.from_numpy(crop_matrix(*box_to_region(boxes, size, align), size, align)))


@lru_cache
def read_poses(annotations: Path, skeleton: Skeleton, area: AreaSource, skip_invalid: bool) -> Poses:
    """Read the persons with labelled joints of a COCO-format file, whose images need not exist.

    The skeleton must have the file's keypoints; OKS is scaled by ``area``, see `poserep.metrics.coco.CocoAP`, and
    ``skip_invalid`` leaves out persons whose box has no area. No keypoints, other keypoints, boxes without area, and
    persons without ``area`` are an `InputError`.
    """
    check_choice("table.area", area, get_args(AreaSource))
    instances = load_coco(annotations, annotations.parent, skeleton, skip_invalid=skip_invalid)
    records = read_coco(annotations).annotations or ()
    lacking = [record["id"] for record in records if "area" not in record] if area == "annotation" else []
    if lacking:
        raise InputError(
            f"{annotations}: {len(lacking)} of {len(records)} annotations, {lacking[0]} among them, have no area, by "
            "which OKS is scaled; table.area=box takes 0.53 x box width x height for all, as CrowdPose does"
        )
    arrays = [i.keypoints for i in instances], [i.weight for i in instances]
    xy, weight = (torch.from_numpy(np.stack(array).astype(np.float32)) for array in arrays)
    return Poses(annotations, file_hash(annotations), area, skeleton, instances, xy, weight)
