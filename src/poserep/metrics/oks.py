"""Object keypoint similarity (OKS): of joints, of whole poses, and OKS-NMS, the suppression of duplicates by it."""

import numpy as np

# How many pairs of poses are compared at a time.
_PAIRS = 2**19


def joint_oks(xy: np.ndarray, truth: np.ndarray, area: np.ndarray, sigmas: np.ndarray) -> np.ndarray:
    """Return the similarity (N, K) of each joint to its annotation, exp(-d^2 / (2 a (2 sigma)^2)): the terms of OKS.

    Predictions ``xy`` and annotations ``truth`` (N, K, 2) are in image px, the areas a (N,) of the annotated persons
    are positive and in square px, sigmas are (K,).
    """
    distance = np.square(xy.astype(float) - truth).sum(-1)
    return np.exp(-distance / (2 * area[:, None] * np.square(2 * sigmas)))


def pose_oks(
    xy: np.ndarray, other: np.ndarray, area: np.ndarray, other_area: np.ndarray, sigmas: np.ndarray
) -> np.ndarray:
    """Return the similarity (N,) of predicted poses to other ones, over all joints.

    mean_j exp(-d_j^2 / (2 (2 sigma_j)^2 a)), a the mean of both areas (HRNet's ``oks_iou``). Poses (N, K, 2) are in
    image px, areas (N,) in square px, in the papers' code those of the padded boxes; sigmas are (K,).
    """
    mean_area = (area + other_area) / 2 + np.spacing(1)
    return np.exp(-np.square(xy - other).sum(-1) / (2 * (2 * sigmas) ** 2) / mean_area[:, None]).mean(-1)


def oks_nms(
    xy: np.ndarray, score: np.ndarray, area: np.ndarray, image: np.ndarray, sigmas: np.ndarray, threshold: float
) -> np.ndarray:
    """Suppress duplicates: keep an image's best pose, drop those more similar to it than the threshold, and so on.

    The threshold, above 0 and at most 1, is 0.9 in the papers; poses, areas and sigmas are those of `pose_oks`, with a
    score (N,) and an image (N,) for each pose. Returns the positions of the poses kept, image by image as these come
    first, best first.
    """
    _, first, group = np.unique(image, return_index=True, return_inverse=True)
    # Of equal scores the later pose comes first, as when NumPy's ascending order is reversed.
    order = np.lexsort((-np.arange(len(image)), -score, first[group]))
    rank, dropped = first[group][order], np.zeros(len(order), bool)
    # Every pose with those of its image that are worse.
    worse = np.searchsorted(rank, rank, "right") - np.arange(len(rank)) - 1
    xy, area = xy[order], area[order]
    # Were all of these joints less similar than this, OKS would not exceed the threshold with all others equal.
    few = np.argsort(sigmas)[: int((1 - threshold) * len(sigmas)) + 2]
    least = 1 - (1 - threshold) * len(sigmas) / len(few)
    furthest = -np.log(max(least - 1e-6, 1e-300)) * (2 * sigmas[few]) ** 2
    columns = np.ascontiguousarray(xy[:, few].transpose(1, 2, 0))
    total = worse.cumsum()
    for rows in np.split(np.arange(len(rank)), np.searchsorted(total, np.arange(_PAIRS, worse.sum(), _PAIRS))):
        a, begin = np.repeat(rows, worse[rows]), np.cumsum(worse[rows]) - worse[rows]
        b = a + 1 + np.arange(len(a)) - np.repeat(begin, worse[rows])
        apart = np.square(columns.take(a, -1) - columns.take(b, -1)).sum(1)
        near = (apart <= furthest[:, None] * (area[a] + area[b] + 1)).any(0)
        a, b = a[near], b[near]
        similar = pose_oks(xy[a], xy[b], area[a], area[b], sigmas) > threshold
        for better, other in zip(a[similar].tolist(), b[similar].tolist(), strict=True):
            dropped[other] |= not dropped[better]
    return order[~dropped]
