"""The input that a whole image takes: its size, padded to what networks can halve, and the region that it shows."""

from math import ceil
from typing import Literal

import numpy as np

from poserep.data.augment import CropRegion
from poserep.geometry import BETWEEN_CENTRES, Align, Size

Centre = Literal["exact", "round", "half_up", "first"]
Rounding = Literal["exact", "float"]
# What sums of decimal fractions may be off.
EPSILON = 1e-9


def padded_size(
    width: int,
    height: int,
    short: int,
    multiple: int = 64,
    scale: float = 1.0,
    least: float = 1.0,
    rounding: Rounding = "exact",
) -> Size:
    """Return the size of the input for a whole image of ``width`` x ``height`` px.

    At the smallest of a test's scales, ``least``, the image's shorter side takes ``short`` times that scale, rounded up
    to a ``multiple`` (px), and its longer side in proportion, rounded up too. The input is ``scale`` / ``least`` times
    as large, so that the size at scale 1 depends on the smallest scale.

    ``rounding="float"`` is that of HigherHRNet's code, which takes int((x + 63) / 64) of a fractional x: a side less
    than 1 px above a multiple is rounded down. SRPose's code rounds up, in floating point, by which a side that is a
    multiple exactly becomes, in 1 of 5000 sizes, a whole multiple longer; here it does not.
    """
    shorter, longer = min(width, height), max(width, height)
    first = multiple * ceil(least * short / multiple - EPSILON)
    if rounding == "float":
        second = int((first / shorter * longer + (multiple - 1)) // multiple * multiple)
    else:
        second = -(-first * longer // (shorter * multiple)) * multiple
    sides = int(first * scale / least), int(second * scale / least)
    return Size(sides[1], sides[0]) if width < height else Size(*sides)


def scene_region(width: int, height: int, size: Size, align: Align = "centre", centre: Centre = "exact") -> CropRegion:
    """Return the region of an image of ``width`` x ``height`` px that an input of `padded_size` shows.

    The image's shorter side fills its side of the input; along the other one the input shows more than the image, or
    less than 1 px less. ``centre`` says where the region's centre lies:

    - ``exact``: in the middle of the image, which is that of its pixels' centres but under ``corner``.
    - ``round``: at half the width and height rounded to the nearest integer, half a px to even, as in SRPose's code.
    - ``half_up``: the same, but half a px is rounded up, as in HigherHRNet's code.
    - ``first``: such that the first pixel of the input is that of the image, as in SRPose's code with UDP.
    """
    between = 1.0 if align in BETWEEN_CENTRES else 0.0
    step = (width - between) / (size.width - between)
    if width >= height:
        step = (height - between) / (size.height - between)
    extent = (np.array([size.width, size.height]) - between) * step + between
    wh, offset = np.array([width, height], np.float64), 0.0 if align == "corner" else 1.0
    middles = {
        "exact": (wh - offset) / 2,
        "round": np.rint(wh / 2),
        "half_up": np.floor(wh / 2 + 0.5),
        "first": (extent - offset) / 2,
    }
    return CropRegion(middles[centre], extent)
