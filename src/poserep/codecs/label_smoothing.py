"""Label smoothing for coordinate classification (SimCC): a position becomes a distribution over the bins of an axis.

Every label takes positions (B, K) in bins and the number of bins n, and returns (B, K, n). With ``shown`` all positions
lie within the crop, and those beyond the centre of an end bin are labelled with that bin; without it the published rule
chose the joints (``in_bounds``), and some may lie outside. ``least_peak`` is the lowest maximum of a perfect target
whose joint is at most ``reach`` of the axis' n bins from the nearest bin. ``published_score`` tells which of the two
axes' peaks the published code takes as a joint's score: the greater or lesser probability, or the lesser logit.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor

from poserep.errors import InputError, check_positive

# Least probability under a logarithm: far above the smallest float32, far below any that matters.
FLOOR = 1e-30
# Tails end here, at 1e-26: what is below the normal numbers of float32 costs many times as much to compute with.
LABEL_TAIL = -60.0
# Standard deviation in bins: of both axes, or of x and of y; None is the square root of a 16th of the axis' bins.
Sigma = float | Sequence[float] | None
PublishedScore = Literal["max", "min", "logits"]


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
    published_score: ClassVar[PublishedScore] = "max"

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

    def least_peak(self, reach: float, n: int) -> float:
        """Return 1 - smoothing, wherever the joint is."""
        return 1 - self.smoothing


class Bell:
    """What labels with a standard deviation have in common; both attributes are their options."""

    sigma: Sigma
    rounded: bool

    def __post_init__(self) -> None:
        name, given = type(self).__name__, self.sigma if isinstance(self.sigma, Sequence) else (self.sigma, None)
        if len(given) != 2:
            raise InputError(f"{name}: sigma={self.sigma} must be one number of bins, or two, of x and of y")
        for sigma in given:
            if sigma is not None:
                check_positive(f"{name}: sigma", sigma, " of bins")

    def along(self, n: int) -> float:
        """Return the standard deviation on an axis of n bins."""
        if isinstance(self.sigma, Sequence):
            raise InputError(f"{type(self).__name__}: sigma={self.sigma} is for both axes; see `of_axis`")
        return (n / 16) ** 0.5 if self.sigma is None else self.sigma

    def centred(self, centre: Tensor, n: int, shown: bool) -> Tensor:
        """Return the positions (B, K) around which labels are drawn."""
        if not self.rounded:
            return centre
        return centre.round().clamp(0, n - 1) if shown else centre.round()


def of_axis(label: "Label", axis: int) -> "Label":
    """Return the label of one axis, 0 for x and 1 for y, of one that may have a standard deviation for each."""
    if isinstance(label, Equal) or not isinstance(label.sigma, Sequence):
        return label
    return replace(label, sigma=label.sigma[axis])


@dataclass(frozen=True)
class Gaussian(Bell):
    """Gaussian smoothing: a Gaussian around the exact position (SA-SimDR, SimCC).

    Attributes:
        sigma: Standard deviation in bins, see `Sigma`; published: 4 or 6.
        renormalise: Make each target sum to one (joints outside the crop get twice their mass on the axis at most).
            The published code divides by sigma sqrt(2 pi) instead, so that joints at the border weigh less.
        rounded: Draw around the nearest bin, ties to the even one (SimDR, eqs. 6 and 7; mmpose).
    """

    sigma: Sigma = 6.0
    renormalise: bool = True
    rounded: bool = False
    published_score: ClassVar[PublishedScore] = "min"

    def __call__(self, centre: Tensor, n: int, shown: bool = True) -> Tensor:
        """Turn (B, K) bins into (B, K, n)."""
        sigma = self.along(n)
        target = self._profile(self.centred(centre, n, shown), n, sigma)
        if self.renormalise:
            # A joint at the end of the axis has half of its mass on it. The mere tail of one farther out must not
            # become a whole label of the last bin.
            least = FLOOR if shown else self._mass(sigma) / 2
            return target.div_(target.sum(-1, keepdim=True).clamp_min(least))
        return target.div_(self._mass(sigma))

    def _profile(self, centre: Tensor, n: int, sigma: float) -> Tensor:
        return gaussian(centre, n, sigma)

    def _mass(self, sigma: float) -> float:
        return sigma * (2 * torch.pi) ** 0.5

    def in_bounds(self, centre: Tensor, n: int, k: float) -> Tensor:
        """Return whether joints are within 3 sigma of the crop; sigma in bins is taken for input px, as published."""
        x, length, reach = centre / k, n / k, 3 * self.along(n)
        return (torch.trunc(x - reach) < length) & (torch.trunc(x + reach + 1) >= 0)

    def least_peak(self, reach: float, n: int) -> float:
        """Return the maximum of the label half-way between two bins, or on one if labels are rounded."""
        sigma = self.along(n)
        # Long enough that no tail is cut: the lowest peak is that of a label with all its mass on the axis.
        n = int(20 * sigma) * 2 + 4
        at = torch.tensor(n // 2 + min(reach, 0.5), dtype=torch.float64)
        return float(replace(self, sigma=sigma)(at, n).max())


@dataclass(frozen=True)
class Laplace(Gaussian):
    """Laplace smoothing: a Laplace distribution around the exact position, of standard deviation ``sigma``.

    The published tables have a Laplace row but neither scale nor code; this is exp(-|i - x| / b), b = sigma / sqrt(2).
    """

    def _profile(self, centre: Tensor, n: int, sigma: float) -> Tensor:
        distance = torch.arange(n, device=centre.device, dtype=centre.dtype) - centre[..., None]
        return distance.abs_().mul_(-(2**0.5) / sigma).clamp_min_(LABEL_TAIL).exp_()

    def _mass(self, sigma: float) -> float:
        return sigma * 2**0.5


@dataclass(frozen=True)
class UnitGaussian(Bell):
    """A Gaussian of peak 1 around the exact position: 1D heatmaps, and RTMPose's labels before they are `Softened`.

    For ``sigma`` and ``rounded`` see `Gaussian`. mmpose keeps joints (``bounds=published``) whose window of 3 sigma
    around the nearest bin touches the axis.
    """

    sigma: Sigma = None
    rounded: bool = False
    published_score: ClassVar[PublishedScore] = "min"

    def __call__(self, centre: Tensor, n: int, shown: bool = True) -> Tensor:
        """Turn (B, K) bins into (B, K, n)."""
        return gaussian(self.centred(centre, n, shown), n, self.along(n))

    def in_bounds(self, centre: Tensor, n: int, k: float) -> Tensor:
        """Return whether a window of 3 sigma around the nearest bin touches the axis."""
        nearest, reach = centre.round(), 3 * self.along(n)
        return (nearest - reach < n) & (nearest + reach + 1 >= 0)

    def least_peak(self, reach: float, n: int) -> float:
        """Return the maximum of the Gaussian ``reach`` bins from the nearest bin, or 1 if labels are rounded."""
        return 1.0 if self.rounded else math.exp(-(reach**2) / (2 * self.along(n) ** 2))


@dataclass(frozen=True)
class Softened(UnitGaussian):
    """RTMPose's smoothing (Jiang et al. 2023): softmax(g / temperature) of a Gaussian g of peak 1 around the position.

    Near the joint that is a Gaussian sqrt(temperature) times as wide; all bins far from it keep exp(-1 / temperature)
    of the peak, 0.5 % of the mass in all on 512 bins. A joint far outside the crop, which published code keeps for the
    sake of its other axis, has a label that prefers no bin.

    Attributes:
        sigma: Standard deviation of g in bins. None follows the axis, sqrt(n / 16); mmpose's configurations have the
            same to two decimals, (4.9, 5.66) for 256x192 and (6, 6.93) for 384x288 at 2 bins per px.
        rounded: Draw around the nearest bin, as mmpose does.
        temperature: The inverse of what mmpose calls label_beta.
    """

    temperature: float = 0.1
    published_score: ClassVar[PublishedScore] = "logits"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive("Softened: temperature", self.temperature)

    def __call__(self, centre: Tensor, n: int, shown: bool = True) -> Tensor:
        """Turn (B, K) bins into (B, K, n)."""
        return soften(super().__call__(centre, n, shown), self.temperature)

    def least_peak(self, reach: float, n: int) -> float:
        """Return the maximum of the label half-way between two bins, or on one if labels are rounded, mid-axis."""
        # There all of its mass is on the axis; far bins have some too, so that their number counts.
        at = torch.tensor(n // 2 + min(reach, 0.5), dtype=torch.float64)
        return float(self(at, n).max())


def soften(profile: Tensor, temperature: float) -> Tensor:
    """Return softmax(profile / temperature) over the last axis of (..., n)."""
    return (profile / temperature).softmax(-1)


Label = Equal | Gaussian | UnitGaussian
