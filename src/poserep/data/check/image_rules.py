"""Rules for the images that a split lists, and for their files."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from poserep.data.check.findings import Finding, Rule
from poserep.data.check.image_headers import ImageHeader, orientation
from poserep.data.coco_file import CocoFile
from poserep.data.json_fields import FURTHEST, abridged, as_integer, as_number, is_file_name

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
