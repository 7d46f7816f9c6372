"""Compare two programs that run the same model."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch

from poserep.deploy.estimators import Estimator
from poserep.deploy.graph import PoseGraph

# By how much ONNX Runtime may differ from PyTorch, in input px and in score, and which share of joints may be ties.
MAX_PX, MAX_SCORE, MAX_TIES = 0.05, 1e-3, 2e-3
# Noise on a network's outputs, relative to the greatest, that stands for rounding, and how often ties are looked for.
_NOISE, _TRIES = 1e-6, 32
_BATCH = 32


class Parity(NamedTuple):
    """How far two estimators are apart on some crops.

    Attributes:
        px: Greatest distance along an axis, input px, ties left out.
        score: Greatest difference of scores.
        joints: Number of joints.
        apart: How many of them differ by more than `MAX_PX` or `MAX_SCORE` and are no ties.
        ties: How many differ by more than `MAX_PX` because two places are equally good.
    """

    px: float
    score: float
    joints: int
    apart: int
    ties: int


def parity(
    one: Estimator,
    other: Estimator,
    images: np.ndarray,
    tied: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
) -> Parity:
    """Compare two estimators on crops (N, C, H, W), the first crop alone, the others in batches.

    Args:
        one: The reference.
        other: The estimator to check.
        images: Crops.
        tied: Says of crops (B, C, H, W) and the other's points (B, K, 2) which are as good as the one's, (B, K).
    """
    px, score, tie = [], [], []
    for batch in (images[:1], *(images[start : start + _BATCH] for start in range(1, len(images), _BATCH))):
        (xy, s), (other_xy, other_s) = one(batch), other(batch)
        px.append(np.abs(xy - other_xy).max(-1))
        score.append(np.abs(s - other_s))
        far = ~(px[-1] <= MAX_PX)
        tie.append(far & tied(batch, other_xy) if tied and far.any() else np.zeros_like(far))
    distance, scores, ties = np.concatenate(px), np.concatenate(score), np.concatenate(tie)
    # Written so that NaN is apart.
    apart = ~(((distance <= MAX_PX) | ties) & (scores <= MAX_SCORE))
    greatest = float(np.where(ties, 0, distance).max())
    return Parity(greatest, float(scores.max()), apart.size, int(apart.sum()), int(ties.sum()))


@torch.no_grad()
def equally_good(graph: PoseGraph, images: np.ndarray, xy: np.ndarray) -> np.ndarray:
    """Return which points (B, K, 2) PyTorch gives too if the network's outputs change as little as by rounding.

    Two bins that are equal to single precision are a tie that either of two programs may win.
    """
    image = torch.from_numpy(images)
    out, mirrored = graph.net(image), graph.net(graph.codec.mirror(image)) if graph.flip_test else None
    random = torch.Generator().manual_seed(0)
    good = np.zeros(xy.shape[:-1], bool)
    for _ in range(_TRIES):
        points, _score = graph.read(_disturbed(out, random), _disturbed(mirrored, random))
        good |= (np.abs(points.numpy() - xy) <= MAX_PX).all(-1)
    return good


def _disturbed(out: Any, random: torch.Generator) -> Any:
    if isinstance(out, torch.Tensor):
        return out + _NOISE * out.abs().max() * torch.randn(out.shape, generator=random)
    return tuple(_disturbed(part, random) for part in out) if isinstance(out, tuple | list) else out
