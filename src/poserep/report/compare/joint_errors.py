"""Errors of stored predictions joint by joint: their size and kind, by size of the person, and where two runs agree."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from poserep.errors import InputError
from poserep.instances import ANNOTATED
from poserep.metrics.coco import CocoAP
from poserep.metrics.finished_results import matched_with_persons
from poserep.metrics.protocol import UNKNOWN
from poserep.metrics.scorer import FinishedResults
from poserep.metrics.taxonomy import KINDS, areas, error_kinds
from poserep.report.compare.stored import StoredEvaluation, rebuild

# Kinds of predictions whose keypoint similarity to their own annotation is at least 0.5.
FOUND = (KINDS.index("good"), KINDS.index("jitter"))


class JointErrors(NamedTuple):
    """Every joint of one stored evaluation on annotated boxes; persons without a labelled joint are left out.

    Of N persons: ``person``, the id of the annotation, and ``size``, the square root of the area in image px; of their
    K joints (N, K): ``error``, the distance to the annotation as a share of the size, NaN where the joint is not
    labelled, and ``kind``, the position in `poserep.metrics.taxonomy.KINDS`, -1 where it is not.
    """

    names: tuple[str, ...]
    person: np.ndarray
    size: np.ndarray
    error: np.ndarray
    kind: np.ndarray


class SizeClass(NamedTuple):
    """Persons of similar size, from ``low`` to ``high`` (square root of the area, image px).

    Over their ``labelled`` joints in all runs, ``error`` is the median error as a share of the person's size, and
    ``share`` (5,) that of each of `poserep.metrics.taxonomy.KINDS`, in [0, 1].
    """

    low: float
    high: float
    labelled: int
    error: float
    share: np.ndarray


class Agreement(NamedTuple):
    """How often (K,) two runs find the same labelled joints, that is, with a keypoint similarity of at least 0.5."""

    names: tuple[str, ...]
    both: np.ndarray
    first: np.ndarray
    second: np.ndarray
    neither: np.ndarray


def joint_errors(evaluation: StoredEvaluation) -> JointErrors:
    """Return the errors of an evaluation of annotated persons; changed files or no labelled joint are an `InputError`.

    Of people that were found in whole images, and of results of another program, they are those of the persons with
    whom `matched_with_persons` matches them.
    """
    if evaluation.boxes not in (*ANNOTATED, UNKNOWN):
        raise InputError(f"{evaluation.name}: boxes={evaluation.boxes} have no joints of their own; take those of gt")
    scorer, predictions = rebuild(evaluation)
    if isinstance(scorer, CocoAP) and isinstance(predictions, FinishedResults):
        predictions = matched_with_persons(predictions, scorer.truth, scorer.max_detections)
    truth, table = scorer.truth, scorer.truth.instances
    predictions = predictions.take(truth.labelled[predictions.index].any(1))
    index = predictions.index
    if not len(index):
        raise InputError(f"{evaluation.name}: no joint is labelled, so that there is nothing to judge")
    area, _ = areas(table)
    distance = np.linalg.norm(predictions.xy.astype(float) - table.keypoints[index], axis=-1)
    size = np.sqrt(area[index])
    error = np.where(truth.labelled[index], distance / size[:, None], np.nan)
    kind = error_kinds(predictions, truth, area)
    return JointErrors(truth.skeleton.names, table.id[index], size, error, kind)


def by_person_size(runs: Sequence[JointErrors], parts: int = 4) -> list[SizeClass]:
    """Return the errors by the size of the person, in parts of equally many persons, from small to large.

    Joints of several runs, such as seeds, are pooled; runs on other persons are an `InputError`. No part is empty: a
    few persons give fewer.
    """
    if not runs or parts < 1:
        raise InputError(f"{len(runs)} runs in {parts} parts: there must be one of each at least")
    for run in runs:
        _check_same(runs[0], run)
    sizes, classes = runs[0].size, []
    for members in np.array_split(np.argsort(sizes, kind="stable"), min(parts, len(sizes))):
        kind = np.concatenate([run.kind[members] for run in runs])
        error = np.concatenate([run.error[members] for run in runs])
        labelled = kind >= 0
        share = np.bincount(kind[labelled], minlength=len(KINDS)) / labelled.sum()
        low, high, median = sizes[members].min(), sizes[members].max(), np.median(error[labelled])
        classes.append(SizeClass(float(low), float(high), int(labelled.sum()), float(median), share))
    return classes


def agreement(a: JointErrors, b: JointErrors) -> Agreement:
    """Return how often two runs find the same joints; other persons or joints are an `InputError`."""
    _check_same(a, b)
    labelled = a.kind >= 0
    first, second = (np.isin(run.kind, FOUND) for run in (a, b))
    cases = (first & second, first & ~second, ~first & second, ~first & ~second)
    return Agreement(a.names, *((case & labelled).sum(0) for case in cases))


def _check_same(a: JointErrors, b: JointErrors) -> None:
    if a.names != b.names or not np.array_equal(a.person, b.person):
        raise InputError(
            f"the runs are about other persons or joints ({len(a.person)} and {len(b.person)} persons of "
            f"{len(a.names)} and {len(b.names)} joints); take runs that were evaluated on the same annotations"
        )
