"""Whose boxes: from the command line, from a file of detections, or none."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from poserep.data.boxes import SMALLEST
from poserep.data.fields import FURTHEST, integer, number, read_json, shown
from poserep.errors import InputError

HOW = "give x,y,width,height in image px, as in 40,20,120,300, or a JSON file of detections"


@dataclass(frozen=True)
class Request:
    """A box as it was given.

    Attributes:
        where: For messages.
        box: Anything; should be x, y, width, height in image px.
        score: Of the box, anything; should be a number.
    """

    where: str
    box: Any
    score: Any = 1.0

    def checked(self, width: int, height: int) -> tuple[np.ndarray, float]:
        """The box (4,) and its score.

        Args:
            width: Of the image, px.
            height: Of the image, px.

        Raises:
            InputError: If it is no box, has no area, or lies outside the image.
        """
        values = self.box if isinstance(self.box, list) and len(self.box) == 4 else [None]
        found = [number(v, FURTHEST) for v in values]
        sides = [v for v in found if v is not None]
        if len(sides) != 4:
            raise InputError(
                f"{self.where}: {shown(self.box)} is no box of four finite numbers x, y, width, height up to "
                f"{FURTHEST:g}; mend or leave out"
            )
        x, y, w, h = sides
        if min(w, h) < SMALLEST:
            raise InputError(f"{self.where}: {shown(self.box)} has no area (width {w:g}, height {h:g}); leave it out")
        if x >= width or y >= height or x + w <= 0 or y + h <= 0:
            raise InputError(
                f"{self.where}: {shown(self.box)} lies outside the image of {width}x{height} px (width x height); "
                "boxes are x, y, width, height in its px"
            )
        score = number(self.score)
        if score is None:
            raise InputError(f"{self.where}: its score {shown(self.score)} is no finite number; mend or leave out")
        return np.array(sides), score


@dataclass
class Requests:
    """Boxes by image.

    Attributes:
        everywhere: On every image.
        by_name: On images of a file name, or of a name without ending.
        ids: Image ids of the file by the same names.
        notes: What was left out and why.
        source: Of the file, or None if there is none.
    """

    everywhere: list[Request] = field(default_factory=list)
    by_name: dict[str, list[Request]] = field(default_factory=dict)
    ids: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    source: Path | None = None

    def of(self, image: Path) -> list[Request]:
        """The boxes on an image."""
        return self.everywhere + [r for name in _names(image) for r in self.by_name.get(name, ())]

    def image_id(self, image: Path) -> Any:
        """The id of an image: the file's, else its name without ending, a number if it is one."""
        for name in _names(image):
            if name in self.ids:
                return self.ids[name]
        return _stem_id(image.stem)

    @property
    def given(self) -> bool:
        """Whether there are any, on whatever image."""
        return bool(self.everywhere or self.source)


def read_boxes(words: Sequence[str], category: int = 1, least: float = 0.0) -> Requests:
    """Read what the command line gives.

    Files hold COCO results, a list of records with ``bbox``, ``image_id`` and optionally ``score`` and ``category_id``;
    their images are listed by the annotations beside them (``val.json`` beside ``val_detections.json``), else ids are
    file names without ending. Or an object with ``images`` (``id``,
    ``file_name``) and such records as ``annotations``.

    Args:
        words: Files, or boxes x,y,width,height for every image.
        category: Of the records that count, as far as they say one.
        least: Records of a lower score do not count.

    Raises:
        InputError: If a word is neither, or a file has another form.
    """
    found = Requests()
    for word in words:
        numbers = _four(word)
        if numbers is not None:
            found.everywhere.append(Request(f"--boxes {word}", numbers))
        elif word.endswith(".json"):
            _read(Path(word), category, least, found)
        else:
            raise InputError(f"--boxes {word} is neither a box nor a file whose name ends in .json; {HOW}")
    return found


def _four(word: str) -> list[float] | None:
    try:
        numbers = [float(part) for part in word.split(",")]
    except ValueError:
        return None
    return numbers if len(numbers) == 4 else None


def _read(path: Path, category: int, least: float, found: Requests) -> None:
    if not path.is_file():
        raise InputError(f"--boxes {path} does not exist; {HOW}")
    data = read_json(path, "detection file")
    named: dict[Any, str] = {}
    if isinstance(data, dict):
        if not all(isinstance(data.get(key), list) for key in ("images", "annotations")):
            raise InputError(f"--boxes {path}: an object needs the lists images and annotations; {HOW}")
        named = _listed(data["images"])
        records = data["annotations"]
    else:
        records = data
        named = _beside(path, found)
    if not isinstance(records, list) or not all(isinstance(r, Mapping) and "bbox" in r for r in records):
        raise InputError(f"--boxes {path} is no list of records with bbox and image_id; {HOW}")
    found.source = path
    for name in {*named.values()}:
        found.by_name.setdefault(name, [])
    found.ids |= {name: key for key, name in named.items()}
    left: Counter[str] = Counter()
    for row, record in enumerate(records):
        if record.get("category_id", category) != category:
            left[f"of other categories than {category}"] += 1
            continue
        score = record.get("score", 1.0)
        known = number(score)
        if known is not None and known < least:
            left[f"of a score below {least:g}"] += 1
            continue
        key = _key(record.get("image_id"))
        if named and key not in named:
            left["on images that the file does not list"] += 1
            continue
        name = named[key] if named else str(record.get("image_id"))
        if not named:
            # COCO writes image 139 to 000000000139.jpg.
            name = _plain(name)
            found.ids.setdefault(name, record.get("image_id"))
        found.by_name.setdefault(name, []).append(Request(f"{path}, record {row}", record["bbox"], score))
    found.notes += [f"{path}: left out, {why}: {count}" for why, count in left.items()]


def _beside(path: Path, found: Requests) -> dict[Any, str]:
    """Image names by id, from the annotations that results are of: ``val.json`` beside ``val_detections.json``."""
    for other in sorted(path.parent.glob("*.json")):
        if path.stem.startswith(f"{other.stem}_"):
            data = read_json(other, "annotation file")
            if isinstance(data, dict) and isinstance(data.get("images"), list):
                found.notes.append(f"{path}: its images are those of {other.name}")
                return _listed(data["images"])
    return {}


def _listed(images: Sequence[Any]) -> dict[Any, str]:
    rows = [i for i in images if isinstance(i, Mapping) and isinstance(i.get("file_name"), str)]
    return {_key(row.get("id")): Path(row["file_name"]).name for row in rows}


def _key(value: Any) -> Any:
    whole = integer(value)
    return str(value) if whole is None else whole


def _names(image: Path) -> list[str]:
    """Under which a file may name an image: with ending, or without, as a number without leading zeros."""
    return list(dict.fromkeys([image.name, _plain(image.stem)]))


def _plain(stem: str) -> str:
    return str(int(stem)) if stem.isascii() and stem.isdigit() else stem


def _stem_id(stem: str) -> Any:
    return int(stem) if stem.isascii() and stem.isdigit() and len(stem) < math.log10(2**63) else stem
