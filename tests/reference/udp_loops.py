"""UDP written plainly from its definition, joint by joint: targets, decoding and loss of both representations."""

import cv2
import numpy as np

from reference.loops import peaks


def bins_of(xy: np.ndarray, size: tuple[int, int], stride: int) -> np.ndarray:
    """Huang et al. 2020: lengths are those between the centres of the outer pixels."""
    lengths = np.array(size[::-1])
    return xy * ((lengths // stride - 1) / (lengths - 1))


def window_targets(xy: np.ndarray, size: tuple[int, int], stride: int, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """As coded: the Gaussian of the exact position in a window of 3 sigma around the nearest bin; 1 if that is seen."""
    height, width = (side // stride for side in size)
    maps, kept = np.zeros((*xy.shape[:2], height, width)), np.zeros(xy.shape[:2])
    for b, j in np.ndindex(kept.shape):
        x, y = bins_of(xy[b, j], size, stride)
        left, top = int(x + 0.5) - int(3 * sigma), int(y + 0.5) - int(3 * sigma)
        right, bottom = int(x + 0.5) + int(3 * sigma) + 1, int(y + 0.5) + int(3 * sigma) + 1
        if left >= width or top >= height or right < 0 or bottom < 0:
            continue
        kept[b, j] = 1
        for row in range(max(0, top), min(height, bottom)):
            for column in range(max(0, left), min(width, right)):
                maps[b, j, row, column] = np.exp(-((column - x) ** 2 + (row - y) ** 2) / (2 * sigma**2))
    return maps, kept


def newton(maps: np.ndarray, kernel: int) -> np.ndarray:
    """As coded: blurred in zeros, brought back to the old maximum, kept in [0.001, 50]; one step on the logarithm."""
    start, value = peaks(maps)
    found, margin = start.astype(np.float64), kernel // 2
    for b, j in np.ndindex(value.shape):
        if value[b, j] <= 0:
            continue
        padded = np.pad(maps[b, j], margin)
        smooth = cv2.GaussianBlur(padded, (kernel, kernel), 0)[margin:-margin, margin:-margin]
        p = np.pad(np.log(np.clip(smooth * value[b, j] / smooth.max(), 1e-3, 50)), 1, mode="edge")
        x, y = start[b, j] + 1
        gradient = np.array([p[y, x + 1] - p[y, x - 1], p[y + 1, x] - p[y - 1, x]]) / 2
        xx, yy = p[y, x + 1] - 2 * p[y, x] + p[y, x - 1], p[y + 1, x] - 2 * p[y, x] + p[y - 1, x]
        xy = p[y + 1, x + 1] - p[y, x + 1] - p[y + 1, x] + 2 * p[y, x] - p[y, x - 1] - p[y - 1, x] + p[y - 1, x - 1]
        hessian = np.array([[xx, xy / 2], [xy / 2, yy]]) + np.finfo(np.float32).eps * np.eye(2)
        found[b, j] -= np.linalg.solve(hessian, gradient)
    return found


def disc_targets(bins: np.ndarray, shape: tuple[int, int], radius: float) -> np.ndarray:
    """Combined: 1 within the radius of the position, and the way there in radii; (B, K, 3, h, w)."""
    maps = np.zeros((*bins.shape[:2], 3, *shape))
    for b, j, row, column in np.ndindex(*bins.shape[:2], *shape):
        way = bins[b, j] - (column, row)
        maps[b, j, 0, row, column] = (way**2).sum() <= radius**2
        maps[b, j, 1:, row, column] = way / radius
    return maps


def disc_decode(maps: np.ndarray, radius: float, kernel: int, border: str) -> tuple[np.ndarray, np.ndarray]:
    """Combined: the maximum of the blurred class map, and the way from there; its bins and that maximum."""
    m = kernel // 2 if border == "zero" else 0
    padded = np.pad(maps[:, :, 0], ((0, 0), (0, 0), (m, m), (m, m)))
    blurred = [[cv2.GaussianBlur(joint, (kernel, kernel), 0) for joint in sample] for sample in padded]
    smooth = np.array(blurred)[..., m : m + maps.shape[3], m : m + maps.shape[4]]
    start, value = peaks(smooth)
    found = start.astype(np.float64)
    for b, j in np.ndindex(value.shape):
        x, y = start[b, j]
        found[b, j] += radius * maps[b, j, 1:, y, x]
    return found, value


def disc_loss(out: np.ndarray, target: np.ndarray, weight: np.ndarray) -> float:
    """Combined: half the mean squared errors of the class maps and of both offsets where the class is 1, added."""
    total, (h, w) = 0.0, out.shape[-2:]
    for b, j, row, column in np.ndindex(*weight.shape, h, w):
        (c, x, y), (tc, tx, ty) = out[b, j, :, row, column], target[b, j, :, row, column]
        each = (c - tc) ** 2 + (tc * (x - tx)) ** 2 + (tc * (y - ty)) ** 2
        total += weight[b, j] ** 2 * each
    return 0.5 * total / (weight.size * h * w)
