"""The one reader of COCO's format: annotation files, their images and categories, and files of detections.

Records are handed on as they stand in the file; whoever uses a field converts it with `poserep.data.json_fields`.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import unquote

from poserep.data.coco_forms import Source, bring_to_form, merge, number_ids
from poserep.data.json_fields import FURTHEST, Invalid, abridged, as_integer, as_number, is_file_name, read_json
from poserep.errors import InputError
from poserep.instances import PLAIN, CocoForm, Tally

DETECTION_FIELDS = {"image_id", "category_id", "bbox", "score"}


class NotCoco(InputError):
    """A JSON file of another format."""


@dataclass(frozen=True, eq=False)
class CocoFile:
    """An annotation file. Its records are shared by all who read the file: they must not be changed.

    ``annotations`` have no polygons, which nothing needs; None if the file has no such list, as for test images. Of
    several files that are read as one, ``path`` is the first, and ``sources`` says where the annotations of each begin.
    """

    path: Path
    images: list[Any]
    annotations: list[Any] | None
    categories: list[Any]
    form: CocoForm = PLAIN
    sources: tuple[Source, ...] = ()

    @classmethod
    def from_json(
        cls, path: Path, data: Any, lists: Sequence[str] = ("images", "categories"), form: CocoForm = PLAIN
    ) -> Self:
        """Return the file of a path whose content has been parsed; raise `NotCoco` if one of ``lists`` is missing."""
        if not isinstance(data, dict) or not all(isinstance(data.get(key), list) for key in lists):
            raise NotCoco(f"annotation file {path} lacks {' or '.join(lists)}: is it COCO format?")
        bring_to_form(data, path, form)
        images, annotations, categories = (
            value if isinstance(value := data.get(key), list) else None
            for key in ("images", "annotations", "categories")
        )
        return cls(path, images or [], annotations, categories or [], form)

    def place(self, row: int, record: Any) -> str:
        """Return the file and the id, or the row, of an annotation for a message."""
        source = next((s for s in reversed(self.sources) if s.row <= row), Source(0, self.path, 0))
        key = record.get("id", row - source.row) if isinstance(record, dict) else row - source.row
        return f"{source.path}: annotation {abridged(key - source.offset if type(key) is int else key)}"

    @cached_property
    def images_by_id(self) -> dict[int, dict[str, Any]]:
        """The records of images that have a whole id, the first of each id."""
        records: dict[int, dict[str, Any]] = {}
        for record in self.images:
            key = as_integer(record.get("id")) if isinstance(record, dict) else None
            if key is not None:
                records.setdefault(key, record)
        return records

    def image_files(self, folder: Path) -> Iterator[tuple[dict[str, Any], Path]]:
        """Yield the records of `images_by_id` that name a file, with the file's path below ``folder``."""
        locate = self.locator(folder)
        for record in self.images_by_id.values():
            if is_file_name(record.get("file_name")):
                yield record, locate(record["file_name"])

    def locator(self, folder: Path) -> Callable[[str], Path]:
        """Return a function that gives the path of a file name below ``folder``.

        Where the first listed file does not exist, as after an export of Label Studio, whose names are upload paths,
        addresses or those of Windows, files are looked for by the last part of their names; two images that share one
        are an `InputError`.
        """
        names = [r["file_name"] for r in self.images if isinstance(r, dict) and is_file_name(r.get("file_name"))]
        if not names or (folder / names[0]).is_file() or not (folder / last_part(names[0])).is_file():
            return lambda name: folder / name
        last = {name: folder / last_part(name) for name in names}
        given: dict[Path, str] = {}
        for name, path in last.items():
            if given.setdefault(path, name) != name:
                raise InputError(
                    f"{self.path}: images {given[path]!r} and {name!r} are not in {folder}, and share the last part of "
                    "their names, by which they would be found; write file_name as the path below data's images"
                )
        return lambda name: last[name]


def last_part(name: str) -> str:
    """Return the last part of a file's name, which may be a path of Windows or an address with a query."""
    return re.split(r"[\\/]", unquote(name))[-1]


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

    def id_of(self, image_id: Any) -> int | None:
        """Return the whole number that an id is, or the id of the only image whose file has that name, or None."""
        return self._by_name.get(image_id) if isinstance(image_id, str) else as_integer(image_id)

    def __contains__(self, image_id: Any) -> bool:
        return self.id_of(image_id) in self.by_id

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


def read_coco(path: str | Path | Sequence[str | Path], form: CocoForm = PLAIN) -> CocoFile:
    """Parse an annotation file, or several as one, unless they were the last ones parsed and not written since.

    Only the last file is kept: a run's validation file is parsed once, and its far larger training file is let go. What
    ``form`` asks for and the file does not have is an `InputError`.
    """
    paths = tuple(map(Path, [path] if isinstance(path, str | Path) else path))
    stats = [file.stat() if file.is_file() else None for file in paths]
    return _parse(paths, tuple(stat and (stat.st_mtime_ns, stat.st_size) for stat in stats), form)


@lru_cache(maxsize=1)
def _parse(paths: tuple[Path, ...], _: tuple[tuple[int, int] | None, ...], form: CocoForm) -> CocoFile:
    contents = [(path, read_json(path, "annotation file")) for path in paths]
    files = [CocoFile.from_json(path, content, form=form) for path, content in contents]
    if len(files) == 1:
        return files[0]
    whole, sources = merge(contents)
    return replace(CocoFile.from_json(paths[0], whole), form=form, sources=tuple(sources))


def read_detections(path: str | Path) -> list[Any]:
    """Parse a result file of a detector, a list of records with ``image_id``, ``category_id``, ``bbox``, ``score``."""
    records = read_json(Path(path), "detection file")
    if not isinstance(records, list):
        raise InputError(f"{path} is no list of detections; is it a COCO result file?")
    number_ids(records)
    return records
