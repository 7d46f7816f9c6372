"""Object keypoint similarity (OKS): of joints, of whole poses, and OKS-NMS, the suppression of duplicates by it."""

import numpy as np


def joint_oks(xy: np.ndarray, truth: np.ndarray, area: np.ndarray, sigmas: np.ndarray) -> np.ndarray:
    """Return the similarity (N, K) of each joint to its annotation, exp(-d^2 / (2 a (2 sigma)^2)): the terms of OKS.

    Predictions ``xy`` and annotations ``truth`` (N, K, 2) are in image px, the areas a (N,) of the annotated persons
    are positive and in square px, sigmas are (K,).
    """
    distance = np.square(xy.astype(float) - truth).sum(-1)
    return np.exp(-distance / (2 * area[:, None] * np.square(2 * sigmas)))


def oks(xy: np.ndarray, area: np.ndarray, sigmas: np.ndarray) -> np.ndarray:
    """Return the similarity (N, N) of every predicted pose to every other, over all joints.

    mean_j exp(-d_j^2 / (2 (2 sigma_j)^2 a)), a the mean of both areas (HRNet's ``oks_iou``). Poses (N, K, 2) are in
    image px, areas (N,) in square px, in the papers' code those of the padded boxes; sigmas are (K,).
    """
    distance = np.square(xy[:, None] - xy[None]).sum(-1)
    mean_area = (area[:, None] + area[None]) / 2 + np.spacing(1)
    return np.exp(-distance / (2 * (2 * sigmas) ** 2) / mean_area[..., None]).mean(-1)


def oks_nms(xy: np.ndarray, score: np.ndarray, area: np.ndarray, sigmas: np.ndarray, threshold: float) -> np.ndarray:
    """Suppress duplicates greedily: keep the best pose, drop those more similar to it than the threshold, repeat.

    The threshold is 0.9 in the papers; the other arguments are those of `oks`, and a score (N,) for each pose. Returns
    the positions of the poses kept, best first.
    """
    similar, dropped = oks(xy, area, sigmas) > threshold, np.zeros(len(score), bool)
    keep: list[int] = []
    # Of equal scores the later pose comes first, as when NumPy's ascending order is reversed.
    for i in np.argsort(score, kind="stable")[::-1]:
        if not dropped[i]:
            keep.append(i)
            dropped |= similar[i]
    return np.array(keep, int)
