"""The images that a COCO-format file lists."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from poserep.data.fields import Invalid, integer, shown
from poserep.instances import Tally


class Picture(NamedTuple):
    """An image as the file lists it: id, path, and what stands for its width and height, px."""

    id: int
    path: Path
    width: Any
    height: Any


class Pictures:
    """Images by id.

    Args:
        records: As they stand in the file; those that nobody can be found on are counted and ignored.
        folder: That their names are relative to.
        tally: Counts repeated and ignored entries.
    """

    def __init__(self, records: Iterable[Any], folder: Path, tally: Tally) -> None:
        # None where two differ.
        self.by_id: dict[int, Picture | None] = {}
        for record in records:
            key = integer(record.get("id")) if isinstance(record, dict) else None
            name = record.get("file_name") if isinstance(record, dict) else None
            if key is None or not isinstance(name, str) or not is_name(name):
                tally.mended["image entries without id or file name"] += 1
                continue
            picture = Picture(key, folder / name, record.get("width"), record.get("height"))
            if key in self.by_id:
                # Some files in the wild repeat an image once per person.
                tally.mended["images listed twice"] += 1
            if self.by_id.setdefault(key, picture) != picture:
                self.by_id[key] = None

    def __contains__(self, image_id: Any) -> bool:
        return integer(image_id) in self.by_id

    def find(self, image_id: Any) -> Picture:
        """The image of an id.

        Raises:
            Invalid: If the file lists none, or several that differ.
        """
        key = integer(image_id)
        if key not in self.by_id:
            raise Invalid(
                "on images that are not listed", f"names image {shown(image_id)}, which the file does not list"
            )
        picture = self.by_id[key]
        if picture is None:
            raise Invalid("on images that share an id", f"is on image {key}, an id that two images of the file have")
        return picture


def is_name(text: str) -> bool:
    """Whether a text can name a file."""
    try:
        return bool(text) and b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False
