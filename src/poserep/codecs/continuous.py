"""Heatmaps that are learnt at positions anywhere, and read on bins of any width."""

from functools import cached_property
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from poserep.codecs.heatmap import Heatmap
from poserep.codecs.label_smoothing import LABEL_TAIL
from poserep.errors import check_choice, check_positive
from poserep.geometry import Size

# Values (B, 4, K, Q) of four neighbours at Q positions, and these (B, Q, 2) in bins, x first.
Sampled = tuple[Tensor, Tensor]
Profile = Literal["gaussian", "laplace"]


class ContinuousHeatmap(Heatmap):
    """Heatmap as a function of position (Hu et al. 2024, NerPE), read at input resolution by default.

    In training ``out`` is values (B, 4, K, Q) that four neighbours predict on their own at Q positions (B, Q, 2), bins;
    otherwise it is the map (B, K, h, w). The criterion, by default half the mean squared error as in the paper, is that
    of all values. Joints outside the crop and scores are as with `Heatmap`; the paper has HRNet's code for data.

    Args:
        size: Height and width of the network's input, px.
        scale: Bins per input px.
        profile: What is learnt at distance d from a joint: ``gaussian`` exp(-d^2 / (2 spread^2)), or ``laplace``
            exp(-d / spread).
        spread: Reach of the profile in halves of the input's longer side; in the paper 0.06 for ``gaussian``, 0.09 for
            ``laplace``.
        **options: Options of `Heatmap`, other than ``stride``, ``sigma``, ``quantise`` and ``truncate``.
    """

    form = "continuous map"

    def __init__(
        self, size: Size | str, scale: float = 1, profile: Profile = "gaussian", spread: float = 0.06, **options: Any
    ) -> None:
        check_choice("ContinuousHeatmap: profile", profile, get_args(Profile))
        check_positive("ContinuousHeatmap: scale", scale, " (bins per input px)")
        check_positive("ContinuousHeatmap: spread", spread, " of half the input's longer side")
        size = Size.parse(size)
        super().__init__(size, 1 / scale, spread * max(size) / 2 * scale, "none", truncate=None, **options)
        self.profile = profile

    def encode(self, xy: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Return joints (B, K, 2) in bins, 0 where the weight is; and weights (B, K)."""
        return self.centres(xy, weight)

    def loss(self, out: Sampled | Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Compute the criterion of all values at positions, or of a map's bins."""
        if isinstance(out, Tensor):
            return super().loss(out, self.oracle(target), weight)
        value, position = out
        distance = position[:, None] - target[:, :, None]
        return super().loss(value.transpose(1, 2), self.at(distance.square().sum(-1))[:, :, None], weight)

    def oracle(self, target: Tensor) -> Tensor:
        """Return maps (B, K, h, w) of what is learnt, at all bins."""
        x, y = (torch.arange(a.n, device=target.device) - target[..., i, None] for i, a in enumerate((self.x, self.y)))
        return self.at(y.square()[..., :, None] + x.square()[..., None, :])

    def at(self, squares: Tensor) -> Tensor:
        """Return what is learnt at squared distances from the joint, in bins, any shape."""
        exponent = squares.sqrt() / -self.sigma if self.profile == "laplace" else squares / (-2 * self.sigma**2)
        return exponent.clamp_min(LABEL_TAIL).exp()

    @cached_property
    def least_peak(self) -> float:
        """The lowest maximum that a perfect map of a joint inside the crop can have."""
        return float(self.at(torch.tensor(self.x.reach() ** 2 + self.y.reach() ** 2)))
