"""Texts of drawn figures, and whether they lie on each other."""

import itertools
from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox


def texts(figure: Figure) -> list[str]:
    """Return all texts that are not empty."""
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def overlapping(boxes: Sequence[Bbox]) -> list[tuple[Bbox, Bbox]]:
    """Return the pairs of boxes that overlap."""
    return [(a, b) for a, b in itertools.combinations(boxes, 2) if a.overlaps(b)]
