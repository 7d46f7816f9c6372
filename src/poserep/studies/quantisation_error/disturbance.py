"""Poses on their way through a codec: a perfect or a disturbed output, and every readout of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from poserep.codecs import Codec
from poserep.codecs.base import Points
from poserep.geometry import Align

# Values of a target that are worked on at once, a few arrays of 16 MB, and persons at most.
BATCH_VALUES, BATCH_PERSONS = 4_000_000, 64


@dataclass(frozen=True)
class Condition:
    """What stands between a perfect output and its readout.

    Attributes:
        noise: Standard deviation of independent Gaussian noise on every bin, relative to the target's peak; what falls
            below 0 is cut, since targets are densities.
        second: Height, relative to the target, of a second peak: the target of the mirror-image joint, as when a
            network takes left for right. Errors are those of joints that have such a peak.
        scores: Scores are multiplied by independent uniform factors from here to 1. They rank persons and nothing
            else, so this tells what ranking is worth.
        sizes: Sizes at which it is measured, as ``aligns`` are alignments; None: all.
    """

    name: str
    noise: float = 0.0
    second: float = 0.0
    scores: float = 1.0
    sizes: Sequence[str] | None = None
    aligns: Sequence[Align] | None = None

    @property
    def output(self) -> tuple[float, float]:
        """What it does to outputs; (0, 0) leaves them perfect."""
        return self.noise, self.second


@dataclass(frozen=True)
class Decoded:
    """All poses as one readout gives them back.

    ``points`` are (N, K), input px; ``usable`` (N, K) are the joints that the codec represents, labelled and within its
    bounds, ``counted`` (N, K) those whose errors are measured.
    """

    points: Points
    usable: Tensor
    counted: Tensor


def is_density(codec: Codec, target: Any) -> bool:
    """Return whether a target is, or holds, maps or vectors over bins, which noise and second peaks can be added to."""
    if isinstance(target, Tensor):
        return target.ndim == 4 or (target.ndim == 3 and target.shape[-1] in (codec.x.n, codec.y.n))
    return any(is_density(codec, part) for part in target)


def disturb(codec: Codec, target: Any, condition: Condition, perm: Tensor, generator: torch.Generator) -> Any:
    """Return a target as an imperfect network would emit it.

    Densities (B, K, ...) over bins get noise and second peaks, also within tuples; what else is in them stays as it is.
    """
    if not isinstance(target, Tensor):
        return tuple(disturb(codec, part, condition, perm, generator) for part in target)
    if not is_density(codec, target):
        return target
    bins = tuple(range(2, target.ndim))
    if condition.second:
        height = condition.second * paired(perm).to(target.dtype)
        target = target + target[:, perm] * height.view(-1, *(1 for _ in bins))
    if condition.noise:
        noise = torch.randn(target.shape, generator=generator)
        target = torch.addcmul(target, noise, target.amax(bins, keepdim=True), value=condition.noise).clamp_min_(0)
    return target


def paired(perm: Tensor) -> Tensor:
    """Return which joints have a mirror image, (K,) bool."""
    return perm != torch.arange(len(perm))


def decode_poses(
    codec: Codec, xy: Tensor, weight: Tensor, condition: Condition, perm: Tensor, seed: int = 0
) -> dict[str, Decoded] | None:
    """Put poses (N, K, 2) in input px, with weights (N, K), through targets, disturbance and every readout.

    The result is by readout, the default one first; None if the condition disturbs densities and the codec's target is
    none.
    """
    generator = torch.Generator().manual_seed(seed)
    decoded: dict[str, list[Points]] = {name: [] for name in codec.readouts}
    kept = []
    bins = codec.x.n * codec.y.n if codec.form != "axes" else codec.x.n + codec.y.n
    count = max(1, min(BATCH_PERSONS, BATCH_VALUES // (weight.shape[1] * bins)))
    for batch in zip(xy.split(count), weight.split(count), strict=True):
        target, w = codec.encode(*batch)
        if any(condition.output):
            if not is_density(codec, target):
                return None
            target = disturb(codec, target, condition, perm, generator)
        out = codec.oracle(target)
        for name, points in decoded.items():
            read = codec.decode(out, name)
            assert isinstance(read, Points)
            points.append(read)
        kept.append(w > 0)
    usable = torch.cat(kept)
    counted = usable & usable[:, perm] & paired(perm) if condition.second else usable
    return {
        name: Decoded(Points(*(torch.cat(field) for field in zip(*points, strict=True))), usable, counted)
        for name, points in decoded.items()
    }
