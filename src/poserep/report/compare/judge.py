"""Stored predictions joint by joint: how far off, of what kind, on how large a person, and where two runs agree."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from poserep.errors import InputError
from poserep.metrics.taxonomy import KINDS, areas, error_kinds
from poserep.report.compare.stored import Evaluation, rebuild

# Kinds of those predictions that are near their own annotation.
FOUND = (KINDS.index("good"), KINDS.index("jitter"))


class Judged(NamedTuple):
    """Every joint of one stored evaluation on annotated boxes; persons without a labelled joint are left out.

    Attributes:
        names: Of the K joints.
        person: (N,) ids of the annotations.
        size: (N,) square root of the person's area, image px.
        error: (N, K) distance to the annotation as a share of ``size``; NaN where the joint is not labelled.
        kind: (N, K) positions in `poserep.metrics.taxonomy.KINDS`, -1 where the joint is not labelled.
    """

    names: tuple[str, ...]
    person: np.ndarray
    size: np.ndarray
    error: np.ndarray
    kind: np.ndarray


class Part(NamedTuple):
    """Persons of like size.

    Attributes:
        low: Square root of the smallest one's area, image px.
        high: Of the largest one's.
        labelled: Labelled joints, over all runs.
        error: Their median error as a share of the person's size.
        share: (5,) of the kinds among them, in [0, 1], in the order of `poserep.metrics.taxonomy.KINDS`.
    """

    low: float
    high: float
    labelled: int
    error: float
    share: np.ndarray


class Agreement(NamedTuple):
    """How often two runs find the same labelled joints; found is a keypoint similarity of at least 0.5.

    Attributes:
        names: Of the K joints.
        both: (K,) joints that both find.
        first: (K,) that only the first one finds.
        second: (K,) that only the second one finds.
        neither: (K,) that none finds.
    """

    names: tuple[str, ...]
    both: np.ndarray
    first: np.ndarray
    second: np.ndarray
    neither: np.ndarray


def judge(evaluation: Evaluation) -> Judged:
    """The joints of a stored evaluation, from its predictions and the annotations that it was held against.

    Raises:
        InputError: If it is one of a detector's boxes, files have changed since, or no joint is labelled.
    """
    if evaluation.boxes != "gt":
        raise InputError(f"{evaluation.name}: boxes={evaluation.boxes} have no joints of their own; take those of gt")
    scorer, predictions = rebuild(evaluation)
    truth, table = scorer.truth, scorer.truth.instances
    predictions = predictions.take(truth.labelled[predictions.index].any(1))
    index = predictions.index
    if not len(index):
        raise InputError(f"{evaluation.name}: no joint is labelled, so that there is nothing to judge")
    area, _ = areas(table)
    distance = np.linalg.norm(predictions.xy.astype(float) - table.keypoints[index], axis=-1)
    size = np.sqrt(area[index])
    error = np.where(truth.labelled[index], distance / size[:, None], np.nan)
    kinds = error_kinds(predictions, truth, area)
    return Judged(truth.skeleton.names, table.id[index], size, error, kinds)


def by_size(runs: Sequence[Judged], parts: int = 4) -> list[Part]:
    """Errors by the size of the person, in parts of as many persons each, from small to large.

    Args:
        runs: Of the same persons, as seeds are; their joints are taken together.
        parts: How many; fewer come back if there are fewer persons.

    Raises:
        InputError: If there is no run, or they are about other persons.
    """
    if not runs or parts < 1:
        raise InputError(f"{len(runs)} runs in {parts} parts: there must be one of each at least")
    for run in runs:
        _same(runs[0], run)
    found = []
    for members in np.array_split(np.argsort(runs[0].size, kind="stable"), min(parts, len(runs[0].size))):
        kind = np.concatenate([run.kind[members] for run in runs])
        error = np.concatenate([run.error[members] for run in runs])
        labelled = kind >= 0
        counts = np.bincount(kind[labelled], minlength=len(KINDS))
        size, total = runs[0].size[members], int(labelled.sum())
        middle = float(np.median(error[labelled]))
        found.append(Part(float(size.min()), float(size.max()), total, middle, counts / total))
    return found


def agreement(a: Judged, b: Judged) -> Agreement:
    """How often two runs find the same joints.

    Raises:
        InputError: If they are about other persons or joints.
    """
    _same(a, b)
    labelled = a.kind >= 0
    mine, others = (np.isin(run.kind, FOUND) for run in (a, b))
    cases = (mine & others, mine & ~others, ~mine & others, ~mine & ~others)
    return Agreement(a.names, *((case & labelled).sum(0) for case in cases))


def _same(a: Judged, b: Judged) -> None:
    if a.names != b.names or not np.array_equal(a.person, b.person):
        raise InputError(
            f"the runs are about other persons or joints ({len(a.person)} and {len(b.person)} persons of "
            f"{len(a.names)} and {len(b.names)} joints); take runs that were evaluated on the same annotations"
        )
