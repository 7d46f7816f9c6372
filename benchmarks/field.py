"""A training sample as published code makes it: everything in the worker, for one person at a time.

Written from what the code of SimpleBaseline, HRNet and SimCC does, in its order, with its conventions ("corner"): copy
the person's record, decode the whole photograph, bring it to RGB, mirror it, move joint by joint, normalise in float,
draw a Gaussian a joint. The one liberty: chance comes from the same generator as in the package, so that both sides
make the same crops.
"""

import copy
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torchvision import transforms

from poserep.data.augment import Augment
from poserep.geometry import Size
from poserep.instances import Instance
from poserep.skeleton import Skeleton

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from reference import loops

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class FieldDataset:
    """Gives items by (epoch, index): normalised crop, targets, weights, record.

    Args:
        instances: Persons.
        skeleton: Theirs.
        size: Of the crop.
        augment: Its scale, rotation, flip and half_body are followed.
        seed: As `PoseDataset` has it.
    """

    def __init__(
        self, instances: list[Instance], skeleton: Skeleton, size: Size, augment: Augment, seed: int = 0
    ) -> None:
        self.size, self.augment, self.seed = size, augment, seed
        self.pairs = [(skeleton.names.index(a), skeleton.names.index(b)) for a, b in skeleton.pairs]
        self.upper = skeleton.upper_mask()
        self.normalise = transforms.Compose([transforms.ToTensor(), transforms.Normalize(MEAN, STD)])
        self.records = [self._record(instance) for instance in instances]

    def _record(self, instance: Instance) -> dict[str, Any]:
        x, y, w, h = instance.box
        ratio = self.size.width / self.size.height
        w, h = max(w, h * ratio), max(h, w / ratio)
        return {
            "image": str(instance.image),
            "center": np.array([x + instance.box[2] / 2, y + instance.box[3] / 2]),
            "scale": np.array([w, h]) * 1.25 / 200,
            "joints": np.concatenate([instance.keypoints, np.zeros((len(instance.keypoints), 1))], 1),
            "visible": np.repeat(instance.weight[:, None], 3, 1),
        }

    def __getitem__(self, item: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, dict[str, Any]]:
        epoch, index = item
        record = copy.deepcopy(self.records[index])
        rng = np.random.default_rng((self.seed, epoch, index))
        image = cv2.imread(record["image"], cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        joints, visible, centre, scale, angle = (
            record["joints"],
            record["visible"],
            record["center"],
            record["scale"],
            0,
        )
        if visible[:, 0].sum() > self.augment.half_body_min and rng.random() < self.augment.half_body:
            centre, scale = self._half_body(rng, joints, visible, centre, scale)
        sf, rf = self.augment.scale, self.augment.rotation
        scale = scale * np.clip(rng.standard_normal() * sf + 1, 1 - sf, 1 + sf)
        if rng.random() <= self.augment.rotation_prob:
            angle = np.clip(rng.standard_normal() * rf, -rf * 2, rf * 2)
        flipped = rng.random() < self.augment.flip
        if flipped:
            image, angle = image[:, ::-1, :], -angle
            joints, visible = self._mirror(joints, visible, image.shape[1])
            centre[0] = image.shape[1] - centre[0] - 1
        matrix = self._affine(centre, scale, angle)
        crop = cv2.warpAffine(image, matrix, (self.size.width, self.size.height), flags=cv2.INTER_LINEAR)
        tensor = self.normalise(crop)
        for j in range(len(joints)):
            if visible[j, 0] > 0:
                joints[j, :2] = matrix @ np.array([joints[j, 0], joints[j, 1], 1.0])
        maps, weight = self._targets(joints, visible)
        record |= {"crop": crop, "moved": joints, "flipped": flipped}
        return tensor, maps, weight, record

    def _half_body(
        self, rng: np.random.Generator, joints: np.ndarray, visible: np.ndarray, centre: np.ndarray, scale: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        upper, lower = [], []
        for j in range(len(joints)):
            if visible[j, 0] > 0:
                (upper if self.upper[j] else lower).append(joints[j, :2])
        chosen = upper if rng.random() < self.augment.upper_prob and len(upper) > 2 else lower
        chosen = chosen if len(chosen) > 2 else upper
        if len(chosen) < 2:
            return centre, scale
        points = np.array(chosen)
        w, h = np.maximum(points.max(0) - points.min(0), 1)
        ratio = self.size.width / self.size.height
        return points.mean(0), np.array([max(w, h * ratio), max(h, w / ratio)]) / 200 * 1.5

    def _mirror(self, joints: np.ndarray, visible: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
        joints[:, 0] = width - joints[:, 0] - 1
        for a, b in self.pairs:
            joints[[a, b]] = joints[[b, a]]
            visible[[a, b]] = visible[[b, a]]
        return joints * visible, visible

    def _affine(self, centre: np.ndarray, scale: np.ndarray, angle: float) -> np.ndarray:
        """Return the map from three points: the centre, one half a width above it, the square's third corner."""
        half = np.array([0.0, -scale[0] * 200 / 2])
        rad = np.deg2rad(angle)
        turn = np.array([[np.cos(rad), -np.sin(rad)], [np.sin(rad), np.cos(rad)]])
        middle = np.array([self.size.width / 2, self.size.height / 2])
        source = _triangle(centre, centre + turn @ half)
        return cv2.getAffineTransform(source, _triangle(middle, middle + np.array([0, -self.size.width / 2])))

    def _targets(self, joints: np.ndarray, visible: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        maps, weight = loops.heatmap_targets(joints[None, :, :2], visible[None, :, 0], self.size, 4, 2.0)
        return torch.from_numpy(maps[0]), torch.from_numpy(weight[0])


def _triangle(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    away = a - b
    return np.array([a, b, b + np.array([-away[1], away[0]])], np.float32)
