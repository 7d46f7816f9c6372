"""The reader of result files in COCO's format, which other programs write: every record is returned or counted."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from poserep.data.coco_forms import number_ids
from poserep.data.json_fields import FURTHEST, Invalid, abridged, as_number, as_numbers, read_json
from poserep.data.listed_images import ListedImages
from poserep.data.units import guess_units
from poserep.errors import InputError
from poserep.instances import Tally
from poserep.metrics.scorer import FinishedResults

FORM = "a list of records with image_id, category_id, keypoints [x, y, score, ...] and score"


def read_results(
    path: Path,
    images: ListedImages,
    categories: Mapping[int, str],
    orders: Mapping[int, Sequence[int]],
    skip_invalid: bool,
    tally: Tally,
) -> FinishedResults:
    """Read the people whom another program has found on the images of an annotation file.

    Images may be named by id or by file; the keypoints of a person may be a list of numbers or of points, with their
    scores among them or as ``keypoint_scores``.

    Args:
        path: JSON, a list of records.
        images: The images of the annotation file.
        categories: Those to take; a file whose only category is 0, or that has none, is of these.
        orders: By the number of keypoints that a record may have, the positions of the evaluated ones.
        skip_invalid: Leave out records that cannot be used instead of refusing the file.
        tally: Counts every record, as taken or by the reason for which it was left out.

    An `InputError` says what else the file is, names the first record that cannot be used, or says why none is left.
    """
    records = _records(path)
    taken: list[tuple[int, int, np.ndarray, float]] = []
    if {_category(record, categories) for record in records} <= {None, 0} - categories.keys():
        tally.mended["of category 0, or of none, taken for the only one"] += len(records)
        categories = {}
    if images.name_by_numbers(record.get("image_id") for record in records):
        tally.mended["image ids that are numbers of files"] += len(records)
    for row, record in enumerate(records):
        try:
            key, points, score = _person(record, images, orders)
        except Invalid as error:
            error.leave_out(f"{path}: result {row} ", skip_invalid, tally, "results")
            continue
        if categories and _category(record, categories) not in categories:
            tally.left_out["of other categories"] += 1
        elif key is None:
            tally.left_out["on images that are not listed"] += 1
        else:
            taken.append((row, key, points, score))
    tally.taken = len(taken)
    if not taken:
        raise InputError(f"{path}: no result can be scored ({tally.line()}); {_remedy(records, images, categories)}")
    index, image, joints, ranks = (np.array(column) for column in zip(*taken, strict=True))
    xy = joints[..., :2]
    low, high = xy.min(1), xy.max(1)
    sizes = np.array([e.known_size() if (e := images.by_id[key]) else (np.inf, np.inf) for key in image.tolist()])
    everyone = np.ones(xy.shape[:2], bool)
    if guess := guess_units(np.concatenate([low, high - low], 1), xy, everyone, sizes, len(set(image.tolist()))):
        raise InputError(f"{path}: {guess}")
    return FinishedResults(index, xy, joints[..., 2], image_id=image, person_score=ranks)


def _records(path: Path) -> list[Any]:
    """Return the records of a file that is a list of results with keypoints; else say what it is instead."""
    if not path.is_file():
        raise InputError(f"{path} does not exist; name a file of results in COCO's format")
    records = read_json(path, "result file")
    if isinstance(records, dict):
        what = "an annotation file" if "annotations" in records else f"an object with {', '.join(list(records)[:5])}"
        raise InputError(f"{path} is {what}; results are {FORM}")
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise InputError(f"{path} does not hold results: these are {FORM}")
    if not records:
        raise InputError(f"{path} is an empty list: there are no results to score")
    if not any("keypoints" in record for record in records):
        if "bbox" in records[0]:
            raise InputError(
                f"{path} holds boxes without keypoints: it is a file of detections, on which a run is evaluated by "
                "poserep evaluate RUN_DIR data.detections=FILE"
            )
        raise InputError(f"{path} has no keypoints, but {', '.join(map(str, records[0]))}; results are {FORM}")
    number_ids(records, ("category_id",))
    return records


def _category(record: Mapping[str, Any], categories: Mapping[int, str]) -> Any:
    """Return the id of a record's category, which may be named, or what stands for it."""
    given = record.get("category_id")
    return next((key for key, name in categories.items() if name == given), given) if given is not None else None


def _person(
    record: Mapping[str, Any], images: ListedImages, orders: Mapping[int, Sequence[int]]
) -> tuple[int | None, np.ndarray, float]:
    """Return a record's image (None if it is not listed), its (K, 3) evaluated points with scores, and its score."""
    if record.get("image_id") is None:
        raise Invalid("without image", "has no image_id", "name the image")
    score = as_number(record.get("score"))
    if score is None:
        given = abridged(record["score"]) if "score" in record else "none"
        raise Invalid("without score", f"needs a score, a finite number by which people are ranked, and has {given}")
    points = _points(record)
    if len(points) not in orders:
        raise Invalid(
            "with other joints",
            f"has {len(points)} joints; the annotation file has {next(reversed(orders))}",
            "write x, y, score of its joints in its order",
        )
    key = images.id_of(record["image_id"])
    return key if key in images.by_id else None, points[list(orders[len(points)])], score


def _points(record: Mapping[str, Any]) -> np.ndarray:
    """Return the keypoints of a record as (K, 3), with the score NaN where it has none."""
    given, scores = record.get("keypoints"), record.get("keypoint_scores")
    width = 2 if isinstance(given, list) and isinstance(scores, list) and len(given) == 2 * len(scores) else 3
    if isinstance(given, list) and given and all(isinstance(point, list) for point in given):
        width, given = len(given[0]), [number for point in given for number in point]
    values = as_numbers(given, FURTHEST)
    if values is None:
        bad = next((v for v in given if as_number(v, FURTHEST) is None), given) if isinstance(given, list) else given
        raise Invalid("with keypoints that are no numbers", f"has {abridged(bad)} among its keypoints")
    if not len(values) or width not in (2, 3) or len(values) % width:
        raise Invalid("with other joints", f"has {len(values)} keypoint numbers, no x, y, score for each joint")
    points = values.reshape(-1, width)
    if scores is None:
        column = points[:, 2] if width == 3 else np.full(len(points), np.nan)
    elif (separate := as_numbers(scores)) is not None and len(separate) == len(points):
        column = separate
    else:
        raise Invalid("with other joints", f"has {len(points)} joints and the keypoint_scores {abridged(scores)}")
    return np.column_stack([points[:, :2], column])


def _remedy(records: Sequence[Mapping[str, Any]], images: ListedImages, categories: Mapping[int, str]) -> str:
    entry = next((entry for entry in images.by_id.values() if entry), None)
    listed = f"{entry.id} or {entry.path.name!r}" if entry else "no image"
    first = records[0]
    asked = f"image_id {abridged(first.get('image_id'))}, category_id {abridged(first.get('category_id'))}"
    known = f" and category_id {' or '.join(map(str, categories))}" if categories else ""
    return f"the first has {asked}; the annotation file has images such as {listed}{known}"
