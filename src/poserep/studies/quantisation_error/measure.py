"""How far poses move on their way through a codec: perfect or disturbed outputs, every readout, errors and bounds.

Errors in input px are per axis, |dx| and |dy| pooled, because bins bound each axis by itself: half a bin for a codec
that takes the nearest one, lambda / 2 for a heatmap of stride lambda and 1 / (2 k) for SimCC. Errors in image px are
distances.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from poserep.batch import Points
from poserep.codecs import Codec
from poserep.geometry import Align, Crop, Size

# Values of a target that are worked on at once: a few arrays of 16 MB.
VALUES = 4_000_000
PERSONS = 64


@dataclass(frozen=True)
class Condition:
    """What stands between a perfect output and its readout.

    Attributes:
        name: In tables.
        noise: Standard deviation of independent Gaussian noise on every bin, relative to the target's peak; what falls
            below 0 is cut, since targets are densities.
        second: Height, relative to the target, of a second peak: the target of the mirror-image joint, as when a
            network takes left for right. Errors are those of joints that have such a peak.
        scores: Scores are multiplied by independent uniform factors from here to 1. They rank persons and nothing
            else, so this tells what ranking is worth.
        sizes: Where it is measured; None: at every size.
        aligns: As ``sizes``.
    """

    name: str
    noise: float = 0.0
    second: float = 0.0
    scores: float = 1.0
    sizes: Sequence[str] | None = None
    aligns: Sequence[Align] | None = None

    def applies(self, size: Size, align: Align) -> bool:
        """Whether it is measured there."""
        return str(size) in (self.sizes or (str(size),)) and align in (self.aligns or (align,))

    @property
    def output(self) -> tuple[float, float]:
        """What it does to outputs; (0, 0) leaves them perfect."""
        return self.noise, self.second


@dataclass(frozen=True)
class Decoded:
    """All poses as one readout gives them back.

    Attributes:
        points: (N, K), input px.
        usable: (N, K) bool, joints that the codec represents: labelled and within its bounds.
        counted: (N, K) bool, joints whose errors are told.
    """

    points: Points
    usable: Tensor
    counted: Tensor


def is_density(codec: Codec, target: Any) -> bool:
    """Whether a target is, or holds, maps or vectors over bins, to which noise and second peaks can be added."""
    if isinstance(target, Tensor):
        return target.ndim == 4 or (target.ndim == 3 and target.shape[-1] in (codec.x.n, codec.y.n))
    return any(is_density(codec, part) for part in target)


def disturb(codec: Codec, target: Any, condition: Condition, perm: Tensor, generator: torch.Generator) -> Any:
    """A target as an imperfect network would emit it.

    Args:
        codec: Whose target it is.
        target: (B, K, ...) density over bins, or a tuple of such; what else is in it stays as it is.
        condition: Of which ``noise`` and ``second`` are used.
        perm: (K,) from `Skeleton.flip_perm`.
        generator: Of the noise.

    Returns:
        In the form of the target.
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
    """(K,) bool: joints that have a mirror image."""
    return perm != torch.arange(len(perm))


def batches(codec: Codec, count: int, joints: int) -> Iterator[slice]:
    """Batches of persons whose targets fit in memory, whatever their resolution."""
    bins = codec.x.n * codec.y.n if codec.form != "axes" else codec.x.n + codec.y.n
    step = max(1, min(PERSONS, VALUES // (joints * bins)))
    return (slice(first, first + step) for first in range(0, count, step))


def decode(
    codec: Codec, xy: Tensor, weight: Tensor, condition: Condition, perm: Tensor, seed: int = 0
) -> dict[str, Decoded] | None:
    """Poses through targets, disturbance and every readout.

    Args:
        codec: Whose readouts are used.
        xy: (N, K, 2) input px.
        weight: (N, K), 0 where unlabelled.
        condition: See `Condition`.
        perm: (K,) from `Skeleton.flip_perm`.
        seed: Of the noise.

    Returns:
        By readout, the default one first; None if the condition disturbs densities and the codec's target is none.
    """
    generator = torch.Generator().manual_seed(seed)
    found: dict[str, list[Points]] = {name: [] for name in codec.readouts}
    kept = []
    for part in batches(codec, *weight.shape):
        target, w = codec.encode(xy[part], weight[part])
        if any(condition.output):
            if not is_density(codec, target):
                return None
            target = disturb(codec, target, condition, perm, generator)
        out = codec.oracle(target)
        for name, points in found.items():
            points.append(codec.decode(out, name))
        kept.append(w > 0)
    usable = torch.cat(kept)
    counted = usable & usable[:, perm] & paired(perm) if condition.second else usable
    return {
        name: Decoded(Points(*(torch.cat(field) for field in zip(*points, strict=True))), usable, counted)
        for name, points in found.items()
    }


def errors(decoded: Decoded, xy: Tensor, crop: Crop, image_xy: Tensor) -> dict[str, float]:
    """How far the counted joints of one readout lie from the truth, and how many they are.

    Args:
        decoded: See `Decoded`.
        xy: (N, K, 2) the truth, input px.
        crop: Image px to input px.
        image_xy: (N, K, 2) the truth, image px.

    Returns:
        ``mean``, ``median``, ``p95`` and ``max`` in ``_px`` (per axis) and ``_image_px`` (distances), the mean signed
        errors ``bias_x_px`` and ``bias_y_px``, and ``joints``; only the last if there are none.
    """
    counted = decoded.counted
    told: dict[str, float] = {"joints": int(counted.sum())}
    if not told["joints"]:
        return told
    signed = (decoded.points.xy - xy)[counted].double().numpy()
    distance = (crop.to_image(decoded.points.xy.double()) - image_xy)[counted].norm(dim=-1).numpy()
    for unit, values in (("px", np.abs(signed)), ("image_px", distance)):
        told[f"mean_{unit}"], told[f"median_{unit}"] = float(values.mean()), float(np.median(values))
        told[f"p95_{unit}"], told[f"max_{unit}"] = float(np.quantile(values, 0.95)), float(values.max())
    told["bias_x_px"], told["bias_y_px"] = (float(v) for v in signed.mean(0))
    return told


def bound(codec: Codec) -> float | None:
    """The greatest error per axis, input px, that whole bins explain; None if there are no bins.

    Half a bin, or a bin if it is always rounded one way; more only where an alignment lets bins end before the crop
    does. Readouts between bins can stay far below it; means over a map can exceed it where the crop cuts the map.
    """
    if codec.form.startswith("points"):
        return None
    rounding = {"floor": 1.0, "ceil": 1.0, "round": 0.5}.get(getattr(codec, "quantise", "none"), 0.0)
    if getattr(codec, "grid", "bins") == "px":
        return max(axis.reach() * axis.px_per_bin() for axis in (codec.x, codec.y)) + rounding
    return max(max(axis.reach(), rounding) * axis.px_per_bin() for axis in (codec.x, codec.y))


def describe(codec: Codec) -> dict[str, Any]:
    """What sets codecs apart: input px a bin, sigma in bins, and how positions are quantised or labels smoothed."""
    label, limit = getattr(codec, "label", None), bound(codec)
    return {
        "px_per_bin": None if limit is None else codec.x.px_per_bin(),
        "sigma": getattr(codec if label is None else label, "sigma", None),
        "encoding": getattr(codec, "quantise", None) if label is None else type(label).__name__.lower(),
        "bound_px": limit,
    }
