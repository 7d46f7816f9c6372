"""The plain error of predictions in px, for any data set."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from poserep.geometry import Size
from poserep.instances import Instance
from poserep.metrics.base import Predictions, SumMetric
from poserep.skeleton import Skeleton


def distances(gt: np.ndarray, pred: np.ndarray) -> np.ndarray:
    """Euclidean distances (N, K) between keypoints (N, K, 2), float64, in their px."""
    return np.linalg.norm(pred.astype(np.float64) - gt, axis=-1)


class EPE(SumMetric):
    """End-point error: the mean distance between predicted and labelled keypoints, in image px.

    ``EPE`` is over all labelled keypoints of all persons, ``EPE/<joint>`` over those of one joint; NaN where none is
    labelled. Unlike OKS and PCKh it knows no size of persons.
    """

    columns = ("EPE",)

    def __init__(
        self,
        instances: Sequence[Instance],
        annotations: str | Path,
        skeleton: Skeleton,
        size: Size,
        score_threshold: float = 0.0,
        padding: float = 1.25,
    ) -> None:
        super().__init__(instances, annotations, skeleton, size, score_threshold, padding)
        self.names = ("EPE", *(f"EPE/{name}" for name in skeleton.names))
        self.lower = frozenset(self.names)

    def sums(self, predictions: Predictions) -> np.ndarray:
        """Each person's distances, and which of them count, (N, 2 K)."""
        labelled = self.instances.weight[predictions.index] > 0
        distance = distances(self.instances.keypoints[predictions.index], predictions.xy)
        return np.concatenate([np.where(labelled, distance, 0), labelled], 1)

    def finish(self, totals: np.ndarray) -> dict[str, np.ndarray]:
        """See `SumMetric.finish`."""
        distance, count = np.split(totals, 2, axis=1)
        every = [np.concatenate([part.sum(1, keepdims=True), part], 1) for part in (distance, count)]
        with np.errstate(invalid="ignore"):
            return dict(zip(self.names, (every[0] / every[1]).T, strict=True))
