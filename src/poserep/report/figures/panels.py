"""Panels one below the other, each with its title above and its legend under it, for pages of any width."""

import textwrap
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

# Narrow pages shrink figures: these stay legible on a telephone.
WIDTH, LEFT, SIDE, RIGHT = 5.4, 0.02, 0.13, 0.98
SMALL = 9.5
# Inches: plot, what its axis needs below, and a line of small text.
PLOT, AXIS, LINE = 3.0, 0.6, 0.185
# In turn, for what has the same colour.
LINES = ("-", "--", ":", "-.")
# What a legend's text has room for.
TEXT = 62


class Panel(NamedTuple):
    """A plot.

    Attributes:
        title: In a line or more.
        draw: Fills the axes.
        legend: Handles and texts, one below the other.
        marks: Handles and short texts in a row between title and plot.
    """

    title: str
    draw: Callable[[Axes], None]
    legend: Sequence[tuple[Line2D, str]]
    marks: Sequence[tuple[Line2D, str]] = ()


def stack(panels: Sequence[Panel]) -> Figure | None:
    """A figure of the panels; None of none."""
    if not panels:
        return None
    titles = [textwrap.fill(panel.title, 60) for panel in panels]
    above = [0.21 * (t.count("\n") + 1) + 0.1 + 0.24 * bool(p.marks) for t, p in zip(titles, panels, strict=True)]
    below = [AXIS + LINE * sum(text.count("\n") + 1 for _, text in p.legend) + 0.3 for p in panels]
    total = sum(above) + sum(below) + PLOT * len(panels)
    figure = plt.figure(figsize=(WIDTH, total))
    top = total
    for panel, name, over, under in zip(panels, titles, above, below, strict=True):
        figure.text(LEFT, top / total, name, va="top", fontsize=12, weight="bold")
        ax = figure.add_axes((SIDE, (top - over - PLOT) / total, RIGHT - SIDE, PLOT / total))
        panel.draw(ax)
        at: dict[str, Any] = {"bbox_transform": figure.transFigure, "borderaxespad": 0, "borderpad": 0}
        at |= {"loc": "upper left", "fontsize": SMALL, "labelspacing": 0.25, "handletextpad": 0.4}
        if panel.marks:
            place = (SIDE, (top - over + 0.24) / total)
            row = ax.legend(*zip(*panel.marks, strict=True), ncols=len(panel.marks), bbox_to_anchor=place, **at)
            ax.add_artist(row)
        if panel.legend:
            ax.legend(*zip(*panel.legend, strict=True), bbox_to_anchor=(LEFT, (top - over - PLOT - AXIS) / total), **at)
        top -= over + PLOT + under
    return figure


def mark(colour: str, marker: str, line: Any = "none", size: float = 6) -> Line2D:
    """What a legend shows of a series."""
    return Line2D([], [], color=colour, marker=marker, linestyle=line, markersize=size, markeredgecolor="white")


def spread(ax: Axes, x: Any, points: Sequence[tuple[float, float]], colour: str) -> None:
    """Means and standard deviations as bars without caps."""
    y, sd = np.array(points).T
    ax.errorbar(x, y, sd, fmt="none", ecolor=colour, elinewidth=1.2, alpha=0.55, zorder=2)


def number(ax: Axes, at: Sequence[tuple[float, float]], texts: Sequence[str], colours: Sequence[str]) -> None:
    """A short text beside every point, where it covers no point and no other text if there is such a place.

    Limits and scales of the axes must have been set.
    """
    figure = ax.get_figure(root=True)
    assert figure is not None
    # In points, as sizes of text are.
    unit = 72 / figure.dpi
    dots = ax.transData.transform(np.array(at, float)) * unit
    frame = ax.get_window_extent().get_points() * unit
    taken = np.stack([dots - 3.5, dots + 3.5], 1)
    for i in sorted(range(len(at)), key=lambda i: (*dots[i].round(3), i)):
        half = np.array([0.31 * SMALL * len(texts[i]), 0.4 * SMALL])
        best, cost = (8.0, 0.0), np.inf
        for radius in (8.0, 12.0, 17.0, 23.0, 30.0):
            for angle in (0, 180, 45, 135, 315, 225, 90, 270, 20, 160, 340, 200):
                away = (radius + half[0] - 3) * np.cos(np.radians(angle)), radius * np.sin(np.radians(angle))
                box = np.array([dots[i] + away - half, dots[i] + away + half])
                over = _shared(box, taken)
                outside = np.clip(frame[0] - box[0], 0, None).sum() + np.clip(box[1] - frame[1], 0, None).sum()
                if over + 100 * outside < cost:
                    best, cost = away, over + 100 * outside
            if cost == 0:
                break
        taken = np.concatenate([taken, [[dots[i] + best - half, dots[i] + best + half]]])
        lines: dict[str, Any] = {
            "arrowprops": {"arrowstyle": "-", "color": "#94a3b8", "linewidth": 0.7, "shrinkA": 1, "shrinkB": 2}
        }
        ax.annotate(
            texts[i], at[i], best, textcoords="offset points", ha="center", va="center", fontsize=SMALL, zorder=5,
            color=colours[i], path_effects=[patheffects.withStroke(linewidth=2.5, foreground="white")],
            **(lines if np.hypot(*best) > 16 else {}),
        )  # fmt: skip


def _shared(box: np.ndarray, others: np.ndarray) -> float:
    """Area that a box [[left, bottom], [right, top]] shares with others (N, 2, 2), added up."""
    common = np.minimum(box[1], others[:, 1]) - np.maximum(box[0], others[:, 0])
    return float(np.clip(common, 0, None).prod(1).sum())
