"""Deviations: what published code does differently from the ideal algorithm.

Every codec takes these options beside its own, as in ``representation.codec.score=published``. Without them it is
exact: its score is 1 for its own perfect target, all joints inside the crop are learnt, and a flip test changes nothing
for a network that treats an image and its mirror image alike.
"""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from poserep.errors import InputError

Score = Literal["contract", "published"]
Bounds = Literal["crop", "published"]


@dataclass(frozen=True)
class Deviations:
    """The deviations of published code; the defaults are the ideal.

    Attributes:
        score: ``contract`` is in [0, 1] and 1 for the codec's own perfect target; ``published`` is the number that the
            papers' code calls score, see each codec.
        bounds: Which joints are learnt: ``crop`` keeps those inside the crop, ``published`` follows the rule of the
            papers' code, which keeps some beside it. Codecs without a published rule keep those of the crop.
        flip_shift: Bins by which the flip test moves the un-mirrored output to the right, whatever is exact: 1 in
            HRNet's and SRPose's code, -1 in SimCC's, whatever its number of bins. None is exact, see
            `poserep.codecs.flip_shift`.
        score_threshold: Joints with a lower score do not count in a person's score: 0.2 in HRNet's code, 0.005 to 0.02
            in SimCC's, whose published score is another. It belongs to the score; only 0 means the same to all codecs.
    """

    score: Score = "contract"
    bounds: Bounds = "crop"
    flip_shift: float | None = None
    score_threshold: float = 0.2

    def __post_init__(self) -> None:
        for name, known in (("score", get_args(Score)), ("bounds", get_args(Bounds))):
            if getattr(self, name) not in known:
                raise InputError(f"{name}={getattr(self, name)!r} is not one of {known}")
        if not isinstance(self.score_threshold, int | float) or not 0 <= self.score_threshold < 1:
            raise InputError(f"score_threshold={self.score_threshold!r} must be a number in [0, 1)")
        shift = self.flip_shift
        if shift is not None and not (isinstance(shift, int | float) and math.isfinite(shift)):
            raise InputError(f"flip_shift={shift!r} must be a number of bins, or null")
