"""The records that travel between the parts: a batch of crops, and predicted points."""

from typing import NamedTuple

from torch import Tensor

from poserep.geometry import Crop


class Points(NamedTuple):
    """Predicted keypoints (B, K, 2), in input px or image px as documented, and scores (B, K) in [0, 1]."""

    xy: Tensor
    score: Tensor


class Batch(NamedTuple):
    """Crops with their keypoints, the same for every representation.

    Attributes:
        image: (B, C, H, W) uint8, RGB (BGR if asked for); float32 for depths.
        xy: (B, K, 2) float32, input px; may lie outside the crop; meaningless where ``weight`` is 0.
        weight: (B, K) float32, 0 for unlabelled joints, else 1. Codecs decide which labelled joints are learnt.
        crop: Maps from image px to input px.
        index: (B,) int64, position in the data set's list of instances.
    """

    image: Tensor
    xy: Tensor
    weight: Tensor
    crop: Crop
    index: Tensor  # type: ignore[assignment]  # hides tuple.index, which nobody needs here
