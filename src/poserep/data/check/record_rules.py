"""Rules for single records and files: images, annotations and detections that are malformed or name nothing."""

import json
from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import Any

from poserep.data.check.findings import Finding, Rule
from poserep.data.check.image_headers import ImageHeader, orientation
from poserep.data.coco_file import CocoFile
from poserep.data.json_fields import FURTHEST, abridged, as_box, as_integer, as_number, as_numbers, is_file_name

ENTRY = Rule("image entry without id, file name or size", "give each an id, a file_name, a width and a height")
SHARED_IMAGE_ID = Rule(
    "image id with several contents", "number the images anew, and their annotations with them", left_out=True
)
REPEATED = Rule("image listed several times", "list it once; loaders take the first entry", error=False)
SEVERAL_IDS = Rule(
    "image file with several ids", "list it once; else predictions of one image do not suppress each other", error=False
)
MISSING = Rule("image file missing", "set data.root and the split's images to where the files are, or fetch them")
BROKEN = Rule("image file that cannot be read", "copy or fetch the file again")
EXCHANGED = Rule(
    "width and height exchanged",
    "exchange them in the annotation file; if the file has an EXIF orientation, that turned them: store it upright",
)
MENDED = Rule("width and height exchanged", "nothing: the loader puts it right", error=False)
OTHER_SIZE = Rule(
    "image of another size than annotated", "take the data set's own image, or correct width, height and annotations"
)
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


def image_entries(file: CocoFile) -> Iterator[Finding]:
    """Yield entries of images that are malformed, or contradict or repeat each other."""
    first: dict[int, tuple[int, str]] = {}
    ids: dict[str, int] = {}
    for row, record in enumerate(file.images):
        key = as_integer(record.get("id")) if isinstance(record, dict) else None
        if key is None or not is_file_name(record.get("file_name")) or annotated_size(record) is None:
            yield Finding(ENTRY, f"entry {row}", abridged(record, 120))
            continue
        name = record["file_name"]
        content = json.dumps([name, *(annotated_size(record) or ())])
        before, known = first.setdefault(key, (row, content))
        if known != content:
            yield Finding(SHARED_IMAGE_ID, f"image {key}, entries {before} and {row}", f"{known} and {content}")
        elif before != row:
            yield Finding(REPEATED, f"image {key} ({name})", f"entries {before} and {row}")
        if ids.setdefault(name, key) != key:
            yield Finding(SEVERAL_IDS, name, f"ids {ids[name]} and {key}")


def image_files(headers: Mapping[Path, ImageHeader]) -> Iterator[Finding]:
    """Yield files that are missing or cannot be read."""
    for path, header in headers.items():
        if header.missing:
            yield Finding(MISSING, str(path))
        elif header.fault:
            yield Finding(BROKEN, str(path), header.fault.replace(f"image {path} ", ""))


def image_sizes(file: CocoFile, folder: Path, headers: Mapping[Path, ImageHeader], mended: bool) -> Iterator[Finding]:
    """Yield files of another size than their entries say; ``mended``: the loader exchanges width and height."""
    for record, path in file.image_files(folder):
        size, header = annotated_size(record), headers.get(path)
        if size is None or header is None or not header.width or size == header[:2]:
            continue
        value = f"{size[0]:g}x{size[1]:g} in {file.path.name}, {header.width}x{header.height} in the file"
        if size != (header.height, header.width):
            yield Finding(OTHER_SIZE, str(path), value)
            continue
        turned = orientation(path)
        yield Finding(MENDED if mended else EXCHANGED, str(path), value + f", orientation {turned}" * (turned != 1))


def annotated_size(record: Mapping[str, Any]) -> tuple[float, float] | None:
    """Return the width and height (px) that an image's entry says, or None."""
    width, height = as_number(record.get("width"), FURTHEST), as_number(record.get("height"), FURTHEST)
    return (width, height) if width and height and min(width, height) > 0 else None


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
