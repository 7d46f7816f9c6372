"""What is wrong with a prediction: error of every joint, and its kind after Ronchi and Perona.

"Benchmarking and Error Diagnosis in Multi-Instance Pose Estimation", ICCV 2017. How near a point is to an annotated
joint is the keypoint similarity ks = exp(-d^2 / (2 a (2 sigma)^2)), with the area a of the person that the annotated
joint belongs to and that joint's sigma. Every labelled joint's prediction is of one kind, the first that holds:

- good: ks >= 0.85 to its own annotation.
- jitter: ks >= 0.5 to its own annotation.
- inversion: ks >= 0.5 to any other labelled joint of the same person.
- swap: ks >= 0.5 to any labelled joint of another person in the image.
- miss: near nothing.

The authors' code knows fewer candidates, the joint and its mirrored partner, and takes the nearest even where the
joint's own annotation is near as well. Persons that a loader leaves out
are not there to be swapped with: on them, joints are missed.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from poserep.errors import InputError
from poserep.instances import BOX_COVER, Instance, InstanceTable
from poserep.metrics.base import Predictions
from poserep.metrics.calibration import joint_oks
from poserep.skeleton import Skeleton

KINDS = ("good", "jitter", "inversion", "swap", "miss")
GOOD, NEAR = 0.85, 0.5
# Distances at a time: 32 MB an array, however many persons share an image.
AT_ONCE = 1 << 22


def breakdown(predictions: Predictions, instances: Sequence[Instance], skeleton: Skeleton) -> dict[str, Any]:
    """Errors by joint and by kind, as results record them.

    Args:
        predictions: Of annotated boxes.
        instances: What the predictions' indices point to, with everybody else in the images.
        skeleton: Of both.

    Returns:
        ``persons`` and ``labelled``: predicted persons with a labelled joint, and their labelled joints. ``area``:
        where areas come from, see `areas`. ``scale``: what normalised errors are fractions of: ``head``, the length by
        which PCKh measures, if every person has one and nobody an annotated area, else ``sqrt(area)``. ``pairs``: names
        of left and right joints. ``joints``, by name: ``labelled``, ``mean_px`` and ``median_px`` in image px,
        ``mean_normalised``, ``mean_oks`` in [0, 1], all None if never labelled, and ``taxonomy``. ``taxonomy``:
        ``count`` and ``share`` in [0, 1] of each kind.

    Raises:
        InputError: If no joint is labelled, a person has neither area nor box, or the numbers of joints differ.
    """
    table = InstanceTable.of(instances)
    joints = {predictions.xy.shape[1], table.keypoints.shape[1], skeleton.num_keypoints}
    if len(joints) > 1:
        raise InputError(
            f"predictions of {predictions.xy.shape[1]} joints, annotations of {table.keypoints.shape[1]} and skeleton "
            f"{skeleton.name!r} of {skeleton.num_keypoints}: evaluate with the skeleton of the data set"
        )
    # Whoever has no label need not have a scale either.
    predictions = Predictions(*(column[(table.weight[predictions.index] > 0).any(1)] for column in predictions))
    if not len(predictions.index):
        raise InputError("no joint is labelled, so that there are no errors to break down")
    area, source = areas(table)
    index, sigmas = predictions.index, np.array(skeleton.sigmas)
    labelled = table.weight[index] > 0
    scale, unit = ("head", table.head) if _by_head(table) else ("sqrt(area)", np.sqrt(area))
    distance = _masked(np.linalg.norm(predictions.xy.astype(float) - table.keypoints[index], axis=-1), labelled)
    normalised = _masked(distance.data / unit[index, None], labelled)
    similarity = _masked(joint_oks(predictions.xy, table.keypoints[index], area[index], sigmas), labelled)
    columns = {
        "labelled": labelled.sum(0),
        "mean_px": distance.mean(0),
        "median_px": np.ma.median(distance, axis=0),
        "mean_normalised": normalised.mean(0),
        "mean_oks": similarity.mean(0),
    }
    # What is masked becomes None in a list.
    rows = zip(*(np.ma.asarray(column).tolist() for column in columns.values()), strict=True)
    count = (kinds(predictions, table, area, sigmas)[..., None] == np.arange(len(KINDS))).sum(0)
    return {
        "persons": len(index),
        "labelled": int(labelled.sum()),
        "area": source,
        "scale": scale,
        "pairs": [list(pair) for pair in skeleton.pairs],
        "joints": {
            name: dict(zip(columns, row, strict=True)) | {"taxonomy": _shares(joint)}
            for name, row, joint in zip(skeleton.names, rows, count, strict=True)
        },
        "taxonomy": _shares(count.sum(0)),
    }


def areas(table: InstanceTable) -> tuple[np.ndarray, str]:
    """Area of every person, square px, and where it comes from.

    Returns:
        (P,), the annotation's, or where it has none 0.53 of the rectangle that its labelled joints span (boxes of such
        sets may be those of crops or of whole images), of the box if they span none; positive for persons with a
        labelled joint. And of those: ``annotation``, ``0.53 of the joints' extent``, or both.

    Raises:
        InputError: If a person with a labelled joint has no area, no extent and no box.
    """
    known, labels = np.asarray(table.area > 0), np.asarray(table.weight > 0)
    labelled = np.asarray(labels.any(1))
    xy = table.keypoints.astype(float)
    low, high = (np.where(labels[..., None], xy, side * np.inf) for side in (1, -1))
    extent = np.where(labelled[:, None], high.max(1) - low.min(1), 0.0).prod(1)
    extent = np.where(extent > 0, extent, table.box[:, 2] * table.box[:, 3])
    area = np.where(known, table.area, BOX_COVER * extent)
    bad = np.flatnonzero(labelled & ~(area > 0))
    if len(bad):
        raise InputError(
            f"{table.path(int(bad[0]))}: person {table.id[bad[0]]} has no area and the box {table.box[bad[0]]}, so "
            "that its errors have no scale; give it a box of positive width and height"
        )
    if known[labelled].all():
        return area, "annotation"
    other = "0.53 of the joints' extent"
    return area, f"annotation, {other} where it has none" if known[labelled].any() else other


def kinds(predictions: Predictions, table: InstanceTable, area: np.ndarray, sigmas: np.ndarray) -> np.ndarray:
    """Kind of every joint's prediction.

    Args:
        predictions: Of annotated boxes.
        table: What the predictions' indices point to, with everybody else in the images.
        area: (P,) of everybody in the table, square px, positive where a joint is labelled.
        sigmas: (K,).

    Returns:
        (N, K) positions in `KINDS`, -1 where the joint is not labelled.
    """
    labelled = table.weight > 0
    # Squared distances, in units of the similarity's exponent, within which a point is near; none is near no label.
    width = np.where(labelled, 2 * area[:, None] * np.square(2 * sigmas), -1)
    truth, xy = table.keypoints.astype(float), predictions.xy.astype(float)
    own = np.square(xy - truth[predictions.index]).sum(-1)
    good, near = (own <= -np.log(least) * width[predictions.index] for least in (GOOD, NEAR))
    lost = labelled[predictions.index] & ~near
    row, _ = np.nonzero(lost)
    same, other = _elsewhere(predictions.index[row], xy[lost], table.image_id, truth, -np.log(NEAR) * width)
    found = np.where(labelled[predictions.index], np.where(good, 0, 1), -1)
    found[lost] = np.select([same, other], [2, 3], 4)
    return found


def _elsewhere(
    person: np.ndarray, point: np.ndarray, image_id: np.ndarray, truth: np.ndarray, reach: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Whether points (M, 2) of persons (M,) lie near a joint of the same person, and of another one in the image (M,).

    ``reach`` (P, K) is the greatest squared distance to ``truth`` (P, K, 2) at which a point is near.
    """
    _, image, size = np.unique(image_id, return_inverse=True, return_counts=True)
    by_image, first = np.argsort(image, kind="stable"), np.cumsum(size) - size
    # Every point with everybody in its image, one pair after the other.
    many = size[image[person]]
    which = np.repeat(np.arange(len(person)), many)
    place = np.arange(len(which)) - np.repeat(np.cumsum(many) - many, many)
    whose = by_image[first[image[person]][which] + place]
    near = np.empty(len(which), bool)
    x, y = np.ascontiguousarray(truth[..., 0]), np.ascontiguousarray(truth[..., 1])
    step = max(1, AT_ONCE // truth.shape[1])
    for start in range(0, len(which), step):
        some = slice(start, start + step)
        of, at = whose[some], point[which[some], :, None]
        near[some] = (np.square(x[of] - at[:, 0]) + np.square(y[of] - at[:, 1]) <= reach[of]).any(1)
    mine = whose == person[which]
    same, other = np.zeros(len(person), bool), np.zeros(len(person), bool)
    same[which[near & mine]] = True
    other[which[near & ~mine]] = True
    return same, other


def _by_head(table: InstanceTable) -> bool:
    labelled = (table.weight > 0).any(1)
    return bool((table.head[labelled] > 0).all() and not (table.area[labelled] > 0).any())


def _masked(values: np.ndarray, labelled: np.ndarray) -> np.ma.MaskedArray:
    return np.ma.masked_array(values, ~labelled)


def _shares(count: np.ndarray) -> dict[str, Any]:
    total = int(count.sum())
    counts = dict(zip(KINDS, count.tolist(), strict=True))
    return {"count": counts, "share": {kind: n / total if total else None for kind, n in counts.items()}}
