"""Label smoothing for coordinate classification (SimCC): a position becomes a distribution over the bins of an axis.

Every label takes positions (B, K) in bins and the number of bins n, and returns (B, K, n). With ``shown`` all positions
lie within the crop, and those beyond the centre of an end bin are labelled with that bin; without it the published rule
chose the joints (``in_bounds``), and some may lie outside. ``least_peak`` is the lowest maximum of a perfect target
whose joint is at most ``reach`` bins from the nearest bin. ``published_score`` tells which of the two axes' peaks the
published code takes as a joint's score.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from poserep.errors import InputError, check_positive

# Least probability under a logarithm: far above the smallest float32, far below any that matters.
FLOOR = 1e-30
# Tails end here, at 1e-26: what is below the normal numbers of float32 costs many times as much to compute with.
LABEL_TAIL = -60.0


def gaussian(centre: Tensor, n: int, sigma: float, tail: float = LABEL_TAIL) -> Tensor:
    """Return exp(-d^2 / (2 sigma^2)), (..., n), of the distances d of bins 0 to n - 1 from positions (...) in bins."""
    distance = torch.arange(n, device=centre.device, dtype=centre.dtype) - centre[..., None]
    return distance.square_().mul_(-1 / (2 * sigma**2)).clamp_min_(tail).exp_()


@dataclass(frozen=True)
class Equal:
    """Equal smoothing: ``1 - smoothing`` on the nearest bin, the rest equally on all others (SimDR, SimCC).

    ``smoothing=0`` is the one-hot label, with which the loss is cross-entropy.
    """

    smoothing: float = 0.1
    published_score: ClassVar[Literal["max", "min"]] = "max"

    def __post_init__(self) -> None:
        if not 0 <= self.smoothing < 1:
            raise InputError(f"Equal: smoothing={self.smoothing} must be in [0, 1)")

    def __call__(self, centre: Tensor, n: int, shown: bool = True) -> Tensor:
        """Turn (B, K) bins into (B, K, n)."""
        rest = self.smoothing / (n - 1)
        target = torch.full((*centre.shape, n), rest, device=centre.device, dtype=centre.dtype)
        # Ties go to the even bin, as in NumPy.
        nearest = centre.round().long().clamp(0, n - 1)
        return target.scatter(-1, nearest[..., None], 1 - self.smoothing)

    def in_bounds(self, centre: Tensor, n: int, k: float) -> Tensor:
        """Return whether the rounded label lies on the axis."""
        label = centre.round()
        return (label >= 0) & (label < n)

    def least_peak(self, reach: float) -> float:
        """Return 1 - smoothing, wherever the joint is."""
        return 1 - self.smoothing


@dataclass(frozen=True)
class Gaussian:
    """Gaussian smoothing: a Gaussian around the exact position (SA-SimDR, SimCC).

    Attributes:
        sigma: Standard deviation in bins; published: 4 or 6.
        renormalise: Make each target sum to one (joints outside the crop get twice their mass on the axis at most).
            The published code divides by sigma sqrt(2 pi) instead, so that joints at the border weigh less.
        rounded: Draw around the nearest bin, ties to the even one (SimDR, eqs. 6 and 7; mmpose).
    """

    sigma: float = 6.0
    renormalise: bool = True
    rounded: bool = False
    published_score: ClassVar[Literal["max", "min"]] = "min"

    def __post_init__(self) -> None:
        check_positive(f"{type(self).__name__}: sigma", self.sigma, " of bins")

    def __call__(self, centre: Tensor, n: int, shown: bool = True) -> Tensor:
        """Turn (B, K) bins into (B, K, n)."""
        if self.rounded:
            centre = centre.round().clamp(0, n - 1) if shown else centre.round()
        target = self._profile(centre, n)
        if self.renormalise:
            # A joint at the end of the axis has half of its mass on it. The mere tail of one farther out must not
            # become a whole label of the last bin.
            least = FLOOR if shown else self._mass() / 2
            return target.div_(target.sum(-1, keepdim=True).clamp_min(least))
        return target.div_(self._mass())

    def _profile(self, centre: Tensor, n: int) -> Tensor:
        return gaussian(centre, n, self.sigma)

    def _mass(self) -> float:
        return self.sigma * (2 * torch.pi) ** 0.5

    def in_bounds(self, centre: Tensor, n: int, k: float) -> Tensor:
        """Return whether joints are within 3 sigma of the crop; sigma in bins is taken for input px, as published."""
        x, length = centre / k, n / k
        return (torch.trunc(x - 3 * self.sigma) < length) & (torch.trunc(x + 3 * self.sigma + 1) >= 0)

    def least_peak(self, reach: float) -> float:
        """Return the maximum of the label half-way between two bins, or on one if labels are rounded."""
        # Long enough that no tail is cut: the lowest peak is that of a label with all its mass on the axis.
        n = int(20 * self.sigma) * 2 + 4
        at = torch.tensor(n // 2 + min(reach, 0.5), dtype=torch.float64)
        return float(self(at, n).max())


@dataclass(frozen=True)
class Laplace(Gaussian):
    """Laplace smoothing: a Laplace distribution around the exact position, of standard deviation ``sigma``.

    The published tables have a Laplace row but neither scale nor code; this is exp(-|i - x| / b), b = sigma / sqrt(2).
    """

    def _profile(self, centre: Tensor, n: int) -> Tensor:
        distance = torch.arange(n, device=centre.device, dtype=centre.dtype) - centre[..., None]
        return distance.abs_().mul_(-(2**0.5) / self.sigma).clamp_min_(LABEL_TAIL).exp_()

    def _mass(self) -> float:
        return self.sigma * 2**0.5


Label = Equal | Gaussian
