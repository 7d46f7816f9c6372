"""Normalised mean error (NME) of landmarks, and the curve of its errors, beside COCO's AP."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from poserep.errors import InputError
from poserep.instances import Truth
from poserep.metrics.coco import CocoAP
from poserep.metrics.epe import distances
from poserep.metrics.scorer import FinishedResults, Predictions, Resampler, Scores, SumScorer

BOX = "box"


class LandmarkErrors(SumScorer):
    """The mean distance of a person's labelled joints from their labels, in percent of a length of that person.

    ``NME`` is its mean over persons. The curve tells for each error up to a ``limit`` which share of the persons has no
    more; ``AUC`` is the area under it as a share of the area under 100 %, ``FR`` the share of the persons beyond the
    limit, both in percent (300-W: Sagonas et al., Image and Vision Computing 47, 2016). NaN where nobody is measured.

    Args:
        truth: Annotated persons; others, and those without the length, are not measured.
        normaliser: Two joints whose labelled distance is the length, such as the outer corners of the eyes, or ``box``
            for the geometric mean of the box's width and height.
        limit: The greatest error of the curve, in percent.

    A normaliser that is neither, and a limit that is not above 0, are an `InputError`.
    """

    def __init__(self, truth: Truth, normaliser: Sequence[str] | str = BOX, limit: float = 10.0) -> None:
        super().__init__(truth)
        names, pair = truth.skeleton.names, normaliser if isinstance(normaliser, str) else list(normaliser)
        if pair != BOX and not (isinstance(pair, list) and len({*pair}) == 2 and {*pair} <= {*names}):
            raise InputError(
                f"data.metric.normaliser={normaliser} is neither box nor two joints of {truth.skeleton.name}, such as "
                f"[{names[0]},{names[-1]}]"
            )
        if type(limit) not in (int, float) or not 0 < limit < float("inf"):
            raise InputError(f"data.metric.limit={limit} is not a number above 0, in percent, such as 10")
        self.limit, self.names = float(limit), ("NME", f"AUC{limit:g}", f"FR{limit:g}")
        self.columns, self.lower = self.names, frozenset(self.names[::2])
        instances = truth.instances
        measured = truth.labelled.any(1)
        if isinstance(pair, str):
            self.length = np.sqrt(instances.box[:, 2:].astype(float).prod(1))
        else:
            a, b = (names.index(name) for name in pair)
            self.length = np.linalg.norm(instances.keypoints[:, a].astype(float) - instances.keypoints[:, b], axis=-1)
            measured &= truth.labelled[:, [a, b]].all(1)
        self.measured = measured & (self.length > 0)

    def uncounted(self) -> dict[str, int]:
        """See `Scorer.uncounted`: persons of whom the length is not known."""
        count = int((self.truth.labelled.any(1) & ~self.measured).sum())
        return {"without the length that NME is measured in": count} if count else {}

    def sums(self, predictions: Predictions) -> np.ndarray:
        """Return each person's error, what the curve's area has of it, whether it is beyond the limit, 1: (N, 4)."""
        index = predictions.index
        labelled, measured = self.truth.labelled[index], self.measured[index]
        distance = distances(self.truth.instances.keypoints[index], predictions.xy)
        mean = np.where(labelled, distance, 0).sum(1) / np.maximum(labelled.sum(1), 1)
        error = 100 * mean / np.where(measured, self.length[index], 1)
        columns = error, 100 * np.maximum(1 - error / self.limit, 0), 100.0 * (error > self.limit), np.ones(len(error))
        return np.where(measured[:, None], np.stack(columns, 1), 0)

    def finish(self, totals: np.ndarray) -> dict[str, np.ndarray]:
        """See `SumScorer.finish`."""
        with np.errstate(invalid="ignore"):
            return dict(zip(self.names, (totals[:, :3] / totals[:, 3:]).T, strict=True))


class LandmarkAP(CocoAP):
    """`CocoAP`, and `LandmarkErrors` of the same predictions; options are those of both.

    Errors are of annotated boxes. With detected ones and of people found in whole images, of which nobody knows whose
    they are, they are NaN.
    """

    def __init__(
        self, truth: Truth, normaliser: Sequence[str] | str = BOX, limit: float = 10.0, **options: Any
    ) -> None:
        super().__init__(truth, **options)
        self.landmarks = LandmarkErrors(truth, normaliser, limit)
        self.columns, self.lower = ("AP", *self.landmarks.names), self.landmarks.lower

    def __call__(self, predictions: Predictions) -> Scores:
        """See `CocoAP` and `LandmarkErrors`."""
        found = super().__call__(predictions)
        return found._replace(values=found.values | self.landmarks(self._by_person(predictions)).values)

    def uncounted(self) -> dict[str, int]:
        """See `Scorer.uncounted`."""
        return super().uncounted() | self.landmarks.uncounted()

    def resampler(self, predictions: Predictions, names: Sequence[str] | None = None) -> Resampler:
        """See `Scorer.resampler`."""
        errors = self.landmarks.resampler(self._by_person(predictions))
        if names is not None and {*names} <= {*self.landmarks.names}:
            return errors
        return _Both(super().resampler(predictions, names), errors)

    @staticmethod
    def _by_person(predictions: Predictions) -> Predictions:
        if not isinstance(predictions, FinishedResults):
            return predictions
        return Predictions(np.empty(0, np.int64), predictions.xy[:0], predictions.score[:0])


class _Both:
    def __init__(self, precision: Resampler, errors: Resampler) -> None:
        self.precision, self.errors, self.images = precision, errors, precision.images
        self.columns = np.searchsorted(self.images, errors.images)

    def __call__(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        return self.precision(weights) | self.errors(weights[:, self.columns])
