"""Metrics that know each prediction by the index of its instance, so that no sample counts twice."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from poserep.batch import Points
from poserep.data.instances import Instance
from poserep.errors import InputError


class Predictions(NamedTuple):
    """Every instance's prediction, once, in the order of the instances.

    Attributes:
        index: (N,) int64.
        xy: (N, K, 2) float32, image px.
        score: (N, K) float32.
    """

    index: np.ndarray  # type: ignore[assignment]  # hides tuple.index, which nobody needs here
    xy: np.ndarray
    score: np.ndarray


class PoseMetric(Metric):
    """Collects predictions over batches and ranks; subclasses score them.

    Args:
        instances: What the indices of `update` point to.
    """

    index: list[Tensor]
    xy: list[Tensor]
    score: list[Tensor]
    # Belongs to the scores, not to the metric: whoever changes the scores sets it. Not every metric uses it.
    score_threshold: float = 0.0

    def __init__(self, instances: Sequence[Instance]) -> None:
        super().__init__()
        self.instances = instances
        for name in ("index", "xy", "score"):
            self.add_state(name, default=[], dist_reduce_fx="cat")
        # Of the last `compute`, over all ranks; the states themselves go back to this rank's share after it.
        self.found: Predictions | None = None

    def update(self, index: Tensor, points: Points) -> None:
        """Add a batch: (B,) indices and points in image px.

        Raises:
            InputError: If a coordinate or score is not a finite number.
        """
        finite = torch.isfinite(points.xy).all(-1) & torch.isfinite(points.score)
        if not finite.all():
            bad = index[~finite.all(1)].tolist()
            raise InputError(f"predictions of instances {bad[:5]} are not finite; the network has diverged")
        self.index.append(index)
        self.xy.append(points.xy.float())
        self.score.append(points.score.float())

    def predictions(self) -> Predictions:
        """What has been gathered, de-duplicated and in order."""
        if not len(self.index):
            raise InputError("no predictions to evaluate")
        index, xy, score = (
            torch.cat(list(state)) if isinstance(state, list) else state for state in (self.index, self.xy, self.score)
        )
        # Samplers repeat samples to give every rank as many.
        unique, first = np.unique(index.cpu().numpy(), return_index=True)
        return Predictions(unique, xy.cpu().numpy()[first], score.cpu().numpy()[first])

    def compute(self) -> dict[str, float]:
        """Named values of the gathered predictions."""
        self.found = self.predictions()
        return self.evaluate(self.found)

    def evaluate(self, predictions: Predictions) -> dict[str, float]:
        """Named values of predictions."""
        raise NotImplementedError
