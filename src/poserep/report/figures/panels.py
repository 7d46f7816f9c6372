"""Panels one below the other, each with its title above and its legend below, for pages of any width."""

import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from poserep.drawing import MARKS

# Inches, and shares of the width. Narrow pages shrink figures: these stay legible on a phone.
FIGURE_WIDTH, LEFT_EDGE, AXIS_EDGE, RIGHT_EDGE = 5.4, 0.02, 0.13, 0.98
# Points.
SMALL = 9.5
# Inches: the plot, what its axis needs below, and a line of small text.
PLOT, AXIS, LINE = 3.0, 0.6, 0.185
# Styles of lines that have the same colour, in turn.
LINES = ("-", "--", ":", "-.")
# Characters in a line of a legend, and of a title.
TEXT_WIDTH, TITLE_WIDTH = 62, 60


class Panel(NamedTuple):
    """A plot that ``draw`` fills, ``height`` inches high; its axis and more take ``below`` inches.

    ``legend`` has handles and texts, one below the other, ``marks`` those in a row between title and plot.
    """

    title: str
    draw: Callable[[Axes], None]
    legend: Sequence[tuple[Line2D, str]]
    marks: Sequence[tuple[Line2D, str]] = ()
    height: float = PLOT
    below: float = AXIS


def stack(panels: Sequence[Panel]) -> Figure | None:
    """Draw the panels as one figure; return None for no panels."""
    if not panels:
        return None
    titles = [textwrap.fill(panel.title, TITLE_WIDTH) for panel in panels]
    above = [0.21 * (t.count("\n") + 1) + 0.1 + 0.24 * bool(p.marks) for t, p in zip(titles, panels, strict=True)]
    below = [p.below + LINE * sum(text.count("\n") + 1 for _, text in p.legend) + 0.3 for p in panels]
    total = sum(above) + sum(below) + sum(panel.height for panel in panels)
    figure = plt.figure(figsize=(FIGURE_WIDTH, total))
    top = total
    for panel, title, over, under in zip(panels, titles, above, below, strict=True):
        figure.text(LEFT_EDGE, top / total, title, va="top", fontsize=12, weight="bold")
        bottom = top - over - panel.height
        ax = figure.add_axes((AXIS_EDGE, bottom / total, RIGHT_EDGE - AXIS_EDGE, panel.height / total))
        panel.draw(ax)
        at: dict[str, Any] = {"bbox_transform": figure.transFigure, "borderaxespad": 0, "borderpad": 0}
        at |= {"loc": "upper left", "fontsize": SMALL, "labelspacing": 0.25, "handletextpad": 0.4}
        if panel.marks:
            place = (AXIS_EDGE, (top - over + 0.24) / total)
            row = ax.legend(*zip(*panel.marks, strict=True), ncols=len(panel.marks), bbox_to_anchor=place, **at)
            ax.add_artist(row)
        if panel.legend:
            place = (LEFT_EDGE, (bottom - panel.below) / total)
            ax.legend(*zip(*panel.legend, strict=True), bbox_to_anchor=place, **at)
        top = bottom - under
    return figure


def legend_mark(color: str, marker: str, linestyle: Any = "none", size: float = 6) -> Line2D:
    """Return what a legend shows of a series."""
    return Line2D([], [], color=color, marker=marker, linestyle=linestyle, markersize=size, markeredgecolor="white")


def number_in(drawn: dict[str, int], scheme: str) -> int:
    """Count a series of a scheme, and return how many it had before: series of one colour differ in mark and line."""
    drawn[scheme] = drawn.get(scheme, -1) + 1
    return drawn[scheme]


def series_style(scheme: str, drawn: dict[str, int], colours: Mapping[str, str]) -> dict[str, Any]:
    """Return colour, mark and line of the next series of a scheme, as Matplotlib takes them."""
    number = number_in(drawn, scheme)
    return {"color": colours[scheme], "marker": MARKS[number % len(MARKS)], "linestyle": LINES[number % len(LINES)]}


def spread_bars(ax: Axes, x: Any, points: Sequence[tuple[float, float]], colour: str) -> None:
    """Draw means and standard deviations as bars without caps."""
    y, sd = np.array(points).T
    ax.errorbar(x, y, sd, fmt="none", ecolor=colour, elinewidth=1.2, alpha=0.55, zorder=2)


def write_out(axis: Axis) -> None:
    """Label a logarithmic axis with plain numbers, in place of powers of ten."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def number_points(ax: Axes, at: Sequence[tuple[float, float]], texts: Sequence[str], colours: Sequence[str]) -> None:
    """Write a short text beside every point, where it covers no point and no other text if there is such a place.

    Limits and scales of the axes must have been set.
    """
    figure = ax.get_figure(root=True)
    assert figure is not None
    # In points, as sizes of text are.
    unit = 72 / figure.dpi
    dots = ax.transData.transform(np.array(at, float)) * unit
    frame = ax.get_window_extent().get_points() * unit
    taken = np.stack([dots - 3.5, dots + 3.5], 1)
    # Places around a point, the best first, (60,) each.
    radius = np.repeat((8.0, 12.0, 17.0, 23.0, 30.0), 12)
    angle = np.tile(np.radians((0, 180, 45, 135, 315, 225, 90, 270, 20, 160, 340, 200)), 5)
    for i in sorted(range(len(at)), key=lambda i: (*dots[i].round(3), i)):
        half = np.array([0.31 * SMALL * len(texts[i]), 0.4 * SMALL])
        away = np.stack([(radius + half[0] - 3) * np.cos(angle), radius * np.sin(angle)], 1)
        low, high = dots[i] + away - half, dots[i] + away + half
        common = np.minimum(high[:, None], taken[:, 1]) - np.maximum(low[:, None], taken[:, 0])
        outside = np.clip(frame[0] - low, 0, None) + np.clip(high - frame[1], 0, None)
        which = np.argmin(np.clip(common, 0, None).prod(2).sum(1) + 100 * outside.sum(1))
        best = away[which]
        taken = np.concatenate([taken, [[low[which], high[which]]]])
        arrow = {"arrowstyle": "-", "color": "#94a3b8", "linewidth": 0.7, "shrinkA": 1, "shrinkB": 2}
        lines: dict[str, Any] = {"arrowprops": arrow} if np.hypot(*best) > 16 else {}
        ax.annotate(
            texts[i], at[i], best, textcoords="offset points", ha="center", va="center", fontsize=SMALL, zorder=5,
            color=colours[i], path_effects=[patheffects.withStroke(linewidth=2.5, foreground="white")], **lines,
        )  # fmt: skip
