"""Persons in an image: cut out, predicted and put back, with the geometry of evaluation."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from poserep.data import Instance, PoseDataset
from poserep.data.depth import picture
from poserep.deploy.boxes import Request
from poserep.deploy.estimators import Estimator
from poserep.errors import InputError


@dataclass(frozen=True)
class Persons:
    """Found in one image.

    Attributes:
        pixels: (H, W, 3) uint8, RGB, to look at.
        box: (N, 4) x, y, width, height in image px.
        xy: (N, K, 2) image px.
        joint_score: (N, K).
        score: (N,) of each person: the box's times the mean of the joints' above the model's threshold, as for AP.
        errors: What is wrong with boxes that were not read.
    """

    pixels: np.ndarray
    box: np.ndarray
    xy: np.ndarray
    joint_score: np.ndarray
    score: np.ndarray
    errors: list[str]

    def results(self, image_id: Any, file_name: str, category: int = 1) -> list[dict[str, Any]]:
        """Records in COCO's result format."""
        keypoints = np.concatenate([self.xy, self.joint_score[..., None]], -1)
        return [
            {
                "image_id": image_id,
                "file_name": file_name,
                "category_id": category,
                "keypoints": points.ravel().round(3).tolist(),
                "score": float(score),
                "bbox": box.tolist(),
            }
            for points, score, box in zip(keypoints, self.score, self.box, strict=True)
        ]


def find(model: Estimator, path: Path, requests: list[Request] | None, batch: int = 32) -> Persons:
    """Persons of an image file.

    Args:
        model: Predicts.
        path: Of the image.
        requests: Their boxes; None takes the whole image for one.
        batch: Crops at a time.

    Raises:
        InputError: If the image cannot be read, or the model sees whole images and there are boxes.
    """
    card = model.card
    image = card.read(path)
    height, width = image.shape[:2]
    if requests is not None and card.whole:
        raise InputError(f"model {card.run} was trained on whole images and takes no boxes; leave --boxes out")
    boxes, scores, errors = [], [], []
    for request in [Request(str(path), [0.0, 0.0, float(width), float(height)])] if requests is None else requests:
        try:
            box, score = request.checked(width, height)
        except InputError as error:
            errors.append(f"{path}: {error}")
        else:
            boxes.append(box)
            scores.append(score)
    xy, joint_score = _predict(model, path, image, boxes, batch)
    sound = np.isfinite(xy).all((1, 2)) & np.isfinite(joint_score).all(1)
    errors += [
        f"{path}: {card.run} finds points that are no numbers in box {boxes[i].tolist()}; its weights are not finite, "
        "take another checkpoint"
        for i in np.flatnonzero(~sound)
    ]
    counts = joint_score > card.score_threshold
    mean = (joint_score * counts).sum(1) / np.maximum(counts.sum(1), 1)
    return Persons(
        picture(image.transpose(2, 0, 1) if image.ndim == 3 else image[None]),
        np.array(boxes).reshape(-1, 4)[sound],
        xy[sound],
        joint_score[sound],
        (np.array(scores) * mean)[sound],
        errors,
    )


def _predict(
    model: Estimator, path: Path, image: np.ndarray, boxes: list[np.ndarray], batch: int
) -> tuple[np.ndarray, np.ndarray]:
    card, joints = model.card, model.card.skeleton.num_keypoints
    if not boxes:
        return np.zeros((0, joints, 2)), np.zeros((0, joints))
    nothing = np.zeros((joints, 2), np.float32), np.zeros(joints, np.float32)
    dataset = PoseDataset(
        [Instance(path, 0, i, box, *nothing) for i, box in enumerate(boxes)],
        card.skeleton,
        card.size,
        card.align,
        padding=card.padding,
        # Read once, not once for every box.
        read=lambda _: image,
        whole=card.whole,
        inclusive=card.inclusive,
    )
    xy, score = [], []
    for start in range(0, len(boxes), batch):
        items = [dataset[0, i] for i in range(start, min(start + batch, len(boxes)))]
        crops = torch.utils.data.default_collate(items)
        images = crops.image.flip(1) if card.bgr else crops.image
        points, scores = model(np.ascontiguousarray(images.numpy()))
        xy.append(crops.crop.to_image(torch.from_numpy(points).double()).numpy())
        score.append(scores)
    return np.concatenate(xy), np.concatenate(score)
