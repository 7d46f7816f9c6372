"""The ``--boxes`` of ``poserep predict``: boxes from the command line, from files of detections, or none."""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from poserep.data.coco_file import CocoFile
from poserep.data.json_fields import FURTHEST, abridged, as_box, as_integer, as_number, read_json
from poserep.data.loaders.coco import SMALLEST_SIDE
from poserep.errors import InputError

HOW = "give x,y,width,height in image px, as in 40,20,120,300, or a JSON file of detections"


@dataclass(frozen=True)
class BoxRequest:
    """A box as it was given, which should be [x, y, width, height] in image px; ``where`` names it in messages."""

    where: str
    box: Any
    score: Any = 1.0

    def checked(self, width: int, height: int) -> tuple[np.ndarray, float]:
        """Return the box (4,) and its score for an image of ``width`` x ``height`` px.

        What is no box, has no area, or lies outside the image raises an `InputError`.
        """
        box, score, given = as_box({"bbox": self.box}), as_number(self.score), f"{self.where}: {abridged(self.box)}"
        if box is None:
            raise InputError(
                f"{given} is no box of four finite numbers x, y, width, height up to {FURTHEST:g}; mend or leave out"
            )
        x, y, w, h = box
        if min(w, h) < SMALLEST_SIDE:
            raise InputError(f"{given} has no area (width {w:g}, height {h:g}); leave it out")
        if x >= width or y >= height or x + w <= 0 or y + h <= 0:
            raise InputError(
                f"{given} lies outside the image of {width}x{height} px (width x height); boxes are x, y, width, "
                "height in its px"
            )
        if score is None:
            raise InputError(f"{self.where}: its score {abridged(self.score)} is no finite number; mend or leave out")
        return np.array(box), score


@dataclass
class BoxRequests:
    """Boxes on every image, and boxes by the file name of their image, or by that name without its ending.

    A frame of a video is called ``<video>/<frame>``, the video without its ending, and by its number alone if no other
    file is looked at.

    ``ids`` are image ids of the file by the same names, ``notes`` messages about what was left out and why, ``source``
    is the last file.
    """

    everywhere: list[BoxRequest] = field(default_factory=list)
    by_name: dict[str, list[BoxRequest]] = field(default_factory=lambda: defaultdict(list))
    ids: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    source: Path | None = None

    def on(self, image: Path, frame: int | None = None, alone: bool = False) -> list[BoxRequest]:
        """Return the boxes on an image, or on a frame of a video."""
        return self.everywhere + [box for name in _names(image, frame, alone) for box in self.by_name.get(name, ())]

    def image_id(self, image: Path, frame: int | None = None, alone: bool = False) -> Any:
        """Return an image's id in the file, else its name without ending, as a number if it is one.

        A frame that the file does not name has its number for id if the video is ``alone``, else its name.
        """
        names = _names(image, frame, alone)
        plain: Any = image.stem
        if frame is not None:
            plain = frame if alone else names[0]
        elif plain.isascii() and plain.isdigit() and len(plain) < math.log10(2**63):
            plain = int(plain)
        return next((self.ids[name] for name in names if name in self.ids), plain)


def read_boxes(words: Sequence[str], category: int = 1, least: float = 0.0) -> BoxRequests:
    """Read the boxes that the command line gives.

    Files hold COCO results, a list of records with ``bbox``, ``image_id`` and optionally ``score`` and ``category_id``;
    their images are listed by the annotation file beside them (``val.json`` beside ``val_detections.json``), else ids
    are file names without ending. Or they hold an object with ``images`` (``id``, ``file_name``) and such records as
    ``annotations``.

    ``words`` are such files, or boxes x,y,width,height for every image; anything else raises an `InputError`. Records
    of another ``category`` or of a score below ``least`` are left out.
    """
    requests = BoxRequests()
    for word in words:
        if word.endswith(".json"):
            _read_file(Path(word), category, least, requests)
            continue
        try:
            x, y, width, height = (float(part) for part in word.split(","))
        except ValueError:
            raise InputError(f"--boxes {word} is neither a box nor a file whose name ends in .json; {HOW}") from None
        requests.everywhere.append(BoxRequest(f"--boxes {word}", [x, y, width, height]))
    return requests


def _read_file(path: Path, category: int, least: float, requests: BoxRequests) -> None:
    if not path.is_file():
        raise InputError(f"--boxes {path} does not exist; {HOW}")
    records = read_json(path, "detection file")
    if isinstance(records, dict):
        file = CocoFile.from_json(path, records, ("images", "annotations"))
        names, records = _names_by_id(file.images), file.annotations
    else:
        names = _names_beside(path, requests)
    if not isinstance(records, list) or not all(isinstance(r, Mapping) and "bbox" in r for r in records):
        raise InputError(f"--boxes {path} is no list of records with bbox and image_id; {HOW}")
    requests.source = path
    requests.ids |= {name: key for key, name in names.items()}
    left_out: Counter[str] = Counter()
    for row, record in enumerate(records):
        score, image_id = record.get("score", 1.0), record.get("image_id")
        number = as_number(score)
        if record.get("category_id", category) != category:
            left_out[f"of other categories than {category}"] += 1
        elif number is not None and number < least:
            left_out[f"of a score below {least:g}"] += 1
        elif names and _key(image_id) not in names:
            left_out["on images that the file does not list"] += 1
        else:
            # COCO writes image 139 to 000000000139.jpg.
            name = names[_key(image_id)] if names else _without_zeros(str(image_id))
            requests.ids.setdefault(name, image_id)
            requests.by_name[name].append(BoxRequest(f"{path}, record {row}", record["bbox"], score))
    requests.notes += [f"{path}: left out, {why}: {count}" for why, count in left_out.items()]


def _names_beside(path: Path, requests: BoxRequests) -> dict[Any, str]:
    for other in sorted(path.parent.glob("*.json")):
        if path.stem.startswith(f"{other.stem}_"):
            data = read_json(other, "annotation file")
            if isinstance(data, dict) and isinstance(data.get("images"), list):
                requests.notes.append(f"{path}: its images are those of {other.name}")
                return _names_by_id(data["images"])
    return {}


def _names_by_id(images: Sequence[Any]) -> dict[Any, str]:
    rows = [i for i in images if isinstance(i, Mapping) and isinstance(i.get("file_name"), str)]
    return {_key(row.get("id")): Path(row["file_name"]).name for row in rows}


def _key(value: Any) -> Any:
    whole = as_integer(value)
    return str(value) if whole is None else whole


def _names(image: Path, frame: int | None = None, alone: bool = False) -> list[str]:
    if frame is not None:
        return [f"{image.stem}/{frame:06d}", f"{image.stem}/{frame}", *([str(frame)] if alone else [])]
    # With its ending, or without it and leading zeros.
    return list(dict.fromkeys([image.name, _without_zeros(image.stem)]))


def _without_zeros(stem: str) -> str:
    return str(int(stem)) if stem.isascii() and stem.isdigit() else stem
