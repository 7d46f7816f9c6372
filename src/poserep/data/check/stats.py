"""The numbers of a data set: how many persons, how large, and which joints of them are labelled."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from poserep.data.coco_file import CocoFile
from poserep.data.from_config import boxes_of, coco_file_of, is_labelled, load_split, root_of, skeleton_of, splits_of
from poserep.data.json_fields import as_number
from poserep.instances import InstanceTable
from poserep.sheet import Sheet, texts
from poserep.sheet import numbers as numeric
from poserep.skeleton import Skeleton

QUANTILES = (0, 5, 25, 50, 75, 95, 100)
# Bounds between parts: COCO's of areas, square px; CrowdPose's of the crowd index, as in its evaluation.
AREAS, CROWDS = (32.0**2, 96.0**2), (0.2, 0.8)
# Titles of the tables that count parts, by the key of their numbers.
COUNTED_PARTS = {
    "joints": "labelled joints",
    "area": "areas",
    "crowd": "crowd index, persons",
    "crowd of images": "crowd index, images",
}

Stats = dict[str, Any]


def stats(cfg: Any) -> dict[str, Stats]:
    """Return the numbers of every split, and of the detections, by name."""
    skeleton, root = skeleton_of(cfg), root_of(cfg)
    numbers = {}
    for split in splits_of(cfg):
        kinds = ["gt"] if is_labelled(cfg) else []
        kinds += ["det"] if split == "val" and "det" in boxes_of(cfg) else []
        file = coco_file_of(cfg, root, split)
        for boxes in kinds:
            loaded = load_split(cfg, split, skeleton, root, boxes)
            table = InstanceTable.of(loaded.required())
            name = split if boxes == "gt" else "detections"
            numbers[name] = {"read": loaded.line(boxes), **describe_persons(table, skeleton, file)}
    return numbers


def describe_persons(table: InstanceTable, skeleton: Skeleton, file: CocoFile | None = None) -> Stats:
    """Return the numbers of persons. What does not apply, such as areas where none is annotated, is left out."""
    images, per_image = np.unique(table.image_id, return_counts=True)
    width, height = table.box[:, 2], table.box[:, 3]
    numbers: Stats = {
        "persons": len(table),
        "images": len(images),
        "persons per image": quantiles(per_image),
        "box width (px)": quantiles(width),
        "box height (px)": quantiles(height),
        "box width / height": quantiles(width / height),
    }
    if (table.score != 1).any():
        numbers["box score"] = quantiles(table.score)
    labels = table.weight > 0
    if labels.any():
        numbers["labelled joints per person"] = quantiles(labels.sum(1))
        numbers["joints"] = {
            name: {"count": int(n), "share": float(n / len(table))}
            for name, n in zip(skeleton.names, labels.sum(0), strict=True)
        }
    if (table.area > 0).any():
        numbers["area (px²)"] = quantiles(table.area)
        numbers["area"] = count_parts(("small", "medium", "large"), table.area, AREAS)
    if (table.head > 0).any():
        numbers["head length (px)"] = quantiles(table.head[table.head > 0])
        numbers["persons without head length"] = int((table.head <= 0).sum())
    known = {key: as_number(record.get("crowdIndex")) for key, record in (file.images_by_id if file else {}).items()}
    indices = [known.get(int(i)) for i in table.image_id]
    if None not in indices:
        crowd = np.array(indices, np.float64)
        numbers["crowd index"] = quantiles(crowd)
        numbers["crowd"] = count_parts(("easy", "medium", "hard"), crowd, CROWDS)
        of_images = crowd[np.unique(table.image_id, return_index=True)[1]]
        numbers["crowd of images"] = count_parts(("easy", "medium", "hard"), of_images, CROWDS)
    return numbers


def quantiles(values: np.ndarray) -> dict[str, float]:
    """Return mean and `QUANTILES` of numbers (N,)."""
    at = np.percentile(values.astype(np.float64), QUANTILES).tolist()
    return {"mean": float(values.mean())} | dict(zip((f"{q}%" for q in QUANTILES), at, strict=True))


def count_parts(names: Sequence[str], values: np.ndarray, bounds: tuple[float, float]) -> dict[str, dict[str, float]]:
    """Return how many of the values (N,) lie below, between and from two bounds on."""
    counts = np.bincount(np.digitize(values, bounds), minlength=len(names)).tolist()
    return {n: {"count": c, "share": c / len(values)} for n, c in zip(names, counts, strict=True)}


def sheets(numbers: Mapping[str, Stats]) -> Iterator[Sheet]:
    """Yield a table of distributions for every split, and one of joints and of each kind of parts for all splits."""
    for name, values in numbers.items():
        spreads = {row: spread for row, spread in values.items() if isinstance(spread, dict) and "mean" in spread}
        rows = [[row, *(f"{v:.4g}" for v in spread.values())] for row, spread in spreads.items()]
        title = f"{name}: {values['persons']} persons on {values['images']} images"
        heads = (*texts(""), *numeric("mean", *(f"{q}%" for q in QUANTILES)))
        yield Sheet(title, heads, rows, notes=[values["read"]])
    for key, title in COUNTED_PARTS.items():
        if columns := {name: values[key] for name, values in numbers.items() if key in values}:
            heads = (*texts(""), *(column for name in columns for column in numeric(name, "share")))
            rows = [
                [row, *(t for c in columns.values() for t in (f"{c[row]['count']}", f"{100 * c[row]['share']:.1f}%"))]
                for row in next(iter(columns.values()))
            ]
            yield Sheet(title, heads, rows)
