"""How fast a joint's OKS falls off, in bins: a joint at distance d scores exp(-d^2 / (2 s)), s its *spread* in bins^2.

Every spread takes the joints' OKS sigmas (K,) and the numbers of bins of the map, and returns s (K,).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from poserep.errors import InputError, check_positive

Spread = Callable[[Tensor, int, int], Tensor]


@dataclass(frozen=True)
class PersonArea:
    """COCO's OKS of a person who covers a ``share`` of the crop: s = (2 sigma)^2 times that share of the map's bins.

    The area of a person is not known when joints are read. Those annotated in COCO's val2017 cover 0.21 of their crop
    (4:3, padding 1.25; the median), half of them 0.16 to 0.28. A whole person who fills the box covers 0.35.
    """

    share: float = 0.2

    def __post_init__(self) -> None:
        check_positive("PersonArea: share", self.share, " (of the crop's area)")

    def __call__(self, sigmas: Tensor, height: int, width: int) -> Tensor:
        """Return s (K,) in bins^2."""
        return (2 * sigmas).square() * (self.share * height * width)


@dataclass(frozen=True)
class ProbPoseSpread:
    """The spread of ProbPose's code: s = 2 (2 sigma)^2 A between ``least`` and ``most``, in bins^2.

    A = sqrt(h w) / 1.25 is called an area there, but is a length: at 64x48 bins it stands for a person who covers 0.03
    of the map, with hardly a difference between joints once it is cut.
    """

    least: float = 0.55
    most: float = 3.0

    def __post_init__(self) -> None:
        if not 0 < self.least <= self.most < float("inf"):
            raise InputError(f"ProbPoseSpread: least={self.least} and most={self.most} must be positive and ascend")

    def __call__(self, sigmas: Tensor, height: int, width: int) -> Tensor:
        """Return s (K,) in bins^2."""
        return (2 * (2 * sigmas).square() * ((height * width) ** 0.5 / 1.25)).clamp(self.least, self.most)


@dataclass(frozen=True)
class SameSpread:
    """One spread for all joints, ``s`` in bins^2 (ProbPose's code calls it sigma)."""

    s: float = 2.0

    def __post_init__(self) -> None:
        check_positive("SameSpread: s", self.s, " (bins^2)")

    def __call__(self, sigmas: Tensor, height: int, width: int) -> Tensor:
        """Return s (K,) in bins^2."""
        return torch.full_like(sigmas, self.s)
