"""COCO's format as different programs write it, brought to the one form that loaders, checks and metrics read."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from poserep.data.json_fields import as_integer, as_keypoints
from poserep.errors import InputError
from poserep.instances import CocoForm

ID_FIELDS = ("id", "image_id", "category_id")
# Names of fields that hold joints: x, y, visibility of each in turn.
JOINTS = re.compile(r"\w*(kpts|keypoints)")
# Share of the longer side by which a box of joints is larger than their extent, on each side.
BEYOND_JOINTS = 0.125


class Source(NamedTuple):
    """One of several files that are read as one: its annotations begin at ``row``; ``ids`` are its own of new ones."""

    row: int
    path: Path
    ids: Mapping[int, Any]


def bring_to_form(content: Mapping[str, Any], path: Path, form: CocoForm) -> None:
    """Change the content of an annotation file in place: whole numbers for ids, joined fields, boxes of joints.

    Segmentations are dropped but for those that ``form.masks`` keeps. A field of ``form.fields`` that no annotation has
    is an `InputError`.
    """
    for key in ("images", "annotations", "categories"):
        number_ids(content.get(key) if isinstance(content.get(key), list) else ())
    records = list(_records(content))
    for record in records:
        for field in form.fields or ("keypoints",):
            given = record.get(field)
            if isinstance(given, list) and given and all(isinstance(joint, list) for joint in given):
                record[field] = [number for joint in given for number in joint]
    if form.fields:
        _join_fields(records, path, form.fields)
    for record in records:
        if not (form.masks and _is_without_labels(record)):
            record.pop("segmentation", None)
    if form.boxes == "joints":
        for record in records:
            _take_box_of_joints(record)


def number_ids(records: Iterable[Any] | None, fields: Sequence[str] = ID_FIELDS) -> None:
    """Make numbers of ids that are written as texts, as some programs write them."""
    for record in records or ():
        if isinstance(record, dict):
            for key in fields:
                value = record.get(key)
                if isinstance(value, str) and value.isascii() and value.isdigit():
                    record[key] = int(value)


def fields_of_joints(annotations: Iterable[Any]) -> list[str]:
    """Return the names of the fields in which annotations hold joints, in their order."""
    records = [a for a in annotations if isinstance(a, dict)]
    names = dict.fromkeys(key for record in records for key in record)
    return [key for key in names if JOINTS.fullmatch(key) and any(_holds(record.get(key)) for record in records)]


def merge(files: Sequence[tuple[Path, Mapping[str, Any]]]) -> tuple[dict[str, Any], list[Source], int]:
    """Return the contents of several files as that of one, where each begins, and how many annotations repeat others.

    Images of the same name are one, as are categories of the same name and keypoints, and annotations of the same
    image, category, box and keypoints in different files, of which the first is kept. Ids that two files use for
    different things are numbered anew in the later file.
    """
    whole: dict[str, list[Any]] = {"images": [], "annotations": [], "categories": []}
    names: dict[Any, int] = {}
    used: dict[str, set[int]] = {key: set() for key in whole}
    seen: set[str] = set()
    sources, repeated = [], 0
    for path, content in files:
        categories = _merge_categories(whole["categories"], used["categories"], content["categories"])
        images: dict[int, int] = {}
        for record in content["images"]:
            key, name = _id_of(record), record.get("file_name") if isinstance(record, dict) else None
            if key is None or not isinstance(name, str):
                whole["images"].append(record)
                continue
            images.setdefault(key, names[name] if name in names else _free(key, used["images"]))
            if names.setdefault(name, images[key]) == images[key] and images[key] not in used["images"]:
                used["images"].add(images[key])
                whole["images"].append({**record, "id": images[key]})
        row, ids, own = len(whole["annotations"]), {}, set()
        for record in content.get("annotations") or ():
            key = _id_of(record)
            if not isinstance(record, dict):
                whole["annotations"].append(record)
                continue
            moved = {"image_id": _moved(record.get("image_id"), images)}
            moved["category_id"] = _moved(record.get("category_id"), categories)
            mark = json.dumps([moved, record.get("bbox"), record.get("keypoints")], sort_keys=True)
            if mark in seen:
                repeated += 1
                continue
            own.add(mark)
            if key is not None:
                moved["id"] = _free(key, used["annotations"])
                used["annotations"].add(moved["id"])
                ids[moved["id"]] = key
            whole["annotations"].append({**record, **{k: v for k, v in moved.items() if v is not None}})
        # Those that one file repeats are its own affair.
        seen |= own
        sources.append(Source(row, path, ids))
    return whole, sources, repeated


def _id_of(record: Any) -> int | None:
    return as_integer(record.get("id")) if isinstance(record, dict) else None


def _free(key: int, used: set[int]) -> int:
    """Return an id that is not used, the given one if possible."""
    return key if key not in used else max(used) + 1


def _moved(given: Any, ids: Mapping[int, int]) -> Any:
    key = as_integer(given)
    return given if key is None else ids.get(key, key)


def _merge_categories(known: list[Any], used: set[int], added: Sequence[Any]) -> dict[int, int]:
    """Add categories that are not known yet; return the ids in the whole by those in the file."""
    ids = {}
    for record in added:
        key = _id_of(record)
        if key is None:
            continue
        same = (o for o in known if all(o.get(field) == record.get(field) for field in ("name", "keypoints")))
        if (other := next(same, None)) is None:
            other = {**record, "id": _free(key, used)}
            known.append(other)
            used.add(other["id"])
        ids[key] = other["id"]
    return ids


def _records(content: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    annotations = content.get("annotations")
    yield from (r for r in (annotations if isinstance(annotations, list) else ()) if isinstance(r, dict))


def _holds(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 2 and len(value) % 3 == 0


def _join_fields(records: Sequence[dict[str, Any]], path: Path, fields: Sequence[str]) -> None:
    """Write the joints of all fields, in this order, into ``keypoints``, and count those that are labelled."""
    lengths = {
        field: next((len(r[field]) for r in records if JOINTS.fullmatch(field) and _holds(r.get(field))), 0)
        for field in fields
    }
    if absent := [field for field, length in lengths.items() if not length]:
        there = ", ".join(fields_of_joints(records)) or "none"
        raise InputError(f"data.fields names {absent[0]}, which no annotation of {path} has; fields of joints: {there}")
    for record in records:
        given = (record.get(field) or [0] * length for field, length in lengths.items())
        joined = [number for field in given if isinstance(field, list) for number in field]
        numbers = as_keypoints(joined, sum(lengths.values()) // 3)
        record["keypoints"] = joined
        record["num_keypoints"] = 0 if numbers is None else int((numbers[2::3] > 0).sum())


def _is_without_labels(record: Mapping[str, Any]) -> bool:
    """Tell whether a record is a crowd, or a person without labelled keypoints."""
    given = record.get("keypoints")
    labelled = isinstance(given, list) and any(given[2::3])
    return bool(record.get("iscrowd")) or record.get("num_keypoints") == 0 or not labelled


def _take_box_of_joints(record: dict[str, Any]) -> None:
    """Replace the box of a person, no crowd, by that of its labelled joints; without any it has no extent."""
    given = record.get("keypoints") or []
    numbers = as_keypoints(given, len(given) // 3) if isinstance(given, list) else None
    if numbers is None or record.get("iscrowd"):
        return
    joints = numbers.reshape(-1, 3)
    xy = joints[joints[:, 2] > 0, :2]
    if not len(xy):
        record.setdefault("bbox", [0.0] * 4)
        return
    low, high = xy.min(0), xy.max(0)
    margin = BEYOND_JOINTS * (high - low).max()
    record["bbox"] = np.concatenate([low - margin, high - low + 2 * margin]).tolist()
