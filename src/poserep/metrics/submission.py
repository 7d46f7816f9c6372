"""Predictions whose truth only a server has."""

from poserep.metrics.base import Predictions
from poserep.metrics.coco import CocoAP


class CocoSubmission(CocoAP):
    """Rescored and de-duplicated as for `CocoAP`, but without numbers: `results` is what COCO's server takes."""

    columns = ()

    def evaluate(self, predictions: Predictions) -> dict[str, float]:
        """Nothing to name."""
        return {}
