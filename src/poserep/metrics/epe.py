"""End-point error: the plain distance of predictions from the labels, in px, for any data set."""

import numpy as np

from poserep.instances import Truth
from poserep.metrics.scorer import Predictions, SumScorer


def distances(gt: np.ndarray, pred: np.ndarray) -> np.ndarray:
    """Return the Euclidean distances (N, K) between keypoints (N, K, 2), float64, in their px."""
    # Single precision would move errors across thresholds.
    return np.linalg.norm(pred.astype(np.float64) - gt, axis=-1)


class EPE(SumScorer):
    """End-point error: the mean distance between predicted and labelled keypoints, in image px.

    ``EPE`` is over all labelled keypoints of all persons, ``EPE/<joint>`` over those of one joint; NaN where none is
    labelled. It does not depend on the size of persons, and every data set has it.
    """

    columns = ("EPE",)
    lower = frozenset(columns)

    def __init__(self, truth: Truth) -> None:
        super().__init__(truth)
        self.names = ("EPE", *(f"EPE/{name}" for name in truth.skeleton.names))
        self.lower = frozenset(self.names)

    def sums(self, predictions: Predictions) -> np.ndarray:
        """Return each person's distances and which of them count, (N, 2 K)."""
        labelled = self.truth.labelled[predictions.index]
        distance = distances(self.truth.instances.keypoints[predictions.index], predictions.xy)
        return np.concatenate([np.where(labelled, distance, 0), labelled], 1)

    def finish(self, totals: np.ndarray) -> dict[str, np.ndarray]:
        """See `SumScorer.finish`."""
        distance, count = np.split(totals, 2, axis=1)
        distance, count = (np.concatenate([part.sum(1, keepdims=True), part], 1) for part in (distance, count))
        with np.errstate(invalid="ignore"):
            return dict(zip(self.names, (distance / count).T, strict=True))
