"""The one reader of COCO's format: annotation files, their images and categories, and files of detections.

Records are handed on as they stand in the file; whoever uses a field converts it with `poserep.data.json_fields`.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import unquote

from poserep.data.json_fields import Invalid, abridged, as_integer, is_file_name, read_json
from poserep.errors import InputError
from poserep.instances import Tally
from poserep.skeleton import Skeleton

DETECTION_FIELDS = {"image_id", "category_id", "bbox", "score"}
ID_FIELDS = ("id", "image_id", "category_id")
# Names that files give to keypoints of a skeleton; some of CrowdPose's releases call the head top_head.
ALIASES = {"top_head": "head"}


class NotCoco(InputError):
    """A JSON file of another format."""


@dataclass(frozen=True, eq=False)
class CocoFile:
    """An annotation file. Its records are shared by all who read the file: they must not be changed.

    ``annotations`` have no polygons, which nothing needs; None if the file has no such list, as for test images.
    """

    path: Path
    images: list[Any]
    annotations: list[Any] | None
    categories: list[Any]

    @classmethod
    def from_json(cls, path: Path, data: Any, lists: Sequence[str] = ("images", "categories")) -> Self:
        """Return the file of a path whose content has been parsed; raise `NotCoco` if one of ``lists`` is missing."""
        if not isinstance(data, dict) or not all(isinstance(data.get(key), list) for key in lists):
            raise NotCoco(f"annotation file {path} lacks {' or '.join(lists)}: is it COCO format?")
        images, annotations, categories = (
            value if isinstance(value := data.get(key), list) else None
            for key in ("images", "annotations", "categories")
        )
        for annotation in annotations or ():
            if isinstance(annotation, dict):
                annotation.pop("segmentation", None)
        for records in (images, annotations, categories):
            _number_ids(records or ())
        return cls(path, images or [], annotations, categories or [])

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

    def categories_of(
        self, skeleton: Skeleton, chosen: int | str | Sequence[int | str] | None = None, need_keypoints: bool = False
    ) -> dict[int, str]:
        """Return the categories that have the skeleton's keypoints, in order and under any of `ALIASES`: names by id.

        ``chosen`` are ids or names of those to take if not all. In a file without keypoints, such as those of test
        images, it is the category called ``person``, unless ``need_keypoints`` is set. If there is no such category, an
        `InputError` says what the file has.
        """
        usable = [c for c in self.categories if isinstance(c, dict) and as_integer(c.get("id")) is not None]
        rows = [c for c in usable if isinstance(c.get("keypoints"), list) and c["keypoints"]]
        fitting = {}
        for row in rows:
            names = tuple(str(name) for name in row["keypoints"])
            if skeleton.names in (names, tuple(ALIASES.get(name, name) for name in names)):
                fitting[int(row["id"])] = str(row.get("name", row["id"]))
        if fitting:
            return fitting if chosen is None else self._chosen(fitting, chosen)
        if rows:
            given = rows[0]["keypoints"]
            raise InputError(
                f"{self.path}: its keypoints are not those of skeleton {skeleton.name!r}: {len(given)} in the file "
                f"{given}, {skeleton.num_keypoints} in the skeleton {list(skeleton.names)}; set data.skeleton to the "
                "file's keypoints"
            )
        if need_keypoints:
            raise InputError(
                f"{self.path}: no category has keypoints; this is a detection or caption file. For COCO take "
                "person_keypoints_*"
            )
        people = {int(row["id"]): "person" for row in usable if row.get("name") == "person"}
        if people:
            return people
        raise InputError(
            f"{self.path}: no category has keypoints and none is called 'person'; take the annotation file whose "
            "images the detections are of"
        )

    def _chosen(self, fitting: dict[int, str], chosen: int | str | Sequence[int | str]) -> dict[int, str]:
        asked = [chosen] if isinstance(chosen, int | str) else list(chosen)
        for one in asked:
            if one not in (*fitting, *fitting.values()):
                there = ", ".join(f"{name} ({key})" for key, name in fitting.items())
                raise InputError(
                    f"data.category={one}: {self.path} has no such category with these joints; it has {there}"
                )
        return {key: name for key, name in fitting.items() if key in asked or name in asked}


def _number_ids(records: Iterable[Any]) -> None:
    """Make numbers of ids that are written as texts, as some programs write them."""
    for record in records:
        if isinstance(record, dict):
            for key in ID_FIELDS:
                value = record.get(key)
                if isinstance(value, str) and value.isascii() and value.isdigit():
                    record[key] = int(value)


def last_part(name: str) -> str:
    """Return the last part of a file's name, which may be a path of Windows or an address with a query."""
    return re.split(r"[\\/]", unquote(name))[-1]


class ImageEntry(NamedTuple):
    """An image as a file lists it: id, path, and what stands for its width and height, px."""

    id: int
    path: Path
    width: Any
    height: Any


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


def read_coco(path: str | Path) -> CocoFile:
    """Parse an annotation file, unless it was the last one parsed and has not been written since.

    Only the last file is kept: a run's validation file is parsed once, and its far larger training file is let go.
    """
    path = Path(path)
    stat = path.stat() if path.is_file() else None
    return _parse(path, stat and (stat.st_mtime_ns, stat.st_size))


@lru_cache(maxsize=1)
def _parse(path: Path, _: tuple[int, int] | None) -> CocoFile:
    return CocoFile.from_json(path, read_json(path, "annotation file"))


def read_detections(path: str | Path) -> list[Any]:
    """Parse a result file of a detector, a list of records with ``image_id``, ``category_id``, ``bbox``, ``score``."""
    records = read_json(Path(path), "detection file")
    if not isinstance(records, list):
        raise InputError(f"{path} is no list of detections; is it a COCO result file?")
    _number_ids(records)
    return records
