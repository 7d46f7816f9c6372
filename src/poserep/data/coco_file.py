"""The one reader of COCO's format: annotation files, their images and categories, and files of detections.

Records are handed on as they stand in the file; whoever uses a field converts it with `poserep.data.json_fields`.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote

from poserep.data.coco_forms import Source, bring_to_form, merge, number_ids
from poserep.data.json_fields import abridged, as_integer, is_file_name, read_json
from poserep.errors import InputError
from poserep.instances import PLAIN, CocoForm

DETECTION_FIELDS = {"image_id", "category_id", "bbox", "score"}


class NotCoco(InputError):
    """A JSON file of another format."""


@dataclass(frozen=True, eq=False)
class CocoFile:
    """An annotation file. Its records are shared by all who read the file: they must not be changed.

    ``annotations`` have no segmentation but what ``form.masks`` keeps; None if the file has no such list, as for test
    images. Of several files that are read as one, ``path`` is the first, ``sources`` says where the annotations of each
    begin, and ``repeated`` how many stood in an earlier file too, and are left out.
    """

    path: Path
    images: list[Any]
    annotations: list[Any] | None
    categories: list[Any]
    form: CocoForm = PLAIN
    sources: tuple[Source, ...] = ()
    repeated: int = 0

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
        source = next((s for s in reversed(self.sources) if s.row <= row), Source(0, self.path, {}))
        key = record.get("id", row - source.row) if isinstance(record, dict) else row - source.row
        return f"{source.path}: annotation {abridged(source.ids.get(key, key) if type(key) is int else key)}"

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

        A file that does not exist by its whole name, as after an export of Label Studio, whose names are upload paths,
        addresses or those of Windows, is looked for by the last part of its name; two images that share one are an
        `InputError`.
        """
        found: dict[str, Path] = {}
        given: dict[Path, str] = {}
        for name in (r["file_name"] for r in self.images if isinstance(r, dict) and is_file_name(r.get("file_name"))):
            last = last_part(name)
            if last == name or (folder / name).is_file() or not (last and (folder / last).is_file()):
                continue
            found[name] = folder / last
            if given.setdefault(found[name], name) != name:
                raise InputError(
                    f"{self.path}: images {given[found[name]]!r} and {name!r} are not in {folder}, and share the last "
                    "part of their names, by which they would be found; write file_name as the path below data's images"
                )
        return lambda name: found.get(name, folder / name)


def last_part(name: str) -> str:
    """Return the last part of a file's name, which may be a path of Windows or an address with a query."""
    last = re.split(r"[\\/]", unquote(name))[-1]
    # Of x.jpg?version=2 the file, of ?d=x.jpg the value.
    return last.partition("?")[0] or last.rpartition("=")[2]


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
    whole, sources, repeated = merge(contents)
    # Fields are joined and boxes made already.
    file = CocoFile.from_json(paths[0], whole, form=PLAIN._replace(masks=form.masks))
    return replace(file, form=form, sources=tuple(sources), repeated=repeated)


def read_detections(path: str | Path) -> list[Any]:
    """Parse a result file of a detector, a list of records with ``image_id``, ``category_id``, ``bbox``, ``score``."""
    records = read_json(Path(path), "detection file")
    if not isinstance(records, list):
        raise InputError(f"{path} is no list of detections; is it a COCO result file?")
    # Images may be named by their files, of which 0007 is another than 7.
    number_ids(records, ("category_id",))
    return records
