"""The numbers of a data set: how many persons, how large, and which joints of them are labelled."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich.table import Table

from poserep.data.build import boxes_of, files_of, root_of, skeleton_of
from poserep.data.check.document import Document
from poserep.data.check.loading import labelled, load, splits
from poserep.data.fields import number
from poserep.errors import InputError
from poserep.instances import InstanceTable
from poserep.skeleton import Skeleton

QUANTILES = (0, 5, 25, 50, 75, 95, 100)
# COCO's bounds of areas, square px; CrowdPose's of the crowd index, as its evaluation has them.
AREAS = (32.0**2, 96.0**2)
CROWDS = (0.2, 0.8)

Stats = dict[str, Any]


def stats(cfg: Any) -> dict[str, Stats]:
    """The numbers of every split, and of the detections, by name.

    Raises:
        InputError: If a file cannot be read or persons are invalid.
    """
    skeleton, root = skeleton_of(cfg), root_of(cfg)
    found = {}
    for split in splits(cfg):
        files = files_of(cfg, root, split)
        kinds = ["gt"] if labelled(cfg) else []
        kinds += ["det"] if split == "val" and "det" in boxes_of(cfg) else []
        document = Document.read(files["annotations"], root / cfg.data[split].images)
        for boxes in kinds:
            loaded = load(cfg, split, skeleton, root, boxes)
            if not loaded.instances:
                raise InputError(loaded.refusal)
            table = InstanceTable.of(loaded.instances)
            name = split if boxes == "gt" else "detections"
            found[name] = {"read": loaded.line(boxes), **describe(table, skeleton, document)}
    return found


def describe(table: InstanceTable, skeleton: Skeleton, document: Document | None = None) -> Stats:
    """The numbers of some persons. What does not apply, as areas where none is annotated, is left out.

    Args:
        table: The persons.
        skeleton: Names their joints.
        document: Their file, for crowd indices.
    """
    images, per_image = np.unique(table.image_id, return_counts=True)
    found: Stats = {"persons": len(table), "images": len(images), "persons per image": quantiles(per_image)}
    width, height = table.box[:, 2], table.box[:, 3]
    found["box width (px)"], found["box height (px)"] = quantiles(width), quantiles(height)
    found["box width / height"] = quantiles(width / height)
    if (table.score != 1).any():
        found["box score"] = quantiles(table.score)
    labels = table.weight > 0
    if labels.any():
        found["labelled joints per person"] = quantiles(labels.sum(1))
        counts = labels.sum(0)
        found["joints"] = {
            name: {"count": int(n), "share": float(n / len(table))}
            for name, n in zip(skeleton.names, counts, strict=True)
        }
    if (table.area > 0).any():
        found["area (px²)"] = quantiles(table.area)
        found["area"] = parts(("small", "medium", "large"), table.area, AREAS)
    if (table.head > 0).any():
        found["head length (px)"] = quantiles(table.head[table.head > 0])
        found["persons without head length"] = int((table.head <= 0).sum())
    crowd = crowds(document, table.image_id) if document else None
    if crowd is not None:
        found["crowd index"] = quantiles(crowd)
        found["crowd"] = parts(("easy", "medium", "hard"), crowd, CROWDS)
        per_image = crowd[np.unique(table.image_id, return_index=True)[1]]
        found["crowd of images"] = parts(("easy", "medium", "hard"), per_image, CROWDS)
    return found


def quantiles(values: np.ndarray) -> dict[str, float]:
    """Mean and `QUANTILES` of numbers (N,)."""
    at = np.percentile(values.astype(np.float64), QUANTILES)
    return {"mean": float(values.mean())} | {f"{q}%": float(v) for q, v in zip(QUANTILES, at, strict=True)}


def parts(names: Sequence[str], values: np.ndarray, bounds: tuple[float, float]) -> dict[str, dict[str, float]]:
    """How many of the values (N,) lie below, between and from two bounds on."""
    place = np.digitize(values, bounds)
    counts = [int((place == i).sum()) for i in range(len(names))]
    return {n: {"count": c, "share": c / len(values)} for n, c in zip(names, counts, strict=True)}


def crowds(document: Document, image_ids: np.ndarray) -> np.ndarray | None:
    """(N,) crowd index of each person's image, or None if some image has none."""
    known = {key: number(record.get("crowdIndex")) for key, record in document.pictures().items()}
    found = [known.get(int(i)) for i in image_ids]
    return None if any(v is None for v in found) else np.array(found, np.float64)


def tables(found: Mapping[str, Stats]) -> list[Table]:
    """One table of distributions for every split, and one of joints and one of parts for all splits together."""
    made = []
    for name, values in found.items():
        table = Table(title=f"{name}: {values['persons']} persons on {values['images']} images", title_justify="left")
        table.add_column("")
        for column in ("mean", *(f"{q}%" for q in QUANTILES)):
            table.add_column(column, justify="right")
        for row, numbers in values.items():
            if isinstance(numbers, dict) and "mean" in numbers:
                table.add_row(row, *(f"{v:.4g}" for v in numbers.values()))
        made.append(table)
    for key, title in (
        ("joints", "labelled joints"),
        ("area", "areas"),
        ("crowd", "crowd index, persons"),
        ("crowd of images", "crowd index, images"),
    ):
        having = {name: values[key] for name, values in found.items() if key in values}
        if having:
            made.append(_shares(title, having))
    return made


def _shares(title: str, columns: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for name in columns:
        table.add_column(name, justify="right")
        table.add_column("share", justify="right")
    for row in next(iter(columns.values())):
        cells = []
        for values in columns.values():
            count, share = values[row].values()
            cells += [f"{count}", f"{100 * share:.1f}%"]
        table.add_row(row, *cells)
    return table
