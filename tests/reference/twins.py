"""Slow NumPy twins of the fast code, written from the papers, one joint and one pixel at a time."""

import math

import numpy as np


def gaussian_map(x: float, y: float, height: int, width: int, sigma: float) -> np.ndarray:
    """Xiao et al. 2018, Sun et al. 2019: exp(-d^2 / (2 sigma^2)) around a point given in bins."""
    out = np.zeros((height, width))
    for row in range(height):
        for column in range(width):
            out[row, column] = math.exp(-((column - x) ** 2 + (row - y) ** 2) / (2 * sigma**2))
    return out


def quarter_shift(heatmap: np.ndarray) -> tuple[float, float]:
    """Newell et al. 2016: a quarter of a bin from the maximum toward the higher neighbour, on each axis."""
    height, width = heatmap.shape
    row, column = divmod(int(heatmap.argmax()), width)
    x, y = float(column), float(row)
    if 1 < column < width - 1 and 1 < row < height - 1:
        x += 0.25 * np.sign(heatmap[row, column + 1] - heatmap[row, column - 1])
        y += 0.25 * np.sign(heatmap[row + 1, column] - heatmap[row - 1, column])
    return x, y


def taylor_step(heatmap: np.ndarray) -> tuple[float, float]:
    """Zhang et al. 2020 (DARK), eqs. 4 to 9: mu = m - H^-1 g, g and H of the logarithm at the maximum m."""
    width = heatmap.shape[1]
    row, column = divmod(int(heatmap.argmax()), width)
    p = np.log(heatmap)
    gradient = 0.5 * np.array([p[row, column + 1] - p[row, column - 1], p[row + 1, column] - p[row - 1, column]])
    xx = 0.25 * (p[row, column + 2] - 2 * p[row, column] + p[row, column - 2])
    yy = 0.25 * (p[row + 2, column] - 2 * p[row, column] + p[row - 2, column])
    xy = 0.25 * (p[row + 1, column + 1] - p[row - 1, column + 1] - p[row + 1, column - 1] + p[row - 1, column - 1])
    step = -np.linalg.solve(np.array([[xx, xy], [xy, yy]]), gradient)
    return column + float(step[0]), row + float(step[1])


def simcc_label(x: float, n: int, sigma: float) -> np.ndarray:
    """Li et al. 2022 (SimCC), Gaussian label smoothing of one axis, x in bins, made to sum to one."""
    weights = [math.exp(-((i - x) ** 2) / (2 * sigma**2)) for i in range(n)]
    return np.array(weights) / sum(weights)


def cross_entropy(logits: np.ndarray, target: np.ndarray) -> float:
    """KL(target || softmax(logits)), one axis of one joint."""
    p = np.exp(logits - logits.max())
    p /= p.sum()
    return float(sum(t * (math.log(t) - math.log(q)) for t, q in zip(target, p, strict=True) if t > 0))
