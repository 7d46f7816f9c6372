"""Metrics that know each prediction by the index of its instance, so that no sample counts twice."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from poserep.batch import Points
from poserep.errors import InputError
from poserep.geometry import Size
from poserep.instances import Instance, InstanceTable
from poserep.skeleton import Skeleton


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


class Resampler(Protocol):
    """A metric of predictions, ready to be computed over and over with other counts of the images.

    Attributes:
        images: (I,) ids of the evaluated images, ascending.
    """

    images: np.ndarray

    def __call__(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Named values (B,) for each row of ``weights`` (B, I), how often each image counts; all ones: the metric."""


class PoseMetric(Metric):
    """Collects predictions over batches and ranks; subclasses score them. All are made with the same arguments.

    Args:
        instances: What the indices of `update` point to.
        annotations: The annotation file that the instances were read from.
        skeleton: Of the instances.
        size: Of the network's input.
        score_threshold: Joints of lower score do not count in a person's score. Belongs to the codec's scores.
        padding: Of the boxes, as for the crops.

    Attributes:
        columns: Names of the values that tables show, the one by which checkpoints are chosen first.
        lower: Names of the values of which less is better.
        diagnosis: Why the last values are what nobody would expect, or empty.
    """

    columns: ClassVar[tuple[str, ...]]
    # Whose area scales distances; empty where none does.
    area: str = ""
    lower: frozenset[str] = frozenset()

    index: list[Tensor]
    xy: list[Tensor]
    score: list[Tensor]

    def __init__(
        self,
        instances: Sequence[Instance],
        annotations: str | Path,
        skeleton: Skeleton,
        size: Size,
        score_threshold: float = 0.0,
        padding: float = 1.25,
    ) -> None:
        super().__init__()
        self.instances = InstanceTable.of(instances)
        self.annotations, self.skeleton, self.size = Path(annotations), skeleton, size
        # Whoever tempers the scores sets it again.
        self.score_threshold, self.padding = score_threshold, padding
        self.diagnosis = ""
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

    def resampler(self, predictions: Predictions, names: Sequence[str] | None = None) -> Resampler:
        """The metric prepared for resampling images.

        Args:
            predictions: To score.
            names: Of the values that are wanted, which can save much; None for all.

        Raises:
            InputError: If the metric cannot be resampled.
        """
        raise InputError(f"{type(self).__name__} cannot be resampled")


class SumMetric(PoseMetric):
    """A metric that is a function of sums over persons: `evaluate` and `resampler` follow from `sums` and `finish`."""

    def sums(self, predictions: Predictions) -> np.ndarray:
        """What each person adds, (N, M)."""
        raise NotImplementedError

    def finish(self, totals: np.ndarray) -> dict[str, np.ndarray]:
        """Totals (B, M) over persons to named values (B,); NaN where there is nothing to measure."""
        raise NotImplementedError

    def evaluate(self, predictions: Predictions) -> dict[str, float]:
        """Named values of predictions; NaN where there is nothing to measure."""
        totals = self.sums(predictions).sum(0, keepdims=True)
        return {name: float(values[0]) for name, values in self.finish(totals).items()}

    def resampler(self, predictions: Predictions, names: Sequence[str] | None = None) -> Resampler:
        """See `PoseMetric.resampler`."""
        return _Sums(self, predictions)


class _Sums:
    def __init__(self, metric: SumMetric, predictions: Predictions) -> None:
        self.images, which = np.unique(metric.instances.image_id[predictions.index], return_inverse=True)
        persons = metric.sums(predictions)
        self.per_image = np.zeros((len(self.images), persons.shape[1]))
        np.add.at(self.per_image, which, persons)
        self.finish = metric.finish

    def __call__(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        return self.finish(weights @ self.per_image)
