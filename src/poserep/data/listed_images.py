"""The images of an annotation file, by their ids and by the names of their files."""

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from poserep.data.coco_file import CocoFile
from poserep.data.json_fields import FURTHEST, Invalid, abridged, as_integer, as_number, is_file_name
from poserep.instances import Tally


class ImageEntry(NamedTuple):
    """An image as a file lists it: id, path, and what stands for its width and height, px."""

    id: int
    path: Path
    width: Any
    height: Any

    def known_size(self) -> tuple[float, float]:
        """Return width and height, px, infinite where the file does not say them."""
        width, height = (as_number(side, FURTHEST) or float("inf") for side in (self.width, self.height))
        return width, height


class ListedImages:
    """The images of a file by id, below a folder; counts entries without id or file name, and repeated ones."""

    def __init__(self, file: CocoFile, folder: Path, tally: Tally) -> None:
        self._named = False
        # None where two that differ share an id.
        self.by_id: dict[int, ImageEntry | None] = {}
        locate = file.locator(folder)
        for record in file.images:
            key = as_integer(record.get("id")) if isinstance(record, dict) else None
            if key is None or not is_file_name(record.get("file_name")):
                tally.mended["image entries without id or file name"] += 1
                continue
            path = locate(record["file_name"])
            if path != folder / record["file_name"]:
                tally.mended["image files found by the last part of their names"] += 1
            entry = ImageEntry(key, path, record.get("width"), record.get("height"))
            if key in self.by_id:
                # Some published files repeat an image once per person.
                tally.mended["images listed twice"] += 1
            if self.by_id.setdefault(key, entry) != entry:
                self.by_id[key] = None

    @cached_property
    def _by_name(self) -> dict[str, int | None]:
        """Ids by file name, with and without ending; None where two images share a name."""
        ids: dict[str, int | None] = {}
        for key, entry in self.by_id.items():
            for name in {entry.path.name, entry.path.stem} if entry else ():
                ids[name] = None if name in ids else key
        return ids

    @cached_property
    def _by_number(self) -> dict[int, int]:
        """Ids by the whole number that a file is called."""
        names = ((name, key) for name, key in self._by_name.items() if key is not None)
        return {int(name): key for name, key in names if name.isascii() and name.isdigit()}

    def name_by_numbers(self, image_ids: Iterable[Any]) -> bool:
        """Take whole numbers for the names of files from now on if all of these are that and some are no ids.

        Some programs write 42 for 000042.jpg, whatever the image's id is. Returns whether it is so.
        """
        numbers = {as_integer(image_id) for image_id in image_ids if not isinstance(image_id, str)} - {None}
        self._named = bool(numbers) and not numbers <= self.by_id.keys() and numbers <= self._by_number.keys()
        return self._named

    def id_of(self, image_id: Any) -> int | None:
        """Return the image that an id means: a whole number, which may be a text, or the name of one file; or None.

        A text that is the id of one image and the name of another raises `Invalid`.
        """
        if not isinstance(image_id, str):
            key = as_integer(image_id)
            return self._by_number.get(key) if self._named and key is not None else key
        named, digits = self._by_name.get(image_id), image_id.isascii() and image_id.isdigit()
        number = int(image_id) if digits else None
        # Ids have no zeros in front of them.
        if named is None or number not in self.by_id or number == named or str(number) != image_id:
            return number if named is None else named
        raise Invalid(
            "on images that are not told apart",
            f"names image {image_id!r}, which is the id of one image and the file name of another",
            "write whole numbers for ids, or names with their endings",
        )

    def __contains__(self, image_id: Any) -> bool:
        try:
            return self.id_of(image_id) in self.by_id
        except Invalid:
            # It is listed, twice.
            return True

    def find(self, image_id: Any) -> ImageEntry:
        """Return the image of an id, or raise `Invalid` if the file lists none, or several that differ."""
        key = self.id_of(image_id)
        if key is None or key not in self.by_id:
            missing = f"names image {abridged(image_id)}, which the file lacks"
            raise Invalid("on images that are not listed", missing, "list the image")
        entry = self.by_id[key]
        if entry is None:
            shared = f"is on image {key}, an id that two images of the file have"
            raise Invalid("on images that share an id", shared, "number the images anew")
        return entry
