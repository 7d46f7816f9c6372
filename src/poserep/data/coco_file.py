"""The one reader of COCO's format: annotation files, their images and categories, and files of detections.

Records are handed on as they stand in the file; whoever uses a field converts it with `poserep.data.json_fields`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Self

from poserep.data.json_fields import as_integer, is_file_name, read_json
from poserep.errors import InputError
from poserep.skeleton import Skeleton

# Names that files give to keypoints of a skeleton; some of CrowdPose's releases call the head top_head.
ALIASES = {"top_head": "head"}


class NotCoco(InputError):
    """A JSON file of another format."""


@dataclass(frozen=True, eq=False)
class CocoFile:
    """An annotation file. Its records are shared by all who read the file: they must not be changed.

    Attributes:
        path: The file.
        images: The list of that name.
        annotations: The list of that name without polygons, which nothing needs; None if the file has no such list,
            as for test images.
        categories: The list of that name.
    """

    path: Path
    images: list[Any]
    annotations: list[Any] | None
    categories: list[Any]

    @classmethod
    def from_json(cls, path: Path, data: Any, lists: Sequence[str] = ("images", "categories")) -> Self:
        """Return the file of a path whose content has been parsed; ``lists`` are the keys that it must have.

        Raises:
            NotCoco: If one of ``lists`` is missing or no list.
        """
        if not isinstance(data, dict) or not all(isinstance(data.get(key), list) for key in lists):
            raise NotCoco(f"annotation file {path} lacks {' or '.join(lists)}: is it COCO format?")
        images, annotations, categories = (
            value if isinstance(value := data.get(key), list) else None
            for key in ("images", "annotations", "categories")
        )
        for annotation in annotations or ():
            if isinstance(annotation, dict):
                annotation.pop("segmentation", None)
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
        for record in self.images_by_id.values():
            if is_file_name(record.get("file_name")):
                yield record, folder / record["file_name"]

    def category(self, skeleton: Skeleton, need_keypoints: bool = False) -> int:
        """Return the id of the category that has the skeleton's keypoints, in order and under any of `ALIASES`.

        In a file without keypoints, such as those of test images, it is the category called ``person``.

        Args:
            skeleton: The keypoints to match.
            need_keypoints: Refuse a file without keypoints.

        Raises:
            InputError: If there is no such category.
        """
        usable = [c for c in self.categories if isinstance(c, dict) and as_integer(c.get("id")) is not None]
        rows = [c for c in usable if isinstance(c.get("keypoints"), list) and c["keypoints"]]
        for row in rows:
            names = tuple(str(name) for name in row["keypoints"])
            if skeleton.names in (names, tuple(ALIASES.get(name, name) for name in names)):
                return row["id"]
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
        for row in usable:
            if row.get("name") == "person":
                return row["id"]
        raise InputError(
            f"{self.path}: no category has keypoints and none is called 'person'; take the annotation file whose "
            "images the detections are of"
        )


def read_coco(path: str | Path) -> CocoFile:
    """Parse an annotation file, unless it was the last one parsed and has not been written since.

    Only the last file is kept: a run's validation file is parsed once, and its far larger training file is let go.

    Raises:
        InputError: If the file is missing or is not JSON; `NotCoco` if it lacks images or categories.
    """
    path = Path(path)
    stat = path.stat() if path.is_file() else None
    return _parse(path, stat and (stat.st_mtime_ns, stat.st_size))


@lru_cache(maxsize=1)
def _parse(path: Path, _: tuple[int, int] | None) -> CocoFile:
    return CocoFile.from_json(path, read_json(path, "annotation file"))


def read_detections(path: str | Path) -> list[Any]:
    """Parse a result file of a detector, a list of records with ``image_id``, ``category_id``, ``bbox``, ``score``.

    Raises:
        InputError: If the file is missing, is not JSON, or is no list.
    """
    records = read_json(Path(path), "detection file")
    if not isinstance(records, list):
        raise InputError(f"{path} is no list of detections; is it a COCO result file?")
    return records
