"""Gathers predictions over batches and processes by the index of their instance, so that none counts twice."""

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from poserep.codecs.base import Points
from poserep.errors import InputError


class Gather(Metric):
    """Collects the predictions of one readout; `poserep.metrics.scorer.Scorer` scores them."""

    index: list[Tensor]
    xy: list[Tensor]
    score: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        for name in ("index", "xy", "score"):
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def update(self, index: Tensor, points: Points) -> None:
        """Add a batch: indices (B,) of the instances and their points in image px.

        A coordinate or score that is not a finite number is an `InputError`.
        """
        finite = torch.isfinite(points.xy).all(-1) & torch.isfinite(points.score)
        if not finite.all():
            bad = index[~finite.all(1)].tolist()
            raise InputError(f"predictions of instances {bad[:5]} are not finite; the network has diverged")
        self.index.append(index)
        self.xy.append(points.xy.float())
        self.score.append(points.score.float())

    def compute(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return index (N,), xy (N, K, 2) and score (N, K) of all processes, each instance once and in order.

        It is an `InputError` if nothing has been gathered.
        """
        if not len(self.index):
            raise InputError("no predictions to evaluate")
        index, xy, score = (dim_zero_cat(state).cpu().numpy() for state in (self.index, self.xy, self.score))
        # Samplers repeat samples to give every process as many.
        unique, first = np.unique(index, return_index=True)
        return unique, xy[first], score[first]
