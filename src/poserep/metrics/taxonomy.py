"""Errors by joint and by kind, after Ronchi and Perona.

"Benchmarking and Error Diagnosis in Multi-Instance Pose Estimation", ICCV 2017. Nearness of a point to an annotated
joint is the keypoint similarity ks = exp(-d^2 / (2 a (2 sigma)^2)), with the area a of the person that the annotated
joint belongs to and that joint's sigma. Every labelled joint's prediction is of one kind, the first that holds:

- good: ks >= 0.85 to its own annotation.
- jitter: ks >= 0.5 to its own annotation.
- inversion: ks >= 0.5 to any other labelled joint of the same person.
- swap: ks >= 0.5 to any labelled joint of another person in the image.
- miss: near no labelled joint.

The authors' code compares with fewer candidates, the joint and its mirrored partner, and takes the nearest even where
the joint's own annotation is near as well. Persons that a loader leaves out are no candidates for swaps: a joint that
lies on one of them is a miss.
"""

from typing import Any

import numpy as np

from poserep.errors import InputError
from poserep.instances import BOX_COVER, InstanceTable, Truth
from poserep.metrics.epe import distances
from poserep.metrics.oks import joint_oks
from poserep.metrics.scorer import Predictions

KINDS = ("good", "jitter", "inversion", "swap", "miss")
_GOOD, _NEAR = 0.85, 0.5


def error_breakdown(predictions: Predictions, truth: Truth) -> dict[str, Any]:
    """Break errors down by joint and by kind, as results record them, for predictions of annotated boxes.

    It is an `InputError` if no joint is labelled, a person has neither area nor box, or the numbers of joints differ.

    Returns:
        ``persons`` and ``labelled``: the numbers of predicted persons with a labelled joint, and of their labelled
        joints. ``area``: the source of areas, see `areas`. ``scale``: what normalised errors are fractions of: ``head``
        (PCKh's length) if every person has one and nobody an annotated area, else ``sqrt(area)``. ``pairs``: names of
        left and right joints. ``joints``, by name: ``labelled``, ``mean_px`` and ``median_px`` in image px,
        ``mean_normalised``, ``mean_oks`` in [0, 1], all None if never labelled, and ``taxonomy``. ``taxonomy``:
        ``count`` and ``share`` in [0, 1] of each kind.
    """
    table, skeleton = truth.instances, truth.skeleton
    joints = predictions.xy.shape[1], table.keypoints.shape[1], skeleton.num_keypoints
    if len(set(joints)) > 1:
        raise InputError(
            f"predictions of {joints[0]} joints, annotations of {joints[1]} and skeleton {skeleton.name!r} of "
            f"{joints[2]}: evaluate with the skeleton of the data set"
        )
    # Persons without labels need no scale.
    predictions = predictions.take(truth.labelled[predictions.index].any(1))
    index = predictions.index
    if not len(index):
        what = "no joint is labelled" if not truth.labelled.any() else "no labelled person is predicted"
        raise InputError(f"{what}, so that there are no errors to break down")
    area, source = areas(table)
    labelled = truth.labelled[index]
    someone = truth.labelled.any(1)
    by_head = (table.head[someone] > 0).all() and not (table.area[someone] > 0).any()
    scale, unit = ("head", table.head) if by_head else ("sqrt(area)", np.sqrt(area))
    distance = np.ma.masked_array(distances(table.keypoints[index], predictions.xy), ~labelled)
    normalised = np.ma.masked_array(distance.data / unit[index, None], ~labelled)
    similarity = joint_oks(predictions.xy, table.keypoints[index], area[index], truth.sigmas)
    columns = {
        "labelled": labelled.sum(0),
        "mean_px": distance.mean(0),
        "median_px": np.ma.median(distance, axis=0),
        "mean_normalised": normalised.mean(0),
        "mean_oks": np.ma.masked_array(similarity, ~labelled).mean(0),
    }
    # Masked values become None in a list.
    rows = zip(*(np.ma.asarray(column).tolist() for column in columns.values()), strict=True)
    count = (error_kinds(predictions, truth, area)[..., None] == np.arange(len(KINDS))).sum(0)
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
    """Return the area (P,) of every person, square px, positive if a joint is labelled, and its source in words.

    It is the annotation's; where that has none, 0.53 of the rectangle that the labelled joints span (boxes of such sets
    may be those of crops or of whole images), or of the box if they span none; without any, an `InputError`.
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


def error_kinds(predictions: Predictions, truth: Truth, area: np.ndarray) -> np.ndarray:
    """Return the kind of every joint's prediction, (N, K) positions in `KINDS`, -1 where the joint is not labelled.

    ``area`` (P,) is that of all instances of the truth, square px, positive where a joint is labelled.
    """
    index, xy = predictions.index, predictions.xy.astype(float)
    labelled, keypoints = truth.labelled[index], truth.instances.keypoints.astype(float)
    # Squared distance by the similarity's exponent; nothing is near to a joint without label.
    width = np.where(truth.labelled, 2 * area[:, None] * np.square(2 * truth.sigmas), -1)
    own = np.square(xy - keypoints[index]).sum(-1)
    good, near = (own <= -np.log(least) * width[index] for least in (_GOOD, _NEAR))
    lost, reach = labelled & ~near, -np.log(_NEAR) * width
    kinds = np.where(labelled, np.where(good, 0, 1), -1)
    order = np.argsort(truth.instances.image_id, kind="stable")
    image_id = truth.instances.image_id[order]
    first, last = (np.searchsorted(image_id, truth.instances.image_id[index], side) for side in ("left", "right"))
    for n in np.flatnonzero(lost.any(1)):
        here = order[first[n] : last[n]]
        # Whether each lost joint lies near a joint of each person in the image.
        met = (np.square(xy[n, lost[n], None, None] - keypoints[here]).sum(-1) <= reach[here]).any(2)
        same = here == index[n]
        kinds[n, lost[n]] = np.select([met[:, same].any(1), met[:, ~same].any(1)], [2, 3], 4)
    return kinds


def _shares(count: np.ndarray) -> dict[str, Any]:
    total = int(count.sum())
    counts = dict(zip(KINDS, count.tolist(), strict=True))
    return {"count": counts, "share": {kind: n / total if total else None for kind, n in counts.items()}}
