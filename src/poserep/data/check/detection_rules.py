"""Rules for detection files."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from poserep.data.check.findings import Finding, Rule
from poserep.data.fields import FURTHEST, integer, number, numbers, shown

NO_LIST = Rule("detection file that is no list", "take a COCO result file")
RECORD = Rule("detection without image, category, box or score", "take a COCO result file", left_out=True)
BOX = Rule(
    "detection box without area or not finite",
    "mend the file, or set data.skip_invalid=true to leave it out",
    left_out=True,
)
NO_IMAGE = Rule("detection on an image that is not listed", "it is left out; take the split's own file", error=False)
CATEGORY = Rule("detection of another category", "it is left out; nothing to do if others were detected", error=False)
SCORE = Rule("detection score outside [0, 1]", "give probabilities: persons' scores are multiplied by them")


def detections(records: Any, images: set[int], category: Any) -> Iterator[Finding]:
    """All that can be wrong with a detection.

    Args:
        records: The file's content.
        images: Ids that the annotation file lists.
        category: Of persons.
    """
    if not isinstance(records, list):
        yield Finding(NO_LIST, "its content", shown(records))
        return
    for row, record in enumerate(records):
        yield from _detection(f"detection {row}", record, images, category)


def _detection(where: str, record: Any, images: set[int], category: Any) -> Iterator[Finding]:
    if not isinstance(record, dict) or not {"image_id", "category_id", "bbox", "score"} <= record.keys():
        yield Finding(RECORD, where, shown(record, 120))
        return
    if record["category_id"] != category:
        yield Finding(CATEGORY, where, f"category {shown(record['category_id'])}")
        return
    if integer(record["image_id"]) not in images:
        yield Finding(NO_IMAGE, where, f"image {shown(record['image_id'])}")
        return
    where = f"{where} on image {record['image_id']}"
    box, score = numbers(record["bbox"], FURTHEST), number(record["score"])
    if box is None or len(box) != 4 or not np.all(box[2:] > 0):
        yield Finding(BOX, where, shown(record["bbox"]))
    if score is None or not 0 <= score <= 1:
        yield Finding(SCORE, where, shown(record["score"]))
