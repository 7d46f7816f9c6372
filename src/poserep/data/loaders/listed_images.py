"""The images that a COCO-format file lists, as loaders look them up."""

from pathlib import Path
from typing import Any, NamedTuple

from poserep.data.coco_file import CocoFile
from poserep.data.json_fields import Invalid, abridged, as_integer, is_file_name
from poserep.instances import Tally


class ImageEntry(NamedTuple):
    """An image as the file lists it: id, path, and what stands for its width and height, px."""

    id: int
    path: Path
    width: Any
    height: Any


class ListedImages:
    """The images of a file by id.

    Args:
        file: Entries without id or file name are counted and ignored.
        folder: Folder that file names are relative to.
        tally: Counts ignored and repeated entries.
    """

    def __init__(self, file: CocoFile, folder: Path, tally: Tally) -> None:
        # None where two that differ share an id.
        self.by_id: dict[int, ImageEntry | None] = {}
        for record in file.images:
            key = as_integer(record.get("id")) if isinstance(record, dict) else None
            if key is None or not is_file_name(record.get("file_name")):
                tally.mended["image entries without id or file name"] += 1
                continue
            entry = ImageEntry(key, folder / record["file_name"], record.get("width"), record.get("height"))
            if key in self.by_id:
                # Some published files repeat an image once per person.
                tally.mended["images listed twice"] += 1
            if self.by_id.setdefault(key, entry) != entry:
                self.by_id[key] = None

    def __contains__(self, image_id: Any) -> bool:
        return as_integer(image_id) in self.by_id

    def find(self, image_id: Any) -> ImageEntry:
        """Return the image of an id.

        Raises:
            Invalid: If the file lists none, or several that differ.
        """
        key = as_integer(image_id)
        if key is None or key not in self.by_id:
            raise Invalid(
                "on images that are not listed", f"names image {abridged(image_id)}, which the file does not list"
            )
        entry = self.by_id[key]
        if entry is None:
            raise Invalid("on images that share an id", f"is on image {key}, an id that two images of the file have")
        return entry
