"""An annotation file cut in two by its images."""

from collections.abc import Iterator
from pathlib import Path

from poserep.data.json_fields import read_json
from poserep.errors import InputError
from poserep.files import write_json


def split_file(source: Path, first: Path, second: Path, share: float) -> Iterator[tuple[int, int]]:
    """Write the first ``share`` of a file's images, in its order, with their people to one file, the rest to another.

    The file is in COCO's format; what it has beside images and annotations goes to both. Yields the numbers of images
    and of people of each. A file without both lists, and a share that leaves one of the two empty, are an `InputError`.
    """
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
    for path, part in ((first, images[:count]), (second, images[count:])):
        ids = {image.get("id") for image in part if isinstance(image, dict)}
        theirs = [person for person in people if isinstance(person, dict) and person.get("image_id") in ids]
        write_json(path, {**data, "images": part, "annotations": theirs})
        yield len(part), len(theirs)
