"""NerPE the way its paper defines it: Python loops over queries and their four neighbours, in float64."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

Layers = list[tuple[Tensor, Tensor]]


def neighbours(query: tuple[float, float], cells: tuple[int, int]) -> list[tuple[tuple[int, int], list[float]]]:
    """Cells (x, y), and the way from their centres, of a query (x, y) in coordinates of the longer side [-1, 1].

    One for each shift of half a cell. ``cells`` is how many there are (x, y). Ways are multiplied by the cells of the
    longer side.
    """
    longest, found = max(cells), []
    for sy in (-1, 1):
        for sx in (-1, 1):
            cell, way = [], []
            for value, shift, n in zip(query, (sx, sy), cells, strict=True):
                centres = [(2 * i + 1 - n) / longest for i in range(n)]
                shifted = np.clip(value + shift / longest, -n / longest, n / longest)
                # A place between two centres is in the second one's cell, which begins there.
                nearest = min(range(n), key=lambda i: (round(abs(shifted - centres[i]), 9), -i))
                cell.append(nearest)
                way.append((value - centres[nearest]) * longest)
            found.append(((cell[0], cell[1]), way))
    return found


def values(maps: Tensor, query: tuple[float, float], layers: Layers) -> tuple[list[Tensor], list[float]]:
    """Values (K,) of each neighbour of a query, from maps (D, h, w) and layers (weight, bias); the areas by its way."""
    each, areas = [], []
    for (x, y), way in neighbours(query, (maps.shape[2], maps.shape[1])):
        given = torch.cat([maps[:, y, x], torch.tensor(way, dtype=maps.dtype)])
        for i, (weight, bias) in enumerate(layers):
            given = weight @ (given.relu() if i else given) + bias
        each.append(given)
        areas.append(abs(way[0] * way[1]) + 1e-9)
    return each, areas


def blended(maps: Tensor, query: tuple[float, float], layers: Layers) -> Tensor:
    """The mean (K,) of the neighbours' values, each by the area on the opposite side."""
    each, areas = values(maps, query, layers)
    return sum((v * areas[3 - i] / sum(areas) for i, v in enumerate(each)), torch.zeros_like(each[0]))


def reduced(maps: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """A 1x1 convolution of maps (B, C, h, w)."""
    return F.conv2d(maps, weight, bias)


def loss(value: Tensor, queries: Tensor, joints: Tensor, weight: Tensor, s: float, laplace: bool = False) -> float:
    """Half the mean squared error of values (B, 4, K, Q), with queries (B, Q, 2) and joints (B, K, 2) normalised."""
    total, count = 0.0, 0
    for b, i, k, q in np.ndindex(*value.shape):
        d = float((queries[b, q] - joints[b, k]).square().sum()) ** 0.5
        target = np.exp(-d / s) if laplace else np.exp(-(d**2) / (2 * s**2))
        total += float(weight[b, k]) * (float(value[b, i, k, q]) - target) ** 2
        count += 1
    return 0.5 * total / count
