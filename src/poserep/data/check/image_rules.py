"""Rules for the images that a split lists, and for their files."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from poserep.data.check.document import Document, usable
from poserep.data.check.findings import Finding, Rule
from poserep.data.check.headers import Header, orientation
from poserep.data.fields import FURTHEST, number, shown

ENTRY = Rule("image entry without id, file name or size", "give each an id, a file_name, a width and a height")
SHARED_ID = Rule(
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


def listed(document: Document) -> Iterator[Finding]:
    """Entries of images that are malformed, or contradict or repeat each other."""
    first: dict[int, tuple[int, str]] = {}
    names: dict[str, int] = {}
    for row, record in enumerate(document.images):
        if not usable(record) or _size(record) is None:
            yield Finding(ENTRY, f"entry {row}", shown(record, 120))
            continue
        key, name = int(record["id"]), record["file_name"]
        content = json.dumps([name, *(_size(record) or ())])
        before, known = first.setdefault(key, (row, content))
        if known != content:
            yield Finding(SHARED_ID, f"image {key}, entries {before} and {row}", f"{known} and {content}")
        elif before != row:
            yield Finding(REPEATED, f"image {key} ({name})", f"entries {before} and {row}")
        if names.setdefault(name, key) != key:
            yield Finding(SEVERAL_IDS, name, f"ids {names[name]} and {key}")


def files(found: Mapping[Path, Header]) -> Iterator[Finding]:
    """Files that are missing or cannot be read."""
    for path, header in found.items():
        if header.missing:
            yield Finding(MISSING, str(path))
        elif header.fault:
            yield Finding(BROKEN, str(path), header.fault.replace(f"image {path} ", ""))


def sizes(document: Document, found: Mapping[Path, Header], mended: bool) -> Iterator[Finding]:
    """Files of another size than their entries say.

    Args:
        document: With the entries.
        found: Headers of the files.
        mended: The loader exchanges width and height where that is needed.
    """
    for record in document.pictures().values():
        path, size = document.image(record), _size(record)
        header = found.get(path)
        if size is None or header is None or not header.width or size == header[:2]:
            continue
        value = f"{size[0]:g}x{size[1]:g} in {document.path.name}, {header.width}x{header.height} in the file"
        if size != (header.height, header.width):
            yield Finding(OTHER_SIZE, str(path), value)
            continue
        turned = orientation(path)
        yield Finding(MENDED if mended else EXCHANGED, str(path), value + f", orientation {turned}" * (turned != 1))


def paths(document: Document) -> Iterable[Path]:
    """The files of all usable entries."""
    return (document.image(record) for record in document.pictures().values())


def _size(record: Mapping[str, object]) -> tuple[float, float] | None:
    width, height = number(record.get("width"), FURTHEST), number(record.get("height"), FURTHEST)
    return (width, height) if width and height and min(width, height) > 0 else None
