"""Masks of annotations as run-length codes (RLE): checked, joined to one region of an image, and decoded."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from poserep.data.json_fields import FURTHEST, Invalid, abridged, as_box, as_numbers

REASON = "with a mask that cannot be read"
REMEDY = "write polygons [[x, y, ...]] or counts of runs that fill the image"


def rle_of(record: Mapping[str, Any], width: int, height: int) -> tuple[dict[str, Any] | None, bool]:
    """Return the mask of an annotation on an image of a size (px), and whether it is its box for want of a mask.

    ``segmentation`` may be polygons, one or several lists of x, y (image px), or an RLE by columns, whose counts are
    numbers or COCO's compressed text. None is returned where the box has no extent either; what is no mask raises
    `Invalid`.
    """
    given = record.get("segmentation")
    if given is None or given == []:
        x, y, w, h = as_box(record) or (0.0,) * 4
        corners = [x, y, x + w, y, x + w, y + h, x, y + h]
        return (_filled([corners], width, height) if min(w, h) > 0 else None), True
    if isinstance(given, list):
        parts = given if isinstance(given[0], list) else [given]
        for part in parts:
            numbers = as_numbers(part, FURTHEST)
            if numbers is None or len(numbers) < 6 or len(numbers) % 2:
                message = f"has the polygon {abridged(part)}, not three or more points x, y of finite numbers"
                raise Invalid(REASON, message, REMEDY)
        return _filled(parts, width, height), False
    if not isinstance(given, dict) or not isinstance(given.get("counts"), list | str):
        raise Invalid(REASON, f"has the segmentation {abridged(given)}, neither polygons nor an RLE", REMEDY)
    if given.get("size") != [height, width]:
        message = f"has a mask of the size [h, w] = {abridged(given.get('size'))} on an image of {[height, width]}"
        raise Invalid(REASON, message, REMEDY)
    # pycocotools checks little of this: it may hang, or decode memory that is not its own.
    counts = as_numbers(_counts(given["counts"]) if isinstance(given["counts"], str) else given["counts"])
    if counts is None or (counts < 0).any() or (counts % 1).any() or counts.sum() != width * height:
        wanted = f"not whole numbers that add up to {width} x {height} px"
        raise Invalid(REASON, f"has an RLE whose counts are {abridged(given['counts'])}, {wanted}", REMEDY)
    return coco_mask.frPyObjects({"size": [height, width], "counts": counts.astype(int).tolist()}, height, width), False


def joined(masks: Iterable[dict[str, Any]]) -> bytes:
    """Return the compressed counts of the union of masks of one image; empty if there are none."""
    several = list(masks)
    return coco_mask.merge(several)["counts"] if several else b""


def decoded(counts: bytes, width: int, height: int) -> np.ndarray:
    """Return (H, W) uint8, 1 inside the region that `joined` returned."""
    if not counts:
        return np.zeros((height, width), np.uint8)
    return coco_mask.decode({"size": [height, width], "counts": counts})


def _filled(polygons: list[list[float]], width: int, height: int) -> dict[str, Any]:
    return coco_mask.merge(coco_mask.frPyObjects(polygons, height, width))


def _counts(text: str) -> list[int] | None:
    """Return the counts of a compressed RLE, or None if it is none.

    A count is written in groups of five bits, the lowest first, as characters from "0" on. A sixth bit says that
    another group follows, and the highest bit of the last group is the sign. From the fourth count on differences from
    the one before last are written.
    """
    counts: list[int] = []
    value = shift = 0
    for character in text.encode():
        group = character - 48
        if not 0 <= group < 64 or shift > 60:
            return None
        value |= (group & 31) << shift
        shift += 5
        if group & 32:
            continue
        if group & 16:
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = shift = 0
    return None if shift else counts
