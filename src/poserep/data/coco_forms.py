"""COCO's format as different programs write it, brought to the one form that loaders, checks and metrics read."""

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
    """One of several files that are read as one: its annotations begin at ``row``, their ids grew by ``offset``."""

    row: int
    path: Path
    offset: int


def bring_to_form(content: Mapping[str, Any], path: Path, form: CocoForm) -> None:
    """Change the content of an annotation file in place: whole numbers for ids, joined fields, boxes of joints.

    Polygons are dropped, as nothing needs them. A field of ``form.fields`` that no annotation has is an `InputError`.
    """
    for key in ("images", "annotations", "categories"):
        number_ids(content.get(key) if isinstance(content.get(key), list) else ())
    records = list(_records(content))
    for record in records:
        record.pop("segmentation", None)
    if form.fields:
        _join_fields(records, path, form.fields)
    if form.boxes == "joints":
        for record in records:
            _take_box_of_joints(record)


def number_ids(records: Iterable[Any] | None) -> None:
    """Make numbers of ids that are written as texts, as some programs write them."""
    for record in records or ():
        if isinstance(record, dict):
            for key in ID_FIELDS:
                value = record.get(key)
                if isinstance(value, str) and value.isascii() and value.isdigit():
                    record[key] = int(value)


def fields_of_joints(annotations: Iterable[Any]) -> list[str]:
    """Return the names of the fields in which annotations hold joints, in their order."""
    names = {key: None for a in annotations if isinstance(a, dict) for key, value in a.items() if _holds(key, value)}
    return list(names)


def merge(files: Sequence[tuple[Path, Mapping[str, Any]]]) -> tuple[dict[str, Any], list[Source]]:
    """Return the contents of several files as that of one, and where the annotations of each begin.

    An image that two files list with the same id and name is one; ids that two files use for different things are
    numbered anew in the later file. Categories are one if name and keypoints are equal.
    """
    whole: dict[str, Any] = {"images": [], "annotations": [], "categories": []}
    sources: list[Source] = []
    for path, content in files:
        sources.append(_append(whole, path, content))
    return whole, sources


def _append(whole: dict[str, Any], path: Path, content: Mapping[str, Any]) -> Source:
    listed = {r["id"]: r.get("file_name") for r in whole["images"] if isinstance(r, dict) and "id" in r}
    own = [r for r in content["images"] if isinstance(r, dict)]
    clash = any(listed.get(r.get("id"), r.get("file_name")) != r.get("file_name") for r in own)
    images = _beyond(listed) if clash else 0
    used = {as_integer(r.get("id")) for r in _records(whole)}
    annotations = _beyond(used) if used.intersection(as_integer(r.get("id")) for r in _records(content)) else 0
    categories = {r.get("id"): _merged_category(r, whole["categories"]) for r in content["categories"] if r}
    row = len(whole["annotations"])
    for record in own:
        if not clash and record.get("id") in listed:
            continue
        whole["images"].append(_moved(record, {"id": images}))
    for record in content.get("annotations") or ():
        if isinstance(record, dict):
            record = _moved(record, {"id": annotations, "image_id": images})
            record["category_id"] = categories.get(record.get("category_id"), record.get("category_id"))
        whole["annotations"].append(record)
    return Source(row, path, annotations)


def _merged_category(category: Mapping[str, Any], known: list[Any]) -> Any:
    """Return the id of the same category among the known ones, to which it is added if there is none."""
    for other in known:
        if all(other.get(key) == category.get(key) for key in ("name", "keypoints")):
            return other.get("id")
    ids = {other.get("id") for other in known}
    own = category.get("id")
    known.append({**category, "id": _beyond(ids) + 1 if own in ids else own})
    return known[-1]["id"]


def _beyond(ids: Iterable[Any]) -> int:
    return max((key for key in map(as_integer, ids) if key is not None), default=0)


def _moved(record: dict[str, Any], offsets: Mapping[str, int]) -> dict[str, Any]:
    return {
        **record,
        **{
            key: number + offset
            for key, offset in offsets.items()
            if offset and (number := as_integer(record.get(key))) is not None
        },
    }


def _records(content: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    annotations = content.get("annotations")
    yield from (r for r in (annotations if isinstance(annotations, list) else ()) if isinstance(r, dict))


def _holds(key: str, value: Any) -> bool:
    return isinstance(value, list) and len(value) > 2 and len(value) % 3 == 0 and bool(JOINTS.fullmatch(key))


def _join_fields(records: Sequence[dict[str, Any]], path: Path, fields: Sequence[str]) -> None:
    """Write the joints of all fields, in this order, into ``keypoints``, and count those that are labelled."""
    lengths = {field: next((len(r[field]) for r in records if _holds(field, r.get(field))), 0) for field in fields}
    if absent := [field for field, length in lengths.items() if not length]:
        there = ", ".join(fields_of_joints(records)) or "none"
        raise InputError(f"data.fields names {absent[0]}, which no annotation of {path} has; fields of joints: {there}")
    for record in records:
        given = (record.get(field) or [0] * length for field, length in lengths.items())
        joined = [number for field in given if isinstance(field, list) for number in field]
        numbers = as_keypoints(joined, sum(lengths.values()) // 3)
        record["keypoints"] = joined
        record["num_keypoints"] = 0 if numbers is None else int((numbers[2::3] > 0).sum())


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
