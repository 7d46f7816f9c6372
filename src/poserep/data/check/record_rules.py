"""Rules for single records: annotations and detections whose fields are missing, malformed or name nothing."""

from collections.abc import Container, Iterator
from typing import Any

from poserep.data.check.findings import Finding, Rule
from poserep.data.coco_file import CocoFile
from poserep.data.json_fields import FURTHEST, abridged, as_box, as_integer, as_number, as_numbers

ANNOTATION = Rule(
    "annotation without id, image or category", "give each a whole id, an image_id and a category_id", left_out=True
)
SHARED_ID = Rule("annotation id that repeats", "number the annotations anew", left_out=True)
NO_IMAGE = Rule(
    "annotation of an image that is not listed", "list the image, or take the annotation out", left_out=True
)
KEYPOINTS = Rule(
    "keypoints that are not three finite numbers each",
    "write x, y, visibility for every joint; 0, 0, 0 if unlabelled",
    left_out=True,
)
BOX = Rule("box that is not four finite numbers", "write bbox as [x, y, width, height]", left_out=True)
DETECTION = Rule("detection without image, category, box or score", "take a COCO result file", left_out=True)
DETECTION_BOX = Rule(
    "detection box without area or not finite",
    "mend the file, or set data.skip_invalid=true to leave it out",
    left_out=True,
)
DETECTION_IMAGE = Rule(
    "detection on an image that is not listed", "it is left out; take the split's own file", error=False
)
OTHER_CATEGORY = Rule(
    "detection of another category", "it is left out; nothing to do if others were detected", error=False
)
SCORE = Rule("detection score outside [0, 1]", "give probabilities: persons' scores are multiplied by them")


def annotation_ids(file: CocoFile, images: Container[int]) -> Iterator[Finding]:
    """Yield annotations of any category whose ids are missing, repeat, or name no image of ``images``."""
    known = set()
    for row, record in enumerate(file.annotations or ()):
        key, image = _ids(record)
        if key is None or image is None:
            yield Finding(ANNOTATION, f"annotation in row {row}", abridged(record, 120))
            continue
        if "category_id" not in record:
            yield Finding(ANNOTATION, f"annotation {record['id']}", abridged(record, 120))
        if key in known:
            yield Finding(SHARED_ID, f"annotation {record['id']}", f"row {row}")
        known.add(key)
        if image not in images:
            yield Finding(NO_IMAGE, f"annotation {record['id']}", f"image {record['image_id']}")


def usable_annotations(
    file: CocoFile, images: Container[int], category: Any, joints: int
) -> tuple[list[dict[str, Any]], list[Finding]]:
    """Return a category's annotations that are no crowds and have numbers for box and keypoints, and what others lack.

    Annotations that `annotation_ids` reports for their ids or images are passed over.
    """
    kept, findings = [], []
    for record in file.annotations or ():
        key, image = _ids(record)
        if key is None or image not in images or record.get("category_id") != category or record.get("iscrowd"):
            continue
        where, given = f"annotation {record['id']}", record.get("keypoints")
        points, box = as_numbers(given, FURTHEST), as_box(record)
        if points is None or len(points) != 3 * joints:
            amount = f"{len(given)} of {3 * joints} numbers, " if isinstance(given, list) else ""
            findings.append(Finding(KEYPOINTS, where, amount + abridged(given)))
        elif box is not None:
            kept.append(record)
        elif (points[2::3] > 0).any():
            findings.append(Finding(BOX, where, abridged(record.get("bbox"))))
    return kept, findings


def detections(records: list[Any], images: Container[int | None], category: Any) -> Iterator[Finding]:
    """Yield what is wrong with each detection, given the ids of listed images and of the persons' category."""
    for row, record in enumerate(records):
        where = f"detection {row}"
        if not isinstance(record, dict) or not {"image_id", "category_id", "bbox", "score"} <= record.keys():
            yield Finding(DETECTION, where, abridged(record, 120))
        elif record["category_id"] != category:
            yield Finding(OTHER_CATEGORY, where, f"category {abridged(record['category_id'])}")
        elif as_integer(record["image_id"]) not in images:
            yield Finding(DETECTION_IMAGE, where, f"image {abridged(record['image_id'])}")
        else:
            where = f"{where} on image {record['image_id']}"
            box, score = as_box(record), as_number(record["score"])
            if box is None or min(box[2:]) <= 0:
                yield Finding(DETECTION_BOX, where, abridged(record["bbox"]))
            if score is None or not 0 <= score <= 1:
                yield Finding(SCORE, where, abridged(record["score"]))


def _ids(record: Any) -> tuple[int | None, int | None]:
    if not isinstance(record, dict):
        return None, None
    return as_integer(record.get("id")), as_integer(record.get("image_id"))
