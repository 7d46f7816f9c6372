"""Gathers predictions over batches and processes by the index of their instance or image, so that none counts twice."""

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from poserep.codecs.base import People, Points
from poserep.errors import InputError
from poserep.geometry import Crop
from poserep.metrics.scorer import FinishedResults, Predictions


class Gather(Metric):
    """Collects the predictions of one readout; `poserep.metrics.scorer.Scorer` scores them.

    They are of instances, one each, or `People` of images, any number of them.
    """

    index: list[Tensor]
    number: list[Tensor]
    xy: list[Tensor]
    score: list[Tensor]
    person_score: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        for name in ("index", "number", "xy", "score", "person_score"):
            self.add_state(name, default=[], dist_reduce_fx="cat")
        self.of_images = False

    def update(self, index: Tensor, crop: Crop, points: Points | People, joints: list[int] | slice) -> None:
        """Add a batch: indices (B,) of instances or ids of images, their crops, and what is predicted, in input px.

        ``joints`` are the positions of those that are evaluated. A coordinate or score that is not a finite number is
        an `InputError`.
        """
        self.of_images = isinstance(points, People)
        if isinstance(points, People):
            index, crop = index[points.row], Crop(crop.matrix[points.row.to(crop.matrix.device)])
            first = torch.searchsorted(points.row, points.row)
            number, ranks = torch.arange(len(index), device=index.device) - first, points.person_score
        else:
            number, ranks = torch.zeros_like(index), points.score[:, 0]
        xy, score = crop.to_image(points.xy)[:, joints], points.score[:, joints]
        finite = torch.isfinite(xy).flatten(1).all(1) & torch.isfinite(score).all(1) & torch.isfinite(ranks)
        if not finite.all():
            what = "images" if self.of_images else "instances"
            bad = index[~finite].unique().tolist()
            raise InputError(f"predictions of {what} {bad[:5]} are not finite; the network has diverged")
        states = (self.index, self.number, self.xy, self.score, self.person_score)
        for state, values in zip(states, (index, number, xy.float(), score.float(), ranks.float()), strict=True):
            state.append(values)

    def compute(self) -> dict[str, np.ndarray]:
        """Return the predictions of all processes, each once and in order, as arrays by the names of the states.

        It is an `InputError` if nothing has been gathered.
        """
        if not len(self.index):
            raise InputError("no predictions to evaluate")
        names = ("index", "number", "xy", "score", "person_score")
        states = {name: dim_zero_cat(getattr(self, name)).cpu().numpy() for name in names}
        # Samplers repeat samples to give every process as many.
        key = np.stack([states["index"], states["number"]], 1)
        _, first = np.unique(key, axis=0, return_index=True)
        return {name: values[first] for name, values in states.items()}

    def predictions(self, threshold: float) -> Predictions:
        """Return all predictions; ``threshold`` as `Predictions` has it, which people's own scores do not need."""
        values = self.compute()
        index, xy, score = (values[name] for name in ("index", "xy", "score"))
        if not self.of_images:
            return Predictions(index, xy, score, threshold)
        ranks = values["person_score"].astype(float)
        return FinishedResults(np.arange(len(index)), xy, score, image_id=index, person_score=ranks)
