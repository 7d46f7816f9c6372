"""The poses of all people in an image: crops are cut, predicted and mapped back, with the geometry of evaluation."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from poserep.data.dataset import PoseDataset
from poserep.deploy.box_arguments import BoxRequest
from poserep.deploy.estimators import Estimator
from poserep.drawing import as_rgb
from poserep.errors import InputError
from poserep.instances import Instance


@dataclass(frozen=True)
class ImagePoses:
    """Predicted poses of the N people in an image.

    Attributes:
        pixels: (H, W, 3) uint8, RGB, to look at.
        box: (N, 4) x, y, width, height in image px.
        xy: (N, K, 2) image px.
        joint_score: (N, K).
        score: (N,) the box's score times the mean of the joints' above the model's threshold, as for AP.
        errors: Messages about boxes that could not be used.
    """

    pixels: np.ndarray
    box: np.ndarray
    xy: np.ndarray
    joint_score: np.ndarray
    score: np.ndarray
    errors: list[str]

    def results(self, image_id: Any, file_name: str, category: int = 1) -> list[dict[str, Any]]:
        """Return records in COCO's result format."""
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


def poses_in(model: Estimator, path: Path, requests: list[BoxRequest] | None, batch: int = 32) -> ImagePoses:
    """Predict the poses in an image file, ``batch`` crops at a time; no boxes (None) take the whole image for one.

    Raises:
        InputError: If the image cannot be read, or the model sees whole images and there are boxes.
    """
    card = model.card
    image = card.read(path)
    height, width = image.shape[:2]
    if requests is None:
        requests = [BoxRequest(str(path), [0.0, 0.0, float(width), float(height)])]
    elif card.whole:
        raise InputError(f"model {card.run} was trained on whole images and takes no boxes; leave --boxes out")
    checked, errors = [], []
    for request in requests:
        try:
            checked.append(request.checked(width, height))
        except InputError as error:
            errors.append(f"{path}: {error}")
    boxes = [box for box, _ in checked]
    xy, joint_score = _predict(model, path, image, boxes, batch)
    finite = np.isfinite(xy).all((1, 2)) & np.isfinite(joint_score).all(1)
    errors += [
        f"{path}: {card.run} finds points that are no numbers in box {boxes[i].tolist()}; its weights are not finite, "
        "take another checkpoint"
        for i in np.flatnonzero(~finite)
    ]
    counted = joint_score > card.score_threshold
    mean = (joint_score * counted).sum(1) / np.maximum(counted.sum(1), 1)
    return ImagePoses(
        as_rgb(image.transpose(2, 0, 1) if image.ndim == 3 else image[None]),
        np.array(boxes).reshape(-1, 4)[finite],
        xy[finite],
        joint_score[finite],
        (np.array([score for _, score in checked]) * mean)[finite],
        errors,
    )


def _predict(
    model: Estimator, path: Path, image: np.ndarray, boxes: list[np.ndarray], batch: int
) -> tuple[np.ndarray, np.ndarray]:
    card, joints = model.card, model.card.skeleton.num_keypoints
    if not boxes:
        return np.zeros((0, joints, 2)), np.zeros((0, joints))
    unlabelled = np.zeros((joints, 2), np.float32), np.zeros(joints, np.float32)
    dataset = PoseDataset(
        [Instance(path, 0, i, box, *unlabelled) for i, box in enumerate(boxes)],
        card.skeleton,
        card.size,
        card.align,
        padding=card.padding,
        # The image is read once, not once for every box.
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
