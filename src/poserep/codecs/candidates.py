"""The local maxima of heatmaps: where a joint of several people may be."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class Candidates(NamedTuple):
    """The highest maxima of each map, in descending order; M is the number of the map that has most.

    Attributes:
        xy: (B, K, M, 2), int64, bins; zero where a map has less than M.
        score: (B, K, M), the values there; zero where a map has less than M.
    """

    xy: Tensor
    score: Tensor


def candidates(heatmap: Tensor, kernel: int, most: int, threshold: float, plateaus: bool = False) -> Candidates:
    """Find the maxima of (B, K, h, w): bins that none of their neighbourhood exceeds.

    Args:
        heatmap: (B, K, h, w).
        kernel: Side of the neighbourhood in bins, odd.
        most: Maxima kept of a map; of equal ones the first in row-major order.
        threshold: What a maximum must exceed; not negative.
        plateaus: Keep all bins of a plateau, also those with a neighbour of it before them in row-major order.
    """
    b, k, h, w = heatmap.shape
    flat = heatmap.flatten()
    maxima = (heatmap == maximum_around(heatmap, kernel)) & (heatmap > threshold)
    if not plateaus and kernel > 1:
        maxima = _first_of_plateaus(heatmap, maxima)
    index = maxima.flatten().nonzero()[:, 0]
    index = index[flat[index].argsort(descending=True, stable=True)]
    index = index[(index // (h * w)).argsort(stable=True)]
    of_map = index // (h * w)
    count = of_map.bincount(minlength=b * k)
    rank = torch.arange(len(index), device=index.device) - (count.cumsum(0) - count)[of_map]
    index, of_map, rank = (values[rank < most] for values in (index, of_map, rank))
    m = int(count.max().clamp_max(most))
    place = of_map * m + rank
    score = flat.new_zeros(b * k * m).scatter(0, place, flat[index])
    inside = index.new_zeros(b * k * m).scatter(0, place, index % (h * w)).view(b, k, m)
    return Candidates(torch.stack([inside % w, inside // w], -1), score.view(b, k, m))


def _first_of_plateaus(heatmap: Tensor, maxima: Tensor) -> Tensor:
    """Return the maxima but those that have another as a neighbour before them, which is as high."""
    values = heatmap[maxima]
    if len(values.unique()) == len(values):
        return maxima
    h, w = heatmap.shape[-2:]
    # Whole numbers, exact in float32 on maps of up to 2^24 bins.
    place = torch.arange(h * w, 0, -1, device=heatmap.device, dtype=torch.float32).view(h, w)
    own = torch.where(maxima, place, 0.0)
    return maxima & (own == maximum_around(own, 3))


def maximum_around(heatmap: Tensor, kernel: int) -> Tensor:
    """Return the greatest value of (B, K, h, w) in a square around each bin, same shape; ``kernel`` is its odd side.

    Far faster than pooling on a CPU, which compares one value after the other.
    """
    radius = kernel // 2
    padded = F.pad(heatmap, (radius,) * 4, value=-torch.inf)
    for axis in (2, 3):
        reach = 1
        # Maxima over 2, 4, 8, ... bins, from two that lie side by side or, at last, overlap.
        while reach < kernel:
            step, n = min(reach, kernel - reach), padded.shape[axis]
            padded = torch.maximum(padded.narrow(axis, 0, n - step), padded.narrow(axis, step, n - step))
            reach += step
    return padded
