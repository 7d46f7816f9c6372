"""Ground truth from what the rays hit: masks, boxes, and keypoints with their visibility."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from poserep.data.synthetic.raycast import RayHits
from poserep.data.synthetic.skeleton3d import Figure
from poserep.data.synthetic.world import Array, Mask
from poserep.skeleton import COCO

PERSON = {
    "id": 1,
    "name": "person",
    "supercategory": "person",
    "keypoints": list(COCO.names),
    "skeleton": [[a + 1, b + 1] for a, b in COCO.edge_indices()],
}
# Nose, eyes and ears come first.
_FACIAL = 5
# Someone with less in view has no keypoints.
_MIN_PIXELS, _MIN_KEYPOINTS = 120, 4
# How far a joint may lie below the surface that covers it (metres): the flesh and cloth of its own limb.
_BURIED = {
    "nose": 0.035, "eye": 0.035, "ear": 0.045, "shoulder": 0.14, "elbow": 0.085, "wrist": 0.07, "hip": 0.19,
    "knee": 0.105, "ankle": 0.09, "pelvis": 0.19, "neck": 0.12, "skull": 0.12, "crown": 0.10,
}  # fmt: skip
# Cosine between a facial feature's normal and the ray back to the camera below which the head itself hides it.
_TURNED_AWAY = np.array([-0.12, 0.03, 0.03, -0.30, -0.30])


@dataclass(frozen=True)
class CameraView:
    """What a camera sees of people: the figures, of which surfaces' ``owner`` is the index, and the rays' hits.

    With a ``crowd``, the owner that follows the last figure is a crowd of people who are labelled as one.
    """

    figures: Sequence[Figure]
    hits: RayHits
    crowd: bool = False

    def label(self, joints: Sequence[str], owner: int) -> tuple[Array, Mask]:
        """Label K joints of one person, by the names that the figure has for them.

        The labels (K, 3) are x, y in image px and visibility: 2 if visible, 1 if covered, 0 (all three) outside the
        image. The second result (K,) tells whether the person's own head covers the joint.
        """
        figure, camera, depths, table = self.figures[owner], self.hits.camera, self.hits.depth, self.hits.table
        x, y, depth = camera.project(np.stack([figure.joints[name] for name in joints])).round(2).T
        inside = (depth > 0.0) & (x >= 0.0) & (x <= camera.width - 1) & (y >= 0.0) & (y <= camera.height - 1)
        spots = (np.rint(np.where(inside, v + 0.5, 0.5) * self.hits.scale - 0.5).astype(int) for v in (y, x))
        row, col = (np.minimum(spot, n - 1) for spot, n in zip(spots, depths.shape, strict=True))
        front, part = depths[row, col], self.hits.surface[row, col]
        hidden = front < depth - np.array([_BURIED[name.split("_")[-1]] for name in joints])
        own = (part >= 0) & (table.owner[part] == owner)
        # A surface just in front of the joint is its own flesh only if it is the same person's.
        covered = hidden | ((part >= 0) & ~own & (front < depth))
        labels = np.stack([x, y, np.where(covered, 1.0, 2.0)], axis=1)
        return np.where(inside[:, None], labels, 0.0), hidden & own & table.head[part]

    def masks(self) -> Iterator[Mask]:
        """Yield the pixels (H, W) of each person: at least half of a pixel must be theirs."""
        # The entry appended is the owner of surface -1, which is nothing.
        owners = np.append(self.hits.table.owner, -1).astype(np.int8)[self.hits.surface]
        camera, scale = self.hits.camera, self.hits.scale
        owners = owners.reshape(camera.height, scale, camera.width, scale).transpose(1, 3, 0, 2).copy()
        for owner in range(len(self.figures) + self.crowd):
            yield (owners == owner).sum(axis=(0, 1), dtype=np.int8) * 2 >= scale * scale

    @cached_property
    def people(self) -> dict[int, dict[str, Any]]:
        """Annotations of everybody of whom a pixel shows, by index, as COCO's files have them but for the ids.

        Someone with too little in view has a box and a mask, and no keypoints. Masks are compressed run lengths.
        """
        people = {}
        for owner, mask in enumerate(self.masks()):
            area = int(mask.sum())
            if not area:
                continue
            crowd = owner == len(self.figures)
            keypoints = np.zeros((len(COCO.names), 3)) if crowd else self._keypoints(owner)
            if area < _MIN_PIXELS or (keypoints[:, 2] > 0).sum() < _MIN_KEYPOINTS:
                keypoints = np.zeros_like(keypoints)
            people[owner] = {
                "category_id": PERSON["id"],
                "segmentation": _run_lengths(mask),
                "bbox": [float(v) for v in cv2.boundingRect(mask.astype(np.uint8))],
                "area": float(area),
                "iscrowd": int(crowd),
                "num_keypoints": int((keypoints[:, 2] > 0).sum()),
                "keypoints": coco_values(keypoints),
            }
        return people

    def _keypoints(self, owner: int) -> Array:
        """Return COCO's labels (17, 3), in which people whose face is turned away have no eyes."""
        figure = self.figures[owner]
        labels, behind_head = self.label(COCO.names, owner)
        to_camera = self.hits.camera.position - np.stack([figure.joints[name] for name in COCO.names[:_FACIAL]])
        to_camera /= np.linalg.norm(to_camera, axis=1, keepdims=True)
        turned = (figure.face_normals() * to_camera).sum(axis=1) < _TURNED_AWAY
        labels[:_FACIAL][turned | behind_head[:_FACIAL]] = 0.0
        return labels


def coco_values(labels: Array) -> list[float]:
    """Return labels (K, 3) as COCO's files list them: x, y, visibility of one keypoint after the other."""
    return [value for x, y, flag in labels.tolist() for value in (round(x, 2), round(y, 2), int(flag))]


def _run_lengths(mask: Mask) -> dict[str, Any]:
    """Return a mask (H, W) as COCO's files list it: its size, and its run lengths as text."""
    encoded = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": list(mask.shape), "counts": encoded["counts"].decode("ascii")}
