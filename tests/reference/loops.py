"""Codecs the way the field writes them: Python loops over samples and joints, NumPy and OpenCV.

Written from the papers' definitions, as a second opinion on the batched code and as what it is faster than. A loop here
goes joint by joint and leaves the bins to NumPy.

B samples of K joints: points ``xy`` (B, K, 2) in input px, ``weight`` (B, K), maps (B, K, h, w), sizes (height,
width). Joints outside the crop have no weight; positions that are found are in bins.
"""

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

Pair = tuple[np.ndarray, np.ndarray]


def to_bins(point: np.ndarray, lengths: tuple[int, int], counts: tuple[int, int]) -> list[float]:
    """A point in input px to bins that are the means of the pixels they cover; lengths, counts and point are (x, y)."""
    return [(x + 0.5) * n / length - 0.5 for x, length, n in zip(point, lengths, counts, strict=True)]


def learnt(xy: np.ndarray, weight: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Weights, 0 for joints that no pixel of the crop shows."""
    kept = weight.copy()
    for b, j in np.ndindex(weight.shape):
        x, y = xy[b, j]
        kept[b, j] *= -0.5 <= x < size[1] - 0.5 and -0.5 <= y < size[0] - 0.5
    return kept


def simcc_targets(
    xy: np.ndarray, weight: np.ndarray, size: tuple[int, int], k: float, sigma: float
) -> tuple[Pair, np.ndarray]:
    """Li et al. 2022 (SimCC), 3.2, Gaussian smoothing: exp(-(i - mu)^2 / (2 sigma^2)) over its sum, for x and for y."""
    lengths = size[::-1]
    counts = tuple(round(length * k) for length in lengths)
    targets = [np.zeros((*xy.shape[:2], n), np.float32) for n in counts]
    weight = learnt(xy, weight, size)
    for b, j in np.ndindex(weight.shape):
        if weight[b, j] == 0:
            continue
        for axis, (mu, n) in enumerate(zip(to_bins(xy[b, j], lengths, counts), counts, strict=True)):
            label = np.exp(-((np.arange(n) - mu) ** 2) / (2 * sigma**2))
            targets[axis][b, j] = label / label.sum()
    return (targets[0], targets[1]), weight


def simcc_loss(logits: tuple[Tensor, Tensor], target: tuple[Tensor, Tensor], weight: Tensor) -> Tensor:
    """SimCC, 3.2: KL(target || softmax(logits)) joint by joint, for x and for y, averaged over the batch."""
    total = torch.zeros(())
    for j in range(weight.shape[1]):
        for o, t in zip(logits, target, strict=True):
            each = F.kl_div(o[:, j].log_softmax(1), t[:, j], reduction="none").sum(1)
            total = total + (each * weight[:, j]).mean()
    return total


def simcc_decode(logits: Pair) -> tuple[np.ndarray, np.ndarray]:
    """SimCC, 3.2: the most probable bin of each axis, and the lesser of both probabilities, sample by sample."""
    samples, joints = logits[0].shape[:2]
    xy, score = np.zeros((samples, joints, 2)), np.zeros((samples, joints))
    for b in range(samples):
        p = [_softmax(o[b]) for o in logits]
        for j in range(joints):
            best = [int(axis[j].argmax()) for axis in p]
            xy[b, j] = best
            score[b, j] = min(axis[j, i] for axis, i in zip(p, best, strict=True))
    return xy, score


def simcc_merge(out: Pair, mirrored: Pair, pairs: list[tuple[int, int]], shift: bool = False) -> Pair:
    """Flip test (SimDR's code): x un-mirrored, both swapped left to right, probabilities averaged.

    With ``shift`` the un-mirrored x moves one bin to the left and keeps its last value.
    """
    x, y = _swap(mirrored[0][..., ::-1], pairs), _swap(mirrored[1], pairs)
    if shift:
        x[..., :-1] = x[..., 1:].copy()
    return (_softmax(out[0]) + _softmax(x)) / 2, (_softmax(out[1]) + _softmax(y)) / 2


def heatmap_targets(
    xy: np.ndarray, weight: np.ndarray, size: tuple[int, int], stride: int, sigma: float
) -> tuple[np.ndarray, np.ndarray]:
    """Xiao et al. 2018, Sun et al. 2019: a Gaussian of peak 1 around the nearest bin, drawn in a window of 3 sigma."""
    height, width = (side // stride for side in size)
    maps = np.zeros((*xy.shape[:2], height, width), np.float32)
    weight = learnt(xy, weight, size)
    radius = int(3 * sigma)
    grid = np.arange(-radius, radius + 1)
    for b, j in np.ndindex(weight.shape):
        if weight[b, j] == 0:
            continue
        patch = np.exp(-(grid[:, None] ** 2 + grid**2) / (2 * sigma**2))
        bins = to_bins(xy[b, j], size[::-1], (width, height))
        x, y = (min(max(int(mu + 0.5), 0), n - 1) for mu, n in zip(bins, (width, height), strict=True))
        left, right = max(0, x - radius), min(width, x + radius + 1)
        top, bottom = max(0, y - radius), min(height, y + radius + 1)
        dx, dy = radius - x, radius - y
        maps[b, j, top:bottom, left:right] = patch[top + dy : bottom + dy, left + dx : right + dx]
    return maps, weight


def srpose_targets(
    xy: np.ndarray,
    weight: np.ndarray,
    size: tuple[int, int],
    sigma: float = 8.0,
    strides: tuple[int, ...] = (32, 4, 4, 4),
) -> tuple[tuple[Tensor, ...], np.ndarray]:
    """Wang et al. 2023 (SRPose), as coded: maps of input resolution, sample by sample, and means over blocks of them.

    Coarse to fine, each level pooled for itself, as the published loss does.
    """
    drawn = [heatmap_targets(p[None], w[None], size, 1, sigma) for p, w in zip(xy, weight, strict=True)]
    final = torch.from_numpy(np.concatenate([maps for maps, _ in drawn]))
    coarse = [F.adaptive_avg_pool2d(final, (size[0] // stride, size[1] // stride)) for stride in strides]
    return (*coarse, final), np.concatenate([kept for _, kept in drawn])


def heatmap_merge(
    out: np.ndarray, mirrored: np.ndarray, pairs: list[tuple[int, int]], shift: bool = False
) -> np.ndarray:
    """Flip test: un-mirror, swap left and right, average; with ``shift``, HRNet's bin to the right in between."""
    back = _swap(mirrored[..., ::-1], pairs)
    if shift:
        back[..., 1:] = back[..., :-1].copy()
    return (out + back) / 2


def peaks(maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first highest bin of each map, (0, 0) if nothing is positive, and its value."""
    flat = maps.reshape(*maps.shape[:2], -1)
    index, value = flat.argmax(2), flat.max(2)
    xy = np.stack([index % maps.shape[3], index // maps.shape[3]], -1)
    return np.where((value > 0)[..., None], xy, 0), value


def quarter_shift(maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Newell et al. 2016, as in HRNet's code: a quarter of a bin from the maximum toward the higher neighbours."""
    start, value = peaks(maps)
    height, width = maps.shape[2:]
    found = start.astype(np.float64)
    for b, j in np.ndindex(maps.shape[:2]):
        x, y = start[b, j]
        if 1 < x < width - 1 and 1 < y < height - 1:
            m = maps[b, j]
            found[b, j] += 0.25 * np.sign([m[y, x + 1] - m[y, x - 1], m[y + 1, x] - m[y - 1, x]])
    return found, value


def dark(
    maps: np.ndarray, kernel: int = 11, max_step: float | None = None, sigma: float = 0.0, reflect: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Zhang et al. 2020 (DARK): blurred (eq. 10) and scaled back to its maximum, then a Newton step on its logarithm.

    Worked on in float64. Without ``max_step`` every step is taken, as in the published code; with it both coordinates
    of a step are cut to that many bins, and maps stay as they are where the logarithm has no maximum nearby. OpenCV
    chooses a ``sigma`` of 0 itself; ``reflect`` is the blur of the reproduction study.
    """
    start, value = peaks(maps)
    height, width = maps.shape[2:]
    margin = kernel // 2
    found = start.astype(np.float64)
    for b, j in np.ndindex(value.shape):
        padded = np.zeros((height + 2 * margin, width + 2 * margin))
        padded[margin : margin + height, margin : margin + width] = maps[b, j]
        smooth = cv2.GaussianBlur(padded, (kernel, kernel), sigma)[margin : margin + height, margin : margin + width]
        if reflect:
            smooth = cv2.GaussianBlur(maps[b, j].astype(np.float64), (kernel, kernel), sigma)
        p = np.log(np.maximum(smooth * value[b, j] / smooth.max(), 1e-10))
        x, y = start[b, j]
        if 1 < x < width - 2 and 1 < y < height - 2:
            found[b, j] += _newton_step(p[y - 2 : y + 3, x - 2 : x + 3], max_step)
    return found, value


def soft_argmax(maps: np.ndarray, beta: float) -> tuple[np.ndarray, np.ndarray]:
    """Sun et al. 2018 (integral regression), eq. 2: the mean position under softmax(beta map)."""
    return _mean_positions(maps, lambda values: _softmax((beta * values).ravel()).reshape(values.shape))


def centre_of_mass(maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The reproduction study, section 2: the mean position weighted by the positive part; the middle if there is none.

    Its printed eq. 4 lacks the division by the mass.
    """

    def mass(values: np.ndarray) -> np.ndarray:
        positive = np.maximum(values, 0)
        return positive if positive.any() else np.ones_like(values)

    return _mean_positions(maps, mass)


def expected_oks(p: np.ndarray, s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The bin of the highest E(q) = sum_p P(p) exp(-|p - q|^2 / (2 s)) and its value, bin by bin; s of each joint."""
    rows, columns = np.mgrid[: p.shape[2], : p.shape[3]]
    best, value = np.zeros((*p.shape[:2], 2), int), np.full(p.shape[:2], -1.0)
    for b, j, y, x in np.ndindex(p.shape):
        found = (p[b, j] * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * s[j]))).sum()
        if found > value[b, j]:
            best[b, j], value[b, j] = (x, y), found
    return best, value


def probpose(p: np.ndarray, s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """ProbPose's code: blurred by the cut kernel, mirrored at the border; then a parabola along each axis."""
    xy, value = np.zeros((*p.shape[:2], 2)), np.zeros(p.shape[:2])
    for b, j in np.ndindex(value.shape):
        radius = int(np.ceil(3 * s[j]))
        grid = np.arange(-radius, radius + 1)
        kernel = np.exp(-(grid[:, None] ** 2 + grid**2) / (2 * s[j]))
        f = cv2.filter2D(p[b, j], -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT)
        y, x = np.unravel_index(f.argmax(), f.shape)
        xy[b, j], value[b, j] = (x, y), p[b, j, y, x]
        if 0 < x < f.shape[1] - 1 and 0 < y < f.shape[0] - 1:
            for axis, (low, high) in enumerate(((f[y, x - 1], f[y, x + 1]), (f[y - 1, x], f[y + 1, x]))):
                xy[b, j, axis] -= (high - low) / 2 / (high + low - 2 * f[y, x])
    return xy, value


def expected_risk(p: np.ndarray, oks: np.ndarray, weight: np.ndarray, smoothness: float) -> float:
    """ProbPose's loss: sum p (1 - OKS), and the greatest squared gradient by Sobel, zeros beyond the map."""
    total = 0.0
    for b, j in np.ndindex(weight.shape):
        padded = np.pad(p[b, j], 1)
        gx, gy = (cv2.Sobel(padded, cv2.CV_64F, *order)[1:-1, 1:-1] for order in ((1, 0), (0, 1)))
        risk = (p[b, j] * (1 - oks[b, j])).sum()
        total += weight[b, j] * ((1 - smoothness) * risk + smoothness * (gx**2 + gy**2).max())
    return total / weight.size


def _newton_step(p: np.ndarray, max_step: float | None) -> np.ndarray:
    """DARK, eqs. 4 to 9: -H^-1 g in the middle of 5x5 values, second differences taken two bins apart."""
    gradient = np.array([p[2, 3] - p[2, 1], p[3, 2] - p[1, 2]]) / 2
    xx, yy = (p[2, 4] - 2 * p[2, 2] + p[2, 0]) / 4, (p[4, 2] - 2 * p[2, 2] + p[0, 2]) / 4
    xy = (p[3, 3] - p[1, 3] - p[3, 1] + p[1, 1]) / 4
    determinant = xx * yy - xy**2
    if determinant == 0 or (max_step is not None and not (xx < 0 < determinant)):
        return np.zeros(2)
    step = -np.linalg.inv(np.array([[xx, xy], [xy, yy]])) @ gradient
    return step if max_step is None else np.clip(step, -max_step, max_step)


def _mean_positions(maps: np.ndarray, mass) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = np.mgrid[: maps.shape[2], : maps.shape[3]]
    xy = np.zeros((*maps.shape[:2], 2))
    for b, j in np.ndindex(xy.shape[:2]):
        m = mass(maps[b, j])
        xy[b, j] = np.array([(m * columns).sum(), (m * rows).sum()]) / m.sum()
    return xy, maps.max((2, 3))


def _softmax(logits: np.ndarray) -> np.ndarray:
    p = np.exp(logits - logits.max(-1, keepdims=True))
    return p / p.sum(-1, keepdims=True)


def _swap(maps: np.ndarray, pairs: list[tuple[int, int]]) -> np.ndarray:
    swapped = maps.copy()
    for left, right in pairs:
        swapped[:, left], swapped[:, right] = maps[:, right], maps[:, left]
    return swapped
