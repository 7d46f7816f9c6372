"""An annotation file cut in two by its images."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poserep.data.json_fields import as_integer, read_json
from poserep.errors import InputError
from poserep.files import write_json


@dataclass(frozen=True)
class CutFile:
    """Of two parts the numbers of images and of people, and how many people have no image in the file."""

    images: tuple[int, int]
    people: tuple[int, int]
    without_image: int


def split_file(source: Path, first: Path, second: Path, share: float) -> CutFile:
    """Write the first ``share`` of a file's images, in its order, with their people to one file, the rest to another.

    The file is in COCO's format; what it has beside images and annotations goes to both. A file without both lists, a
    share that leaves one of the two empty, and files to write that exist or are one, are an `InputError`.
    """
    if existing := next((path for path in (first, second) if path.exists()), None):
        raise InputError(f"{existing} exists; remove it, or give another name")
    if first.resolve() == second.resolve():
        raise InputError(f"{first} is given twice; the two parts need two names")
    data = read_json(source, "annotation file")
    images, people = (data.get(key) if isinstance(data, dict) else None for key in ("images", "annotations"))
    if not isinstance(images, list) or not isinstance(people, list):
        raise InputError(f"{source} has no lists of images and annotations; give an annotation file in COCO's format")
    count = round(share * len(images)) if 0 < share < 1 else 0
    if not 0 < count < len(images):
        raise InputError(
            f"--share {share:g} of {len(images)} images of {source} leaves a part without any; give a share between 0 "
            "and 1"
        )
    cut, written = (images[:count], images[count:]), []
    for path, part in zip((first, second), cut, strict=True):
        ids = {_number(image, "id") for image in part} - {None}
        written.append([person for person in people if _number(person, "image_id") in ids])
        write_json(path, {**data, "images": part, "annotations": written[-1]})
    counts = len(written[0]), len(written[1])
    return CutFile((len(cut[0]), len(cut[1])), counts, len(people) - sum(counts))


def _number(record: Any, key: str) -> int | None:
    value = record.get(key) if isinstance(record, dict) else None
    # Ids are numbers, though some files write them as text.
    return int(value) if isinstance(value, str) and value.isdigit() else as_integer(value)
