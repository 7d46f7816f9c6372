"""The interface of scorers: predictions in, named values out, and the same values for resampled images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import numpy as np

from poserep.instances import Truth


@dataclass(frozen=True, eq=False)
class Predictions:
    """Predicted keypoints ``xy`` (N, K, 2) in image px, and scores (N, K), both float32, of some instances.

    ``index`` (N,) int64 are their positions in the truth's instances, ascending and each at most once. Joints count in
    a person's score if their own score is above ``threshold``, which belongs to the definition of the scores.
    """

    index: np.ndarray
    xy: np.ndarray
    score: np.ndarray
    threshold: float = 0.0

    def take(self, rows: Any) -> "Predictions":
        """Return the predictions in some rows: positions, a mask or a slice."""
        return replace(self, index=self.index[rows], xy=self.xy[rows], score=self.score[rows])

    def arrays(self, boxes: str, readout: str) -> dict[str, np.ndarray]:
        """Return what is stored of predictions with a kind of boxes and a readout, by name."""
        return {f"{boxes}/index": self.index, f"{boxes}/{readout}/xy": self.xy, f"{boxes}/{readout}/score": self.score}

    @staticmethod
    def load(stored: Mapping[str, np.ndarray], boxes: str, readout: str, threshold: float) -> "Predictions":
        """Return predictions from stored arrays."""
        xy, score = (stored[f"{boxes}/{readout}/{name}"] for name in ("xy", "score"))
        if f"{boxes}/{readout}/image_id" not in stored:
            return Predictions(stored[f"{boxes}/index"], xy, score, threshold)
        image, ranks = (stored[f"{boxes}/{readout}/{name}"] for name in ("image_id", "person_score"))
        return FinishedResults(np.arange(len(xy)), xy, score, image_id=image, person_score=ranks)


@dataclass(frozen=True, eq=False, kw_only=True)
class FinishedResults(Predictions):
    """People found in whole images: neither are they rescored, nor are duplicates among them suppressed.

    A network has found them that needs no boxes, or another program. ``index`` (N,) are their positions, in its file if
    there is one; of the file's ``xy`` nothing is rounded (float64), and ``score`` is NaN where it has none.
    ``image_id`` (N,) are the ids of their images, ``person_score`` (N,) the scores that rank them.
    """

    image_id: np.ndarray
    person_score: np.ndarray

    def arrays(self, boxes: str, readout: str) -> dict[str, np.ndarray]:
        """See `Predictions.arrays`."""
        names = ("xy", "score", "image_id", "person_score")
        return {f"{boxes}/{readout}/{name}": getattr(self, name) for name in names}


class Scores(NamedTuple):
    """A scorer's values by name, and why some are surprising (such as an AP of 0 or -1); empty if none is."""

    values: dict[str, float]
    diagnosis: str = ""


class Resampler(Protocol):
    """A scorer of fixed predictions, ready for many resamples of the ``images`` (I,), their ids in ascending order."""

    images: np.ndarray

    def __call__(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Return named values (B,) for weights (B, I), how often each image counts; all ones give the plain values."""


class Scorer:
    """Scores predictions against a truth.

    Attributes:
        columns: Names of the values that tables show; the first one selects checkpoints.
        lower: Names of the values of which less is better.
        area: Whose area scales distances, ``annotation`` or ``box``; empty where none does.
    """

    columns: tuple[str, ...] = ()
    lower: frozenset[str] = frozenset()
    area: str = ""

    def __init__(self, truth: Truth) -> None:
        self.truth = truth

    def __call__(self, predictions: Predictions) -> Scores:
        """Score predictions, or raise an `InputError` if they cannot be scored against this truth."""
        raise NotImplementedError

    def uncounted(self) -> dict[str, int]:
        """Return how many annotated persons can never count as found, whatever is predicted, by reason."""
        return {}

    def resampler(self, predictions: Predictions, names: Sequence[str] | None = None) -> Resampler:
        """Prepare predictions for resampling of the images; computing only the named values can save much time."""
        raise NotImplementedError


class SumScorer(Scorer):
    """A scorer whose values are functions of sums over persons: `sums` and `finish` define it."""

    def sums(self, predictions: Predictions) -> np.ndarray:
        """Return what each person adds to the M sums, (N, M)."""
        raise NotImplementedError

    def finish(self, totals: np.ndarray) -> dict[str, np.ndarray]:
        """Return named values (B,) of totals (B, M) over persons; NaN where there is nothing to measure."""
        raise NotImplementedError

    def __call__(self, predictions: Predictions) -> Scores:
        """See `Scorer`; values are NaN where there is nothing to measure."""
        totals = self.sums(predictions).sum(0, keepdims=True)
        return Scores({name: float(values[0]) for name, values in self.finish(totals).items()})

    def resampler(self, predictions: Predictions, names: Sequence[str] | None = None) -> Resampler:
        """See `Scorer.resampler`."""
        return _SumResampler(self, predictions)


class _SumResampler:
    def __init__(self, scorer: SumScorer, predictions: Predictions) -> None:
        self.images, which = np.unique(scorer.truth.instances.image_id[predictions.index], return_inverse=True)
        persons = scorer.sums(predictions)
        self.per_image = np.zeros((len(self.images), persons.shape[1]))
        np.add.at(self.per_image, which, persons)
        self.finish = scorer.finish

    def __call__(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        return self.finish(weights @ self.per_image)
