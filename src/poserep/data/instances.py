"""The record of one person that every data set is read into."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True, slots=True)
class Instance:
    """One person: where to look, and what is known about it.

    Attributes:
        image: Path of the image file.
        image_id: Of the annotation file.
        id: Of the annotation, or the running number of a detection.
        box: (4,) x, y, width, height in image px; an annotation's, or a detector's.
        keypoints: (K, 2) float32, image px.
        weight: (K,) float32, 0 where unlabelled, else 1.
        score: Of the box: 1 for annotations, the detector's otherwise.
        area: Of the annotation, the person's mask as a rule, square px; 0 if unknown, as for detections.
    """

    image: Path
    image_id: int
    id: int
    box: np.ndarray
    keypoints: np.ndarray
    weight: np.ndarray
    score: float = 1.0
    area: float = 0.0
