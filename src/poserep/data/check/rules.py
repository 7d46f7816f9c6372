"""The rules of a check on images and detections, and on records that loaders refuse."""

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from poserep.data.check.findings import Finding, Rule
from poserep.data.coco_file import DETECTION_FIELDS, CocoFile
from poserep.data.image_files import PhotographReader
from poserep.data.json_fields import FURTHEST, abridged, as_integer, as_number, is_file_name
from poserep.data.pictures import ImageReader, Picture
from poserep.instances import Instance, Tally

ENTRY = Rule("image entry without id or file name", "give each an id and a file_name")
REPEATED = Rule("image listed several times", "list it once; loaders take the first entry", error=False)
SEVERAL_IDS = Rule(
    "image file with several ids", "list it once; else predictions of one image do not suppress each other", error=False
)
MISSING = Rule("image file missing", "set data.root and the split's images to where the files are, or fetch them")
BROKEN = Rule("image file that cannot be read", "copy or fetch the file again")
TURNED = Rule(
    "image with an EXIF orientation",
    "set data.orientation=stored if it was annotated as its pixels are stored, as COCO's are, or "
    "data.orientation=upright if it was annotated as viewers turn it",
)
DEEP = Rule(
    "image of more than 8 bits",
    "set data.range to the values that become black and white, as in data.range=[0,4095] for 12 bits",
)
BLANK = Rule("image of one colour", "look at it: it shows nobody", error=False)
EXCHANGED = Rule("width and height exchanged", "exchange them in the annotation file, or turn the picture")
MENDED = Rule("width and height exchanged", "nothing: the loader puts it right", error=False)
OTHER_SIZE = Rule(
    "image of another size than annotated", "take the data set's own image, or correct width, height and annotations"
)
CROWDED = Rule(
    "image of more persons than predictions of it that count",
    "raise data.metric.max_detections, 20 as in COCO's evaluation, or the others can never be found",
    error=False,
)
DETECTION_IMAGE = Rule(
    "detection on an image that is not listed", "it is left out; take the split's own file", error=False
)
OTHER_CATEGORY = Rule(
    "detection of another category", "it is left out; nothing to do if others were detected", error=False
)


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


def picture_findings(
    pictures: Mapping[Path, Picture], reader: ImageReader, file: CocoFile | None, folder: Path, mended: bool
) -> Iterator[Finding]:
    """Yield image files that are missing, cannot be read, or are not as annotated.

    Of photographs the sizes are those that their reader gives; ``mended``: the loader exchanges width and height.
    """
    annotated = {path: annotated_size(record) for record, path in file.image_files(folder)} if file else {}
    photographs = reader if isinstance(reader, PhotographReader) else None
    for path, picture in pictures.items():
        size = annotated.get(path)
        if picture.missing:
            yield Finding(MISSING, str(path))
        elif photographs and photographs.orientation == "refuse" and picture.orientation != 1:
            upright = size == picture.size("upright") != picture.size("stored")
            stored = f"orientation {picture.orientation}, {picture.width}x{picture.height} px as stored"
            yield Finding(TURNED, str(path), stored + ", annotated upright" * upright)
        elif photographs and photographs.range is None and picture.bits > 8:
            yield Finding(DEEP, str(path), f"{picture.bits} bits")
        elif picture.fault:
            yield Finding(BROKEN, str(path), picture.fault.replace(f"image {path} ", ""))
        elif picture.blank:
            yield Finding(BLANK, str(path))
        elif photographs and size and picture.width:
            yield from _size_finding(path, size, picture.size(photographs.orientation), mended)


def corrected(pictures: Mapping[Path, Picture], reader: ImageReader) -> dict[str, int]:
    """Return how many pictures a reader of photographs does not take as they are stored, by what it does."""
    counts = {}
    if isinstance(reader, PhotographReader) and reader.orientation == "upright":
        counts["images turned as their EXIF orientation says"] = turned(pictures)
    if isinstance(reader, PhotographReader) and reader.range:
        low, high = reader.range
        deep = sum(picture.bits > 8 for picture in pictures.values())
        counts[f"images of more than 8 bits, {low:g} black and {high:g} white"] = deep
    return {what: count for what, count in counts.items() if count}


def turned(pictures: Mapping[Path, Picture]) -> int:
    """Return the number of pictures with another EXIF orientation than 1."""
    return sum(picture.orientation != 1 for picture in pictures.values())


def _size_finding(path: Path, size: tuple[float, float], pixels: tuple[int, int], mended: bool) -> Iterator[Finding]:
    if size == pixels:
        return
    value = f"annotated {size[0]:g}x{size[1]:g}, {pixels[0]}x{pixels[1]} in the file"
    exchanged = size == pixels[::-1]
    yield Finding((MENDED if mended else EXCHANGED) if exchanged else OTHER_SIZE, str(path), value)


def annotated_size(record: Mapping[str, Any]) -> tuple[float, float] | None:
    """Return the width and height (px) that an image's entry says, or None."""
    width, height = as_number(record.get("width"), FURTHEST), as_number(record.get("height"), FURTHEST)
    return (width, height) if width and height and min(width, height) > 0 else None


def crowded(persons: Iterable[Instance], limit: int) -> Iterator[Finding]:
    """Yield the images with more labelled persons than the ``limit`` of predictions of an image that are evaluated."""
    for path, count in Counter(str(person.image) for person in persons if (person.weight > 0).any()).items():
        if count > limit:
            yield Finding(CROWDED, path, f"{count} persons, {limit} predictions")


def detections(records: list[Any], images: Container[Any], categories: Container[int | None]) -> Iterator[Finding]:
    """Yield what the loader passes over, given the listed images and the ids of categories."""
    for row, record in enumerate(records):
        if not isinstance(record, dict) or not record.keys() >= DETECTION_FIELDS:
            continue
        where = f"detection {row}"
        if as_integer(record["category_id"]) not in categories:
            yield Finding(OTHER_CATEGORY, where, f"category {abridged(record['category_id'])}")
        elif record["image_id"] not in images:
            yield Finding(DETECTION_IMAGE, where, f"image {abridged(record['image_id'])}")
