"""Parser of associative embedding as plain loops over images, people and joints, in the order of the published code.

Newell et al. 2017, section 3.3, with the rules that only the code states: costs, and the order of the search for an
assignment. Its half pixel is left out.
"""

import numpy as np
import torch
from torch.nn import functional as F

Person = dict[int, tuple[int, int]]


def parse(
    heat: np.ndarray,
    tags: np.ndarray,
    order: list[int],
    kernel: int = 5,
    most: int = 30,
    threshold: float = 0.1,
    tag_threshold: float = 1.0,
    rules: str = "published",
) -> tuple[list[np.ndarray], list[np.ndarray], list[float]]:
    """People of one image: joints (K, 2) in bins, adjusted, scores (K,) and the mean of these before missing are found.

    Args:
        heat: (K, h, w).
        tags: (K, h, w, L).
        order: Of joints.
        kernel: Side of the window in which a bin must be the highest.
        most: Candidates of a joint, and people that they are offered.
        threshold: Of candidates.
        tag_threshold: Of distances between tags.
        rules: By ``exact`` ones no pair at that distance is weighed, and none is filled.
    """
    people: list[Person] = []
    for joint in order:
        found = maxima(heat[joint], kernel, most, threshold)
        offered = people[:most]
        distance = np.zeros((len(found), max(len(found), len(offered))))
        cost = np.full(distance.shape, 1e10)
        for i, (x, y) in enumerate(found):
            for j, person in enumerate(offered):
                distance[i, j] = np.linalg.norm(tags[joint, y, x].astype(np.float64) - mean_tag(tags, person))
                if rules == "published" or distance[i, j] < tag_threshold:
                    cost[i, j] = np.round(distance[i, j]) * 100 - float(heat[joint, y, x])
        for i, j in hungarian(cost):
            if j < len(offered) and distance[i, j] < tag_threshold:
                offered[j][joint] = found[i]
            else:
                people.append({joint: found[i]})
    joints, scores, means = [], [], []
    for person in people:
        score = np.zeros(len(heat), np.float32)
        for joint, (x, y) in person.items():
            score[joint] = heat[joint, y, x]
        means.append(float(score.mean()))
        tag = mean_tag(tags, person)
        for joint in set(order) - set(person):
            distance = np.sqrt(((tags[joint] - tag) ** 2).sum(-1))
            y, x = np.unravel_index(np.argmax(heat[joint] - np.round(distance)), distance.shape)
            if heat[joint, y, x] > 0 and (rules == "published" or distance[y, x] < tag_threshold):
                person[joint], score[joint] = (int(x), int(y)), heat[joint, y, x]
        xy = np.zeros((len(heat), 2))
        for joint, (x, y) in person.items():
            xy[joint] = adjusted(heat[joint], x, y)
        joints.append(xy)
        scores.append(score)
    return joints, scores, means


def maxima(values: np.ndarray, kernel: int, most: int, threshold: float) -> list[tuple[int, int]]:
    """Bins (x, y) that no neighbour exceeds, the highest first; found by pooling."""
    one = torch.from_numpy(values)[None, None]
    kept = one * (F.max_pool2d(one, kernel, 1, kernel // 2) == one)
    top, index = kept.flatten().topk(min(most, kept.numel()))
    return [
        (i % values.shape[1], i // values.shape[1]) for v, i in zip(top, index.tolist(), strict=True) if v > threshold
    ]


def mean_tag(tags: np.ndarray, person: Person) -> np.ndarray:
    """The mean of the tags where a person's joints are, in float32."""
    return np.mean([tags[joint, y, x] for joint, (x, y) in person.items()], axis=0)


def adjusted(values: np.ndarray, x: int, y: int) -> tuple[float, float]:
    """A quarter of a bin toward the higher neighbour, backward if they are equal; the border repeats."""
    h, w = values.shape
    right = values[y, min(x + 1, w - 1)] > values[y, max(x - 1, 0)]
    down = values[min(y + 1, h - 1), x] > values[max(y - 1, 0), x]
    return x + (0.25 if right else -0.25), y + (0.25 if down else -0.25)


def hungarian(cost: np.ndarray) -> list[tuple[int, int]]:
    """Munkres' method on a matrix that gets rows of zeros until it is square, cell by cell.

    Where the method may choose, as the package munkres does; see `poserep.codecs.assignment`.
    """
    rows, n = cost.shape
    c = [[float(v) for v in row] for row in cost] + [[0.0] * n for _ in range(n - rows)]
    c = [[v - min(row) for v in row] for row in c]
    star: dict[int, int] = {}
    for i in range(n):
        for j in range(n):
            if c[i][j] == 0 and j not in star.values():
                star[i] = j
                break
    while len(star) < n:
        covered_rows, covered_columns, prime = set(), set(star.values()), {}
        start = (0, 0)
        while True:
            zero = None
            for i in [(start[0] + k) % n for k in range(n)]:
                for j in [(start[1] + k) % n for k in range(n)]:
                    if c[i][j] == 0 and i not in covered_rows and j not in covered_columns:
                        zero = i, j
                if zero:
                    break
            if zero is None:
                inside = [
                    c[i][j] for i in range(n) for j in range(n) if i not in covered_rows and j not in covered_columns
                ]
                least = min(inside)
                for i in range(n):
                    for j in range(n):
                        if i in covered_rows:
                            c[i][j] += least
                        if j not in covered_columns:
                            c[i][j] -= least
                start = (0, 0)
                continue
            i, j = zero
            prime[i] = j
            if i not in star:
                break
            covered_rows.add(i)
            covered_columns.remove(star[i])
            start = i, star[i]
        while True:
            j = prime[i]
            owner = next((k for k, v in star.items() if v == j), None)
            star[i] = j
            if owner is None:
                break
            i = owner
    return [(i, star[i]) for i in range(rows)]
