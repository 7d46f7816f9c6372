"""Ground truth from the depth buffer: masks, boxes, keypoint visibility, and a pretended detector's output."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poserep.data.synthetic.camera import Camera
from poserep.data.synthetic.raster import Buffer, PartTable
from poserep.data.synthetic.skeleton3d import KEYPOINT_NAMES, Array, Figure

SKELETON = (
    (16, 14), (14, 12), (17, 15), (15, 13), (12, 13), (6, 12), (7, 13), (6, 7), (6, 8), (7, 9), (8, 10), (9, 11),
    (2, 3), (1, 2), (1, 3), (2, 4), (3, 5), (4, 6), (5, 7),
)  # fmt: skip
CATEGORY = {
    "id": 1,
    "name": "person",
    "supercategory": "person",
    "keypoints": list(KEYPOINT_NAMES),
    "skeleton": [list(pair) for pair in SKELETON],
}
FACE = 5
MIN_PIXELS = 120
MIN_KEYPOINTS = 4

# How far a joint may lie below the surface that covers it (metres): the flesh and cloth of its own limb.
_BURIED = {
    "nose": 0.035, "eye": 0.035, "ear": 0.045, "shoulder": 0.14, "elbow": 0.085, "wrist": 0.07, "hip": 0.19,
    "knee": 0.105, "ankle": 0.09, "pelvis": 0.19, "neck": 0.12, "skull": 0.12, "crown": 0.10,
}  # fmt: skip
# Cosine between a facial feature's normal and the ray back to the camera below which the head itself hides it.
_TURNED_AWAY = np.array([-0.12, 0.03, 0.03, -0.30, -0.30])


@dataclass(frozen=True)
class Instance:
    """One person's labels: keypoints (17, 3) as x, y, visibility; box as x, y, w, h; area in pixels; their index."""

    keypoints: Array
    box: tuple[float, float, float, float]
    area: int
    owner: int

    @property
    def labelled(self) -> int:
        """Number of keypoints with visibility 1 or 2."""
        return int((self.keypoints[:, 2] > 0).sum())


@dataclass(frozen=True)
class View:
    """What the camera saw.

    Attributes:
        figures: The people; their index is ``table.owner``.
        camera: The camera.
        buffer: Depth and part at ``scale`` times the image's resolution.
        table: The parts that were cast.
        scale: Supersampling factor.
    """

    figures: Sequence[Figure]
    camera: Camera
    buffer: Buffer
    table: PartTable
    scale: int

    def look(self, joints: Sequence[str], owner: int) -> tuple[Array, NDArray[np.bool_], NDArray[np.bool_]]:
        """Label joints of one person.

        Args:
            joints: Names of a figure's joints.
            owner: Index of the person.

        Returns:
            (K, 3) x, y, visibility in image px: 2 if visible, 1 if covered, 0 (all three) outside the image; (K,)
            whether a surface lies before the joint and its own flesh, and (K,) whether that is the person's own head.
        """
        figure, camera, depths, table = self.figures[owner], self.camera, self.buffer.depth, self.table
        x, y, depth = camera.project(np.stack([figure.joints[name] for name in joints])).round(2).T
        inside = (depth > 0.0) & (x >= 0.0) & (x <= camera.width - 1) & (y >= 0.0) & (y <= camera.height - 1)
        spots = (np.rint(np.where(inside, v + 0.5, 0.5) * self.scale - 0.5).astype(int) for v in (y, x))
        row, col = (np.minimum(spot, n - 1) for spot, n in zip(spots, depths.shape, strict=True))
        surface, part = depths[row, col], self.buffer.part[row, col]
        hidden = surface < depth - np.array([_BURIED[name.split("_")[-1]] for name in joints])
        own = (part >= 0) & (table.owner[part] == owner)
        # A surface just in front of the joint is its own flesh only if it is the same person's.
        covered = hidden | ((part >= 0) & ~own & (surface < depth))
        labels = np.stack([x, y, np.where(covered, 1.0, 2.0)], axis=1)
        return np.where(inside[:, None], labels, 0.0), hidden, own & table.head[part]

    def masks(self) -> Iterator[NDArray[np.bool_]]:
        """The pixels (H, W) of each person: at least half of a pixel must be theirs."""
        # The entry appended is what the index -1 of an empty pixel finds.
        owners = np.append(self.table.owner, -1).astype(np.int8)[self.buffer.part]
        scale = self.scale
        for owner in range(len(self.figures)):
            fine = (owners == owner).astype(np.uint8)
            share = np.zeros((self.camera.height, self.camera.width), dtype=np.uint8)
            for step in range(scale * scale):
                share += fine[step // scale :: scale, step % scale :: scale]
            yield share * 2 >= scale * scale


def _keypoints(view: View, owner: int) -> Array:
    """COCO's labels, in which people whose face is turned away have no eyes."""
    figure = view.figures[owner]
    labels, hidden, head = view.look(KEYPOINT_NAMES, owner)
    to_camera = view.camera.position - figure.keypoints()[:FACE]
    to_camera /= np.linalg.norm(to_camera, axis=1, keepdims=True)
    turned = (figure.face_normals() * to_camera).sum(axis=1) < _TURNED_AWAY
    labels[:FACE][turned | (hidden & head)[:FACE]] = 0.0
    return labels


def instances(
    figures: Sequence[Figure], camera: Camera, buffer: Buffer, table: PartTable, scale: int
) -> list[Instance]:
    """Label every person of whom at least one pixel shows.

    Args:
        figures: The people; their index is ``table.owner``.
        camera: The camera.
        buffer: Depth and part at ``scale`` times the image's resolution.
        table: The parts that were cast.
        scale: Supersampling factor.

    Returns:
        Instances in the order of ``figures``. Someone with too little in view keeps box and area, with all keypoints 0.
    """
    view = View(figures, camera, buffer, table, scale)
    found = []
    for owner, mask in enumerate(view.masks()):
        rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if not rows.size:
            continue
        box = (float(cols[0]), float(rows[0]), float(cols[-1] - cols[0] + 1), float(rows[-1] - rows[0] + 1))
        area = int(mask.sum())
        keypoints = _keypoints(view, owner)
        if area < MIN_PIXELS or (keypoints[:, 2] > 0).sum() < MIN_KEYPOINTS:
            keypoints = np.zeros_like(keypoints)
        found.append(Instance(keypoints, box, area, owner))
    return found


def flat(labels: Array) -> list[float]:
    """Labels (K, 3) as COCO's files list them: x, y, visibility of one keypoint after the other."""
    rows = [(round(x, 2), round(y, 2), int(flag)) for x, y, flag in labels.tolist()]
    return [value for row in rows for value in row]


def _overlap(a: Array, b: Array) -> float:
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[:2] + a[2:], b[:2] + b[2:])
    inner = float(np.prod(np.clip(high - low, 0.0, None)))
    return inner / max(float(a[2] * a[3] + b[2] * b[3]) - inner, 1e-9)


