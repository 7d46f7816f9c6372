"""Training augmentation: one random region, angle and mirror per sample; colour and occlusion by Albumentations."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from poserep.errors import InputError
from poserep.geometry import Size, fit_aspect


class View(NamedTuple):
    """How a sample is seen.

    Attributes:
        centre: (2,) image px.
        extent: (2,) width and height of the region, image px.
        rotation: Degrees.
        flip: Mirrored.
    """

    centre: np.ndarray
    extent: np.ndarray
    rotation: float = 0.0
    flip: bool = False


@dataclass(frozen=True)
class Augment:
    """Half body, scale, rotation and flip in the order and with the distributions of HRNet's code.

    Attributes:
        scale: Extent is multiplied by 1 + scale N(0, 1), cut to 1 +- scale (0.35 for HRNet on COCO, 0.3 for ResNet).
        rotation: Degrees; the angle is rotation N(0, 1), cut to +- 2 rotation.
        rotation_prob: How often there is a rotation (0.6).
        flip: Probability of a mirror image.
        half_body: Probability of cropping to the upper or lower body when more than ``half_body_min`` joints are
            labelled (0.3 for HRNet on COCO, 0 elsewhere).
        half_body_min: 8 on COCO.
        upper_prob: Of choosing the upper body. 0.5; the published code compares a normal with 0.5, which is 0.6915.
        half_body_px: Added to width and height of the joints' extent; DarkPose, which counts pixels, adds 1.
        jitter: The box moves by up to half of this share of its width and height, evenly distributed (0.4 in mmpose
            and SRPose).
        jitter_prob: How often it does (0.3 there).
        jitter_once: Draw the move once for a run, not in every epoch, as that code does when it reads the annotations.
        pixels: Albumentations transforms that leave geometry alone, applied to the crop.
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
    pixels: Sequence[Any] = field(default=())

    def __post_init__(self) -> None:
        for name in ("rotation_prob", "flip", "half_body", "upper_prob", "jitter_prob"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"augment.{name}={getattr(self, name)} is no probability")
        if not 0 <= self.scale < 1 or self.rotation < 0 or not 0 <= self.jitter <= 1:
            raise InputError(
                f"augment: scale={self.scale} must be in [0, 1), jitter={self.jitter} in [0, 1], "
                f"rotation={self.rotation} not negative"
            )

    def move(self, rng: np.random.Generator, box: np.ndarray) -> np.ndarray:
        """Draw where a box (4,) is taken to be, as a detector might err; image px."""
        if not self.jitter or rng.random() >= self.jitter_prob:
            return box
        return np.concatenate([box[:2] + self.jitter * (rng.random(2) - 0.5) * box[2:], box[2:]])

    def view(
        self,
        rng: np.random.Generator,
        view: View,
        keypoints: np.ndarray,
        weight: np.ndarray,
        upper: np.ndarray,
        size: Size,
    ) -> View:
        """Draw a view of a person.

        Args:
            rng: Decides everything.
            view: The view without augmentation.
            keypoints: (K, 2) image px.
            weight: (K,).
            upper: (K,) bool, joints of the upper body.
            size: Of the network's input.
        """
        centre, extent = view.centre, view.extent
        labelled = weight > 0
        if self.half_body and labelled.sum() > self.half_body_min and rng.random() < self.half_body:
            centre, extent = self._half(rng, view, keypoints[labelled & upper], keypoints[labelled & ~upper], size)
        if self.scale:
            extent = extent * np.clip(1 + self.scale * rng.standard_normal(), 1 - self.scale, 1 + self.scale)
        angle = 0.0
        if self.rotation and rng.random() <= self.rotation_prob:
            angle = float(np.clip(self.rotation * rng.standard_normal(), -2 * self.rotation, 2 * self.rotation))
        return View(centre, extent, angle, bool(self.flip and rng.random() < self.flip))

    def _half(
        self, rng: np.random.Generator, view: View, upper: np.ndarray, lower: np.ndarray, size: Size
    ) -> tuple[np.ndarray, np.ndarray]:
        chosen = upper if rng.random() < self.upper_prob and len(upper) > 2 else lower
        if len(chosen) <= 2:
            chosen = upper
        if len(chosen) < 2:
            return view.centre, view.extent
        # Coincident joints would span no region.
        spread = np.maximum(np.ptp(chosen.astype(np.float64), axis=0) + self.half_body_px, 1.0)
        return chosen.mean(0).astype(np.float64), fit_aspect(spread, size) * 1.5

    def recolour(self) -> Any:
        """The Albumentations pipeline for ``pixels``, or None; build one per process."""
        if not self.pixels:
            return None
        # Otherwise importing it asks the network for its newest version.
        os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
        import albumentations

        return albumentations.Compose(list(self.pixels))
