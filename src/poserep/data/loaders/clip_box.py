"""Cutting annotated boxes to their images, exactly or as published code does."""

from typing import Literal

from poserep.data.json_fields import Box

Clip = Literal["exact", "hrnet", "dark", "none"]


def clip_box(box: Box, width: float, height: float, rule: Clip = "exact") -> Box | None:
    """Cut a box (x, y, width, height) to its image of ``width`` x ``height``; all in px.

    ``exact`` keeps what lies inside. ``hrnet``: the last pixel is x + max(0, w - 1) with x already moved into the
    image, and the width is last - first, so that every box loses one pixel (HRNet's ``coco.py``, SimCC's too); sides
    may get length 0. ``dark`` is the same with that pixel added back (DarkPose, TokenPose). ``none`` cuts nothing.
    Returns None if nothing is left.
    """
    (left, w), (top, h) = (_clip_side(*side, rule) for side in ((box[0], box[2], width), (box[1], box[3], height)))
    if min(w, h) < 0 or (min(w, h) == 0 and rule != "hrnet"):
        return None
    return left, top, w, h


def _clip_side(start: float, length: float, limit: float, rule: Clip) -> tuple[float, float]:
    """Return the first point and the length of what is left of one side; the length is not positive if nothing is."""
    if rule == "none":
        return start, length
    first = max(0.0, start)
    if rule == "exact":
        return first, min(start + length, limit) - first
    rest = min(limit - 1, first + max(0.0, length - 1)) - first
    return first, (rest + 1 if rest >= 0 else 0.0) if rule == "dark" else rest
