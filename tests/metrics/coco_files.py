"""A COCO file of three persons with five joints, the scorer that reads it, and predictions for it."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from poserep.data.loaders.coco import load_coco
from poserep.geometry import Size
from poserep.instances import Truth
from poserep.metrics.coco import CocoAP
from poserep.metrics.scorer import Predictions
from poserep.skeleton import Skeleton

NAMES = ["nose", "left_hand", "right_hand", "left_foot", "right_foot"]
SHAPE = np.array([[0.5, 0.1], [0.9, 0.5], [0.1, 0.5], [0.8, 0.9], [0.2, 0.9]])
SIZE = Size(64, 64)


def skeleton(sigma: float = 0.08) -> Skeleton:
    pairs = [["left_hand", "right_hand"], ["left_foot", "right_foot"]]
    return Skeleton.from_category({"name": "five", "keypoints": NAMES, "pairs": pairs, "sigmas": [sigma] * 5})


def person(number: int, image: int, box: list[float], **changes: Any) -> dict[str, Any]:
    keypoints = np.concatenate([np.array(box[:2]) + SHAPE * box[2:], np.full((5, 1), 2.0)], 1).ravel().tolist()
    place = {"id": number, "image_id": image, "category_id": 1, "bbox": box, "area": 0.5 * box[2] * box[3]}
    return {**place, "iscrowd": 0, "num_keypoints": 5, "keypoints": keypoints, **changes}


def annotations() -> dict[str, Any]:
    """One person of medium area, two large ones."""
    boxes = {1: (7, [10, 20, 80, 90]), 2: (8, [20, 30, 150, 200]), 3: (8, [200, 40, 150, 200])}
    return {
        "images": [{"id": i, "file_name": f"{i}.png", "width": 400, "height": 300} for i in (7, 8)],
        "annotations": [person(number, image, box) for number, (image, box) in boxes.items()],
        "categories": [{"id": 1, "name": "person", "keypoints": NAMES, "skeleton": []}],
    }


def scorer(folder: Path, data: dict[str, Any] | None = None, sigma: float = 0.08, **options: Any) -> CocoAP:
    """Score the three persons against a file that may differ from the one that they were loaded from."""
    loaded, scored = folder / "loaded.json", folder / "scored.json"
    loaded.write_text(json.dumps(annotations()))
    scored.write_text(json.dumps(data or annotations()))
    return CocoAP(Truth(load_coco(loaded, folder, skeleton()), skeleton(sigma), scored, SIZE), **options)


def alone(folder: Path, sigma: float = 0.08, **changes: Any) -> CocoAP:
    """Score one person of area 5000."""
    path = folder / "one.json"
    path.write_text(json.dumps(annotations() | {"annotations": [person(1, 7, [10, 20, 100, 100], **changes)]}))
    return CocoAP(Truth(load_coco(path, folder, skeleton()), skeleton(sigma), path, SIZE))


def predicted(subject: CocoAP, shift: float = 0.0, score: float = 1.0, threshold: float = 0.2) -> Predictions:
    """Predict the truth, moved to the right by ``shift`` px."""
    xy = subject.truth.instances.keypoints + np.array([shift, 0], np.float32)
    return Predictions(np.arange(len(xy)), xy, np.full((len(xy), 5), score, np.float32), threshold)
