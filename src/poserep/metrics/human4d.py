"""HUMAN4D's measures, PCKh by the distance from neck to head and RMSE, as the study defines and as it computes them."""

from collections.abc import Sequence

import numpy as np

from poserep.errors import InputError
from poserep.instances import Truth
from poserep.metrics.epe import distances
from poserep.metrics.scorer import Predictions, SumScorer

ALPHAS = (0.5, 0.1)


def code_hits(
    gt: np.ndarray, pred: np.ndarray, gt_mask: np.ndarray, pred_mask: np.ndarray, ends: Sequence[int], alpha: float
) -> tuple[np.ndarray, np.ndarray]:
    """Count PCKh as the study's code (moai) does, one coordinate at a time.

    A coordinate counts if it is in view (``gt_mask``) or predicted with confidence (``pred_mask``), and is right if
    both hold and its error is less than ``alpha`` times the distance of neck and head (the indices ``ends``) along the
    same axis. All arrays are (N, K, 2), in px or bool. Returns what is right, and what counts, (N, K, 2) bool.
    """
    extent = np.abs(gt[:, [ends[0]]].astype(np.float64) - gt[:, [ends[1]]])
    # A product needs no division by an extent of 0, which no error is below either.
    near = np.abs(pred.astype(np.float64) - gt) < alpha * extent
    return near & gt_mask & pred_mask, gt_mask | pred_mask


def code_rmse(gt: np.ndarray, pred: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Compute RMSE (N,) in px as the study's code (moai) does: per sample over both coordinates of all joints.

    sqrt(sum(weight d^2) / sum(weight)) of ``gt`` and ``pred`` (N, K, 2), with ``weight`` broadcast to their shape; NaN
    without any weight. That is less by a factor of sqrt(2) than over Euclidean distances.
    """
    weight = np.broadcast_to(weight, gt.shape).astype(np.float64)
    squares = weight * np.square(pred.astype(np.float64) - gt)
    with np.errstate(invalid="ignore"):
        return np.sqrt(squares.sum((1, 2)) / weight.sum((1, 2)))


class Human4DError(SumScorer):
    """PCKh-0.5, PCKh-0.1 (percent) and RMSE (image px), each as the paper defines and as its code computes it.

    - ``PCKh-a``: labelled keypoints nearer to the label than a times the distance from neck to head (strictly), of
      those of samples that have both in view.
    - ``RMSE``: root of a sample's mean squared Euclidean distance over its labelled keypoints; then the mean over
      samples.
    - ``PCKh-a (code)``: `code_hits`, and ``RMSE (code)``: `code_rmse`, which compare with published values. The study
      averages batches, so that samples of a smaller last one count more; here all count alike. A keypoint is predicted
      with confidence if its score, the blurred heatmap's value, exceeds ``visible``.

    A skeleton without the joints ``neck`` and ``head`` is refused.
    """

    columns = ("PCKh-0.5", "PCKh-0.1", "RMSE")
    lower = frozenset(("RMSE", "RMSE (code)"))

    def __init__(self, truth: Truth, visible: float = 0.4) -> None:
        super().__init__(truth)
        names = truth.skeleton.names
        if not {"neck", "head"} <= set(names):
            raise InputError(
                f"skeleton {truth.skeleton.name!r} has no `neck` and `head`, by whose distance HUMAN4D's PCKh "
                "measures; choose another data.metric"
            )
        self.ends = [names.index("neck"), names.index("head")]
        self.visible = visible

    def sums(self, predictions: Predictions) -> np.ndarray:
        """Return per person (N, 10): hits at each threshold, joints; RMSE, 1; the code's hits, coordinates; RMSE, 1."""
        gt, labelled = self.truth.instances.keypoints[predictions.index], self.truth.labelled[predictions.index]
        distance = distances(gt, predictions.xy)
        head = distances(gt[:, self.ends[0]], gt[:, self.ends[1]]) * labelled[:, self.ends].all(1)
        measured = labelled & (head > 0)[:, None]
        hits = [(measured & (distance < alpha * head[:, None])).sum(1) for alpha in ALPHAS]
        some = labelled.any(1)
        rmse = np.sqrt(np.where(labelled, distance**2, 0).sum(1) / np.maximum(labelled.sum(1), 1))
        # The code's masks are per coordinate, and the same for both.
        seen, sure = (np.repeat(mask[..., None], 2, -1) for mask in (labelled, predictions.score > self.visible))
        counted = [code_hits(gt, predictions.xy, seen, sure, self.ends, alpha) for alpha in ALPHAS]
        code = [right.sum((1, 2)) for right, _ in counted]
        per_axis = np.where(some, code_rmse(gt, predictions.xy, seen), 0)
        columns = [*hits, measured.sum(1), rmse, some, *code, counted[0][1].sum((1, 2)), per_axis, some]
        return np.stack(columns, 1).astype(np.float64)

    def finish(self, totals: np.ndarray) -> dict[str, np.ndarray]:
        """See `SumScorer.finish`."""
        values = {}
        with np.errstate(invalid="ignore"):
            for suffix, part in (("", totals[:, :5]), (" (code)", totals[:, 5:])):
                for alpha, hits in zip(ALPHAS, part.T, strict=False):
                    values[f"PCKh-{alpha}{suffix}"] = 100 * hits / part[:, 2]
                values[f"RMSE{suffix}"] = part[:, 3] / part[:, 4]
        return values
