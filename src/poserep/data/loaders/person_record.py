"""Keypoints and box of a person's record, or why they cannot be used."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from poserep.data.json_fields import FURTHEST, Box, Invalid, abridged, as_box, as_keypoints
from poserep.skeleton import Skeleton

MEND = "mend the file"
MOST_VISIBLE = 2


def keypoints_of(record: Mapping[str, Any], skeleton: Skeleton) -> np.ndarray:
    """Return the keypoints as float64 (K, 3), x and y in image px and visibility, or raise `Invalid`."""
    given, joints = record.get("keypoints"), skeleton.num_keypoints
    values = as_keypoints(given, joints)
    if values is not None:
        points = values.reshape(-1, 3)
        strange = (points[:, 2] < 0) | (points[:, 2] > MOST_VISIBLE)
        if strange.any():
            raise Invalid(
                "with a visibility outside 0 to 2",
                f"has the visibility {points[strange, 2][0]:g} of {skeleton.names[int(strange.argmax())]}",
                "write 0 for unlabelled, 1 for hidden, 2 for visible joints (some sets count otherwise)",
            )
        return points
    if not isinstance(given, list) or len(given) != 3 * joints:
        what = f"{len(given)} keypoint numbers" if isinstance(given, list) else f"the keypoints {abridged(given)}"
        raise Invalid(
            "with keypoints of another skeleton",
            f"has {what}; skeleton {skeleton.name!r} needs 3 for each of its {joints} keypoints",
            "write x, y, visibility of every joint, 0, 0, 0 if unlabelled",
        )
    message = f"has keypoints that are not finite numbers up to {FURTHEST:g}"
    raise Invalid("with keypoints that are no numbers", message, "write 0, 0, 0 for unlabelled joints")


def box_of(record: Mapping[str, Any], remedy: str) -> Box:
    """Return the box as x, y, width, height, image px, or raise `Invalid` with a remedy."""
    box = as_box(record)
    if box is None:
        raise Invalid(
            "without a box of four numbers",
            f"has no bbox [x, y, width, height] of finite numbers up to {FURTHEST:g}, but "
            f"{abridged(record.get('bbox'))}",
            remedy,
        )
    return box


def no_area(box: Box, where: str, remedy: str) -> Invalid:
    """Return the refusal of a box (image px) without area."""
    sides = np.round(box, 2).tolist()
    return Invalid("with a box without area", f"has a box without area{where}, [x, y, w, h] = {sides}", remedy)
