"""Annotated boxes and the border of their image: the exact rule, and those of two published code bases."""

from typing import Literal, get_args

from poserep.errors import InputError

Clip = Literal["exact", "hrnet", "dark", "none"]
Box = tuple[float, float, float, float]
# Px. No crop can be made around less.
SMALLEST = 1e-3


def check_clip(rule: str) -> None:
    """Refuse what is no rule.

    Raises:
        InputError: If it is none of ``exact``, ``hrnet``, ``dark``, ``none``.
    """
    if rule not in get_args(Clip):
        raise InputError(f"clip={rule!r} is not one of {list(get_args(Clip))}")


def clip_box(box: Box, width: float, height: float, rule: Clip = "exact") -> Box | None:
    """A box cut to its image.

    Args:
        box: x, y, width, height, image px.
        width: Of the image, px.
        height: Of the image, px.
        rule: ``exact`` keeps what lies inside. ``hrnet``: the last pixel is x + max(0, w - 1) with x already moved into
            the image, and the width is last - first, so that every box loses one pixel (HRNet's ``coco.py``, SimCC's
            too). ``dark`` is the same with that pixel added back (DarkPose, TokenPose). ``none`` cuts nothing.

    Returns:
        x, y, width, height, or None if nothing is left. Boxes by ``hrnet`` may have a side of length 0.
    """
    (left, w), (top, h) = (_clip(*side, rule) for side in ((box[0], box[2], width), (box[1], box[3], height)))
    if min(w, h) < 0 or (min(w, h) == 0 and rule != "hrnet"):
        return None
    return left, top, w, h


def _clip(start: float, length: float, limit: float, rule: Clip) -> tuple[float, float]:
    """First point and length of what is left of one side; no length if nothing is."""
    if rule == "none":
        return start, length
    first = max(0.0, start)
    if rule == "exact":
        return first, min(start + length, limit) - first
    rest = min(limit - 1, first + max(0.0, length - 1)) - first
    return first, (rest + 1 if rest >= 0 else 0.0) if rule == "dark" else rest