def detect(
    rng: np.random.Generator, image: dict[str, Any], annotations: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Pretend to be a person detector on one image.

    Args:
        rng: Source of every choice.
        image: COCO image entry.
        annotations: COCO annotations of that image.

    Returns:
        COCO detection results: jittered boxes whose scores follow their overlap with the truth, with some people
        missed, some found twice and some low-scoring false alarms.
    """
    width, height = image["width"], image["height"]
    found: list[dict[str, Any]] = []

    def report(box: Array, score: float) -> None:
        x0, y0 = np.clip(box[:2], 0.0, [width - 2.0, height - 2.0])
        x1, y1 = np.clip(box[:2] + box[2:], [x0 + 2.0, y0 + 2.0], [width, height])
        entry = {
            "image_id": image["id"],
            "category_id": 1,
            "bbox": [round(float(v), 2) for v in (x0, y0, x1 - x0, y1 - y0)],
        }
        found.append({**entry, "score": round(float(np.clip(score, 0.01, 0.999)), 4)})

    def jitter(truth: Array, noise: float) -> Array:
        step = rng.normal(0.0, noise, 4) * np.tile(truth[2:], 2)
        return np.concatenate([truth[:2] + step[:2] - step[2:] / 2, np.maximum(truth[2:] + step[2:], 2.0)])

    for annotation in annotations:
        truth = np.array(annotation["bbox"])
        missed, twice = rng.random(2)
        if missed < (0.03 if annotation["num_keypoints"] else 0.4):
            continue
        box = jitter(truth, 0.05)
        score = 0.15 + 0.85 * _overlap(box, truth) + rng.normal(0.0, 0.05)
        report(box, score if annotation["num_keypoints"] else score * 0.6)
        if twice < 0.05:
            second = jitter(truth, 0.12)
            report(second, 0.55 * _overlap(second, truth) * rng.uniform(0.5, 1.0))
    for _ in range(max(1, len(annotations))):
        if rng.random() < 0.08:
            size = rng.uniform((0.08, 0.2), (0.35, 0.8)) * (width, height)
            report(
                np.concatenate([rng.uniform((0.0, 0.0), (width - size[0], height - size[1])), size]), rng.beta(1.5, 7.0)
            )
    return found
