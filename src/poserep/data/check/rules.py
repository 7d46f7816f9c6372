"""The rules of a check on images and detections, and on records that loaders refuse."""

from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import Any

from poserep.data.check.findings import Finding, Rule
from poserep.data.check.image_headers import ImageHeader, orientation
from poserep.data.coco_file import DETECTION_FIELDS, CocoFile
from poserep.data.json_fields import FURTHEST, abridged, as_integer, as_number, is_file_name
from poserep.instances import Tally

ENTRY = Rule("image entry without id or file name", "give each an id and a file_name")
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
DETECTION_IMAGE = Rule(
    "detection on an image that is not listed", "it is left out; take the split's own file", error=False
)
OTHER_CATEGORY = Rule(
    "detection of another category", "it is left out; nothing to do if others were detected", error=False
)
SCORE = Rule("detection score outside [0, 1]", "give probabilities: persons' scores are multiplied by them")


def invalid_records(tally: Tally, file: Path, skip_invalid: bool) -> Iterator[Finding]:
    """Yield the records of a file that its loader cannot use, as warnings if ``skip_invalid`` leaves them out."""
    remedy = "" if skip_invalid else ", or set data.skip_invalid=true to leave such records out"
    for record in tally.invalid:
        rule = Rule(f"invalid record: {record.reason}", record.remedy + remedy, error=not skip_invalid)
        yield Finding(rule, record.sentence.removeprefix(f"{file}: "))


def image_entries(file: CocoFile) -> Iterator[Finding]:
    """Yield entries of images that are malformed or repeat each other."""
    first: dict[int, tuple[int, dict[str, Any]]] = {}
    ids: dict[str, int] = {}
    for row, record in enumerate(file.images):
        key = as_integer(record.get("id")) if isinstance(record, dict) else None
        if key is None or not is_file_name(record.get("file_name")):
            yield Finding(ENTRY, f"entry {row}", abridged(record, 120))
            continue
        name = record["file_name"]
        before, known = first.setdefault(key, (row, record))
        if before != row and known == record:
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


def detections(records: list[Any], images: Container[Any], categories: Container[int | None]) -> Iterator[Finding]:
    """Yield what the loader passes over or takes as it is, given the listed images and the ids of categories."""
    for row, record in enumerate(records):
        if not isinstance(record, dict) or not record.keys() >= DETECTION_FIELDS:
            continue
        where, score = f"detection {row}", as_number(record["score"])
        if as_integer(record["category_id"]) not in categories:
            yield Finding(OTHER_CATEGORY, where, f"category {abridged(record['category_id'])}")
        elif record["image_id"] not in images:
            yield Finding(DETECTION_IMAGE, where, f"image {abridged(record['image_id'])}")
        elif score is not None and not 0 <= score <= 1:
            yield Finding(SCORE, f"{where} on image {record['image_id']}", f"{score:g}")
