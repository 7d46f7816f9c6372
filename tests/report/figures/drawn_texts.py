"""Texts of drawn figures, and whether they lie on each other."""

import itertools
from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox


def texts(figure: Figure) -> list[str]:
    """Return all texts that are not empty."""
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def overlap(boxes: Sequence[Bbox]) -> bool:
    """Return whether any two boxes overlap."""
    return any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))


def legible(figure: Figure, shown: Sequence[Text], least: float) -> bool:
    """Return whether a page 310 px wide, as on a telephone, leaves letters of so many px."""
    width = figure.get_tightbbox().width
    return all(310 * text.get_fontsize() / 72 / width >= least for text in shown)
