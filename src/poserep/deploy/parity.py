"""Whether two programs that run the same model find the same."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch

from poserep.deploy.estimators import Estimator
from poserep.deploy.graph import PoseGraph

# What ONNX Runtime may differ by from PyTorch: input px, score.
PX, SCORE = 0.05, 1e-3
# Of a network's outputs, relative to the greatest; how often ties are looked for; which share of joints may be ties.
ROUNDING, TRIES, RARE = 1e-6, 32, 2e-3
BATCH = 32


class Difference(NamedTuple):
    """How far two estimators are apart on some crops.

    Attributes:
        px: The greatest distance along an axis, input px, but for ties.
        score: The greatest difference of scores.
        joints: How many were compared.
        apart: How many of them differ by more than `PX` or `SCORE` and are no ties.
        ties: How many differ by more than `PX` because two places are equally good.
    """

    px: float
    score: float
    joints: int
    apart: int
    ties: int


def compare(
    one: Estimator,
    other: Estimator,
    images: np.ndarray,
    tied: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
) -> Difference:
    """How far two estimators are apart on crops (N, C, H, W); the first crop alone, the others in batches.

    Args:
        one: The one to compare with.
        other: The one to compare.
        images: Crops.
        tied: From crops (B, C, H, W) and the other's points (B, K, 2), which of these are as good as the one's, (B, K).
    """
    px, score, tie = [], [], []
    for batch in _batches(images):
        (xy, s), (other_xy, other_s) = one(batch), other(batch)
        px.append(np.abs(xy - other_xy).max(-1))
        score.append(np.abs(s - other_s))
        far = ~(px[-1] <= PX)
        tie.append(far & tied(batch, other_xy) if tied and far.any() else np.zeros_like(far))
    distance, scores, ties = np.concatenate(px), np.concatenate(score), np.concatenate(tie)
    # Written so that what is no number is apart.
    apart = ~(((distance <= PX) | ties) & (scores <= SCORE))
    most = float(np.where(ties, 0, distance).max())
    return Difference(most, float(scores.max()), apart.size, int(apart.sum()), int(ties.sum()))


@torch.no_grad()
def equally_good(graph: PoseGraph, images: np.ndarray, xy: np.ndarray) -> np.ndarray:
    """Which points (B, K, 2) PyTorch finds too if outputs of the network are disturbed as little as by rounding.

    Two bins that are equal to single precision are a tie that either of two programs may win.
    """
    image = torch.from_numpy(images)
    out, mirrored = graph.net(image), graph.net(graph.codec.mirror(image)) if graph.flip_test else None
    random = torch.Generator().manual_seed(0)
    found = np.zeros(xy.shape[:-1], bool)
    for _ in range(TRIES):
        there, _score = graph.read(_disturbed(out, random), _disturbed(mirrored, random))
        found |= (np.abs(there.numpy() - xy) <= PX).all(-1)
    return found


def _disturbed(out: Any, random: torch.Generator) -> Any:
    if isinstance(out, torch.Tensor):
        return out + ROUNDING * out.abs().max() * torch.randn(out.shape, generator=random)
    return tuple(_disturbed(part, random) for part in out) if isinstance(out, tuple | list) else out


def _batches(images: np.ndarray) -> Iterator[np.ndarray]:
    yield images[:1]
    for start in range(1, len(images), BATCH):
        yield images[start : start + BATCH]
