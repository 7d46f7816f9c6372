"""Persons as arrays that rules can compare: from a COCO-format file as it stands, or as a loader returns them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from poserep.data.check.document import Document
from poserep.data.check.findings import Finding, Rule
from poserep.data.check.headers import Header
from poserep.data.fields import FURTHEST, integer, number, numbers, shown
from poserep.instances import Instance

RECORD = Rule(
    "annotation without id, image or category", "give each a whole id, an image_id and a category_id", left_out=True
)
SHARED_ID = Rule("annotation id that repeats", "number the annotations anew", left_out=True)
NO_IMAGE = Rule(
    "annotation of an image that is not listed", "list the image, or take the annotation out", left_out=True
)
KEYPOINTS = Rule(
    "keypoints that are not three finite numbers each",
    "write x, y, visibility for every joint; 0, 0, 0 if unlabelled",
    left_out=True,
)
BOX = Rule("box that is not four finite numbers", "write bbox as [x, y, width, height]", left_out=True)

Where = tuple[int, str, Any]


@dataclass(frozen=True)
class Persons:
    """N persons with K joints.

    Attributes:
        where: (N,) How to find each in its file.
        box: (N, 4) x, y, width, height, image px.
        keypoints: (N, K, 3) x, y in image px, visibility.
        area: (N,) as annotated, square px; NaN if not.
        counted: (N,) what the file says is the number of labelled joints; NaN if nothing.
        size: (N, 2) width and height of the image, px; NaN if unknown.
    """

    where: list[str]
    box: np.ndarray
    keypoints: np.ndarray
    area: np.ndarray
    counted: np.ndarray
    size: np.ndarray

    @property
    def labelled(self) -> np.ndarray:
        """(N, K) bool."""
        return self.keypoints[..., 2] > 0

    @classmethod
    def of_records(cls, document: Document, people: list[dict[str, Any]], joints: int) -> Self:
        """Of annotations whose fields are sound, see `sound`."""
        pictures = document.pictures()
        images = [pictures[int(a["image_id"])] for a in people]
        unknown = float("nan")
        sizes = [(number(i.get("width")) or unknown, number(i.get("height")) or unknown) for i in images]
        return cls(
            [f"annotation {a['id']} on {i['file_name']}" for a, i in zip(people, images, strict=True)],
            np.array([a["bbox"] for a in people], np.float64).reshape(-1, 4),
            np.array([a["keypoints"] for a in people], np.float64).reshape(-1, joints, 3),
            np.array([_value(a, "area") for a in people]),
            np.array([_value(a, "num_keypoints") for a in people]),
            np.array(sizes, np.float64).reshape(-1, 2),
        )

    @classmethod
    def of_instances(cls, instances: list[Instance], found: Mapping[Path, Header], joints: int) -> Self:
        """Of what a loader returned; sizes are those of the files."""
        nothing = np.full(len(instances), np.nan)
        known = [found.get(i.image, Header()) for i in instances]
        size = np.array([(h.width, h.height) for h in known], np.float64).reshape(-1, 2)
        points = [np.concatenate([i.keypoints, 2 * i.weight[:, None]], 1) for i in instances]
        return cls(
            [f"person {i.id} on {i.image.name}" for i in instances],
            np.array([i.box for i in instances], np.float64).reshape(-1, 4),
            np.array(points, np.float64).reshape(-1, joints, 3),
            nothing,
            nothing,
            np.where(size > 0, size, np.nan),
        )


def identities(document: Document) -> Iterator[Finding]:
    """Annotations of any category whose ids are missing, repeat, or name no image."""
    images, known = document.pictures(), set()
    for row, record in enumerate(document.annotations):
        if not isinstance(record, dict) or None in (_id(record), integer(record.get("image_id"))):
            yield Finding(RECORD, f"annotation in row {row}", shown(record, 120))
            continue
        if "category_id" not in record:
            yield Finding(RECORD, f"annotation {record['id']}", shown(record, 120))
        if _id(record) in known:
            yield Finding(SHARED_ID, f"annotation {record['id']}", f"row {row}")
        known.add(_id(record))
        if integer(record["image_id"]) not in images:
            yield Finding(NO_IMAGE, f"annotation {record['id']}", f"image {record['image_id']}")


def people(document: Document, category: Any) -> list[dict[str, Any]]:
    """The annotations of a category that are sound as records and no crowds."""
    images = document.pictures()
    return [
        a
        for a in document.annotations
        if isinstance(a, dict)
        and _id(a) is not None
        and integer(a.get("image_id")) in images
        and a.get("category_id") == category
        and not a.get("iscrowd")
    ]


def sound(records: list[dict[str, Any]], joints: int) -> tuple[list[dict[str, Any]], list[Finding]]:
    """Those of the annotations that have sane numbers for keypoints and box, and what is wrong with the others."""
    kept, findings = [], []
    for record in records:
        where = f"annotation {record['id']}"
        points, box = numbers(record.get("keypoints"), FURTHEST), numbers(record.get("bbox"), FURTHEST)
        if points is None or len(points) != 3 * joints:
            given = record.get("keypoints")
            amount = f"{len(given)} of {3 * joints} numbers, " if isinstance(given, list) else ""
            findings.append(Finding(KEYPOINTS, where, amount + shown(given)))
        elif (points[2::3] > 0).any() and (box is None or len(box) != 4):
            findings.append(Finding(BOX, where, shown(record.get("bbox"))))
        elif box is not None and len(box) == 4:
            kept.append(record)
    return kept, findings


def _id(record: Mapping[str, Any]) -> int | None:
    return integer(record.get("id"))


def _value(record: Mapping[str, Any], key: str) -> float:
    value = number(record.get(key), FURTHEST**2)
    return float("nan") if value is None else value
