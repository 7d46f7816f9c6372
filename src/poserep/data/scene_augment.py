"""Augmentation of whole images: scale, rotation, translation and flip; colour and occlusion by Albumentations."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from poserep.data.augment import CropRegion
from poserep.errors import InputError, check_choice
from poserep.geometry import Align, Size


@dataclass(frozen=True)
class SceneAugment:
    """Random scale, rotation, translation and flip of an image, with the distributions of bottom-up methods.

    The numbers are those of HigherHRNet and SRPose (their code, ``BottomUpRandomAffine``).

    Attributes:
        scale: The region's shorter side is that of the image times a factor that is evenly distributed between these.
        side: The side of the image that the factor is of, ``short`` or ``long``.
        rotation: The angle is evenly distributed between minus and plus this, degrees.
        translation: The centre moves by up to this share of the region's shorter side along both axes.
        whole_px: Move by whole px as the published code does, which cuts the bounds to integers and never takes the
            upper one, so that moves are 0.5 px short in the mean.
        flip: Probability of a mirror image.
        pixels: Albumentations transforms of colour and occlusion, applied to the input.
    """

    scale: tuple[float, float] = (0.75, 1.5)
    side: Literal["short", "long"] = "short"
    rotation: float = 30.0
    translation: float = 0.2
    whole_px: bool = False
    flip: float = 0.5
    pixels: Sequence[Any] = ()

    def __post_init__(self) -> None:
        check_choice("augment.side", self.side, ("short", "long"))
        try:
            low, high = map(float, self.scale)
        except (TypeError, ValueError):
            low = high = 0.0
        if not 0 < low <= high < float("inf"):
            raise InputError(f"augment.scale={self.scale} is not two increasing factors above 0, as in [0.75, 1.5]")
        if not 0 <= self.flip <= 1:
            raise InputError(f"augment.flip={self.flip} is not a probability: give 0 to 1")
        if self.rotation < 0 or self.translation < 0:
            raise InputError(
                f"augment: rotation={self.rotation} and translation={self.translation} must not be negative"
            )

    def region(self, rng: np.random.Generator, width: int, height: int, size: Size, align: Align) -> CropRegion:
        """Return a random region of an image of ``width`` x ``height`` px, for a network's input of ``size``."""
        side = (max if self.side == "long" else min)(width, height) * rng.uniform(*self.scale)
        angle = float(rng.uniform(-self.rotation, self.rotation))
        reach = self.translation * side
        low, high = -int(reach), max(int(reach), 1 - int(reach))
        move = rng.integers(low, high, 2).astype(float) if self.whole_px else rng.uniform(-reach, reach, 2)
        offset = 0.0 if align == "corner" else 1.0
        centre = (np.array([width, height]) - offset) / 2 + move
        extent = np.array([size.width, size.height]) * (side / min(size))
        return CropRegion(centre, extent, angle, bool(rng.random() < self.flip))
