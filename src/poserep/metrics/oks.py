"""Object keypoint similarity between predictions, and the suppression of duplicates by it."""

import numpy as np


def oks(xy: np.ndarray, area: np.ndarray, sigmas: np.ndarray) -> np.ndarray:
    """Similarity of every pose to every other, over all joints.

    mean_j exp(-d_j^2 / (2 (2 sigma_j)^2 a)), a the mean of both areas (HRNet's ``oks_iou``).

    Args:
        xy: (N, K, 2) image px.
        area: (N,) square px; in the papers' code that of the padded box.
        sigmas: (K,).

    Returns:
        (N, N), symmetric, 1 on the diagonal.
    """
    distance = np.square(xy[:, None] - xy[None]).sum(-1)
    mean_area = (area[:, None] + area[None]) / 2 + np.spacing(1)
    return np.exp(-distance / (2 * (2 * sigmas) ** 2) / mean_area[..., None]).mean(-1)


def oks_nms(xy: np.ndarray, score: np.ndarray, area: np.ndarray, sigmas: np.ndarray, threshold: float) -> np.ndarray:
    """Greedy suppression: keep the best pose, drop those more similar to it than the threshold, go on.

    Args:
        xy: (N, K, 2) image px.
        score: (N,).
        area: (N,) square px.
        sigmas: (K,).
        threshold: 0.9 in the papers.

    Returns:
        Positions of the poses kept, best first.
    """
    # Of equal scores the later pose comes first, as when NumPy's ascending order is reversed.
    order = np.argsort(score, kind="stable")[::-1]
    similar = oks(xy, area, sigmas) > threshold
    keep: list[int] = []
    dropped = np.zeros(len(score), bool)
    for i in order:
        if not dropped[i]:
            keep.append(i)
            dropped |= similar[i]
    return np.array(keep, int)
