"""Training augmentation: half body, scale, rotation, flip and jitter; colour and occlusion by Albumentations."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from poserep.errors import InputError
from poserep.geometry import Size, fit_aspect


class CropRegion(NamedTuple):
    """The region of an image that a crop shows: centre (2,); width, height (2,); image px; degrees; mirrored or not."""

    centre: np.ndarray
    extent: np.ndarray
    rotation: float = 0.0
    flip: bool = False


@dataclass(frozen=True)
class Augment:
    """Random half body, scale, rotation and flip, in the order and with the distributions of HRNet's code.

    Attributes:
        scale: The extent is multiplied by 1 + scale N(0, 1), cut to 1 +- scale (0.35 for HRNet on COCO, 0.3 for
            ResNet).
        rotation: The angle is rotation N(0, 1) degrees, cut to +- 2 rotation.
        rotation_prob: Probability of a rotation.
        flip: Probability of a mirror image.
        half_body: Probability of cropping to the upper or lower body when more than ``half_body_min`` joints are
            labelled (0.3 for HRNet on COCO, 0 elsewhere).
        half_body_min: See ``half_body``.
        upper_prob: Probability that a half body is the upper one. The published code compares a normal number with
            0.5, which makes it 0.6915.
        half_body_px: Px added to width and height of a half body's joints; DarkPose, which counts pixels, adds 1.
        jitter: The box moves by up to half of this share of its width and height, evenly distributed (0.4 in mmpose
            and SRPose).
        jitter_prob: Probability of such a move (0.3 there).
        jitter_once: Draw the move once for a run, as that code does when it reads the annotations, not in every epoch.
        pixels: Albumentations transforms of colour and occlusion, applied to the crop.
    """

    scale: float = 0.0
    rotation: float = 0.0
    rotation_prob: float = 0.6
    flip: float = 0.0
    half_body: float = 0.0
    half_body_min: int = 8
    upper_prob: float = 0.5
    half_body_px: float = 0.0
    jitter: float = 0.0
    jitter_prob: float = 0.0
    jitter_once: bool = False
    pixels: Sequence[Any] = ()

    def __post_init__(self) -> None:
        for name in ("rotation_prob", "flip", "half_body", "upper_prob", "jitter_prob"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"augment.{name}={getattr(self, name)} is not a probability: give 0 to 1")
        if not 0 <= self.scale < 1 or self.rotation < 0 or not 0 <= self.jitter <= 1:
            raise InputError(
                f"augment: scale={self.scale} must be in [0, 1), jitter={self.jitter} in [0, 1], "
                f"rotation={self.rotation} not negative"
            )

    def move(self, rng: np.random.Generator, box: np.ndarray) -> np.ndarray:
        """Return a box (4,), image px, moved at random as an imprecise detector would place it."""
        if not self.jitter or rng.random() >= self.jitter_prob:
            return box
        return np.concatenate([box[:2] + self.jitter * (rng.random(2) - 0.5) * box[2:], box[2:]])

    def region(
        self,
        rng: np.random.Generator,
        region: CropRegion,
        keypoints: np.ndarray,
        weight: np.ndarray,
        upper: np.ndarray,
        size: Size,
    ) -> CropRegion:
        """Return a random region of a person, for a network's input of ``size``.

        ``region`` is the one without augmentation. Keypoints (K, 2) are in image px, weights (K,) 0 for unlabelled
        joints, and ``upper`` (K,) bool tells the joints of the upper body.
        """
        centre, extent = region.centre, region.extent
        labelled = weight > 0
        if self.half_body and labelled.sum() > self.half_body_min and rng.random() < self.half_body:
            halves = keypoints[labelled & upper], keypoints[labelled & ~upper]
            centre, extent = self._half_body(rng, region, *halves, size)
        if self.scale:
            extent = extent * np.clip(1 + self.scale * rng.standard_normal(), 1 - self.scale, 1 + self.scale)
        angle = 0.0
        if self.rotation and rng.random() <= self.rotation_prob:
            angle = float(np.clip(self.rotation * rng.standard_normal(), -2 * self.rotation, 2 * self.rotation))
        return CropRegion(centre, extent, angle, bool(self.flip and rng.random() < self.flip))

    def _half_body(
        self, rng: np.random.Generator, region: CropRegion, upper: np.ndarray, lower: np.ndarray, size: Size
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return centre and extent of the upper or lower body, or those of ``region`` if it has too few joints."""
        chosen = upper if rng.random() < self.upper_prob and len(upper) > 2 else lower
        if len(chosen) <= 2:
            chosen = upper
        if len(chosen) < 2:
            return region.centre, region.extent
        # Coincident joints would span no region.
        spread = np.maximum(np.ptp(chosen.astype(np.float64), axis=0) + self.half_body_px, 1.0)
        return chosen.mean(0).astype(np.float64), fit_aspect(spread, size) * 1.5


def recolouring(pixels: Sequence[Any]) -> Any:
    """Return the Albumentations pipeline of some transforms, one per process, or None if there are none."""
    if not pixels:
        return None
    # Without this, importing it asks the network for its newest version.
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    import albumentations

    return albumentations.Compose(list(pixels))
