"""How annotated boxes are cut to their image: exactly, or by the rules of two published code bases."""

from typing import Literal

from poserep.data.json_fields import Box

Clip = Literal["exact", "hrnet", "dark", "none"]


def clip_box(box: Box, width: float, height: float, rule: Clip = "exact") -> Box | None:
    """Cut a box (x, y, width, height) to its image; all in px.

    Args:
        box: The box.
        width: Width of the image.
        height: Height of the image.
        rule: ``exact`` keeps what lies inside. ``hrnet``: the last pixel is x + max(0, w - 1) with x already moved into
            the image, and the width is last - first, so that every box loses one pixel (HRNet's ``coco.py``, SimCC's
            too). ``dark`` is the same with that pixel added back (DarkPose, TokenPose). ``none`` cuts nothing.

    Returns:
        x, y, width, height, or None if nothing is left. Boxes by ``hrnet`` may have a side of length 0.
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
