"""The people on a picture, from boxes to crops to poses; batches are filled across pictures."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
import torch

from poserep.data.dataset import PoseDataset
from poserep.deploy.box_arguments import BoxRequest
from poserep.deploy.card import Card
from poserep.deploy.inference import Estimator
from poserep.deploy.media import Frame
from poserep.drawing import as_rgb, paint_people
from poserep.errors import InputError
from poserep.geometry import Crop
from poserep.instances import Instance


@dataclass
class FramePoses:
    """The people on a picture: what is asked, and once it has been estimated, their poses.

    ``box`` (N, 4) is x, y, width, height in image px, with ``box_score`` (N,). ``crops`` are those that the model looks
    at, (C, H, W) each, as ``crop`` cuts them. ``xy`` (N, K, 2) are points in image px, with ``joint_score`` (N, K). A
    person's ``score`` (N,) is the box's times the mean of the joints' above the model's threshold, as for AP.
    ``errors`` are messages about boxes that could not be used.
    """

    frame: Frame
    box: np.ndarray
    box_score: np.ndarray
    crops: list[np.ndarray]
    crop: Crop
    errors: list[str]
    xy: np.ndarray = field(default_factory=lambda: np.zeros((0, 0, 2)))
    joint_score: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    score: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def fill(self, card: Card, xy: np.ndarray, score: np.ndarray) -> None:
        """Take the estimates: points (N, K, 2) in px of the crops, and scores (N, K); those that are no numbers go."""
        xy = self.crop.to_image(torch.from_numpy(xy)).numpy()
        finite = np.isfinite(xy).all((1, 2)) & np.isfinite(score).all(1)
        self.errors += [
            f"{self.frame.path}: {card.run} finds points that are no numbers in box {box.tolist()}; its weights are "
            "not finite, take another checkpoint"
            for box in self.box[~finite]
        ]
        counted = score > card.score_threshold
        mean = (score * counted).sum(1) / np.maximum(counted.sum(1), 1)
        self.xy, self.joint_score, self.score = xy[finite], score[finite], (self.box_score * mean)[finite]
        self.box, self.crops = self.box[finite], []

    def drawn(self, card: Card, threshold: float) -> np.ndarray:
        """Return the picture with everybody's limbs, (H, W, 3) uint8, RGB; small photographs enlarged."""
        image = self.frame.image
        pixels = as_rgb(image.transpose(2, 0, 1) if image.ndim == 3 else image[None])
        least = {} if self.frame.number is None else {"least": 1}
        return paint_people(pixels, self.xy, self.joint_score, card.skeleton, threshold, self.box, **least)

    def results(self, image_id: Any, category: int = 1) -> list[dict[str, Any]]:
        """Return records in COCO's result format, with the file's name and the frame's number added."""
        keypoints = np.concatenate([self.xy, self.joint_score[..., None]], -1)
        number = {} if self.frame.number is None else {"frame": self.frame.number}
        about = {"image_id": image_id, "file_name": self.frame.path.name, **number, "category_id": category}
        return [
            {**about, "keypoints": points.ravel().round(3).tolist(), "score": float(score), "bbox": box.tolist()}
            for points, score, box in zip(keypoints, self.score, self.box, strict=True)
        ]


def crops_of(card: Card, frame: Frame, requests: list[BoxRequest] | None) -> FramePoses:
    """Cut the people out of a picture; no boxes (None) take all of it for one."""
    height, width = frame.image.shape[:2]
    if requests is None:
        requests = [BoxRequest(str(frame.path), [0.0, 0.0, float(width), float(height)])]
    checked, errors = [], []
    for request in requests:
        try:
            checked.append(request.checked(width, height))
        except InputError as error:
            errors.append(f"{frame.path}: {error}")
    boxes, scores = np.array([box for box, _ in checked]).reshape(-1, 4), np.array([score for _, score in checked])
    if not checked:
        return FramePoses(frame, boxes, scores, [], Crop(torch.zeros(0, 2, 3, dtype=torch.float64)), errors)
    joints = card.skeleton.num_keypoints
    unlabelled = np.zeros((joints, 2), np.float32), np.zeros(joints, np.float32)
    dataset = PoseDataset(
        [Instance(frame.path, 0, i, box, *unlabelled) for i, box in enumerate(boxes)],
        card.skeleton,
        card.size,
        card.align,
        padding=card.padding,
        # The image is read once, not once for every box.
        read=lambda _: frame.image,
        whole=card.whole,
        inclusive=card.inclusive,
    )
    items = [dataset[0, i] for i in range(len(boxes))]
    crops = [(item.image.flip(0) if card.bgr else item.image).numpy() for item in items]
    crop = Crop(torch.stack([item.crop.matrix for item in items]))
    return FramePoses(frame, boxes, scores, crops, crop, errors)


def estimated(model: Estimator, pictures: Iterable[FramePoses], batch: int) -> Iterator[FramePoses]:
    """Yield pictures with their poses, in order; ``batch`` crops of one or several pictures are estimated at a time."""
    waiting: deque[FramePoses] = deque()
    crops: list[np.ndarray] = []
    xy: list[np.ndarray] = []
    score: list[np.ndarray] = []
    for picture in chain(pictures, [None]):
        if picture:
            waiting.append(picture)
            crops += picture.crops
        # Pictures without people must not pile up behind one whose batch is not full.
        while len(crops) >= batch or (crops and (picture is None or len(waiting) > batch)):
            points, scores = (values.double().cpu().numpy() for values in model.estimate(np.stack(crops[:batch])))
            del crops[:batch]
            xy += list(points)
            score += list(scores)
        while waiting and len(waiting[0].crops) <= len(xy):
            first = waiting.popleft()
            count, joints = len(first.crops), model.card.skeleton.num_keypoints
            first.fill(
                model.card,
                np.array(xy[:count]).reshape(count, joints, 2),
                np.array(score[:count]).reshape(count, joints),
            )
            del xy[:count], score[:count]
            yield first
