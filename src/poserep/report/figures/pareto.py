"""What accuracy costs: the chief metric over input size and over operations, with the Pareto front."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from poserep.drawing import MARKS
from poserep.report.figures.panels import SMALL, TEXT_WIDTH, Panel, legend_mark, number_points, spread_bars, stack
from poserep.report.figures.points import Point, ResultGroup, area, described, grouped_results, series_names
from poserep.report.labels import Result, scheme_colours

FRONT_COLOUR = "#94a3b8"
# An axis of costs is logarithmic if they span more than this factor.
LOG_FACTOR = 4


def pareto_front(cost: Sequence[float], value: Sequence[float], lower: bool) -> list[int]:
    """Return the positions of the points that no other dominates, by rising cost: none costs as little and is as good.

    ``lower`` means that less of the value is better.
    """
    worth = [-v if lower else v for v in value]
    order = sorted(range(len(cost)), key=lambda i: (cost[i], -worth[i]))
    kept: list[int] = []
    for i in order:
        # Of two that are equal in both, neither dominates.
        if not kept or worth[i] > worth[kept[-1]] or (worth[i], cost[i]) == (worth[kept[-1]], cost[kept[-1]]):
            kept.append(i)
    return kept


def size_figure(results: Sequence[Result]) -> Figure | None:
    """Draw the chief metric over input size, a panel for each group of results whose numbers compare."""
    return _stacked(results, by_size=True)


def gmacs_figure(results: Sequence[Result]) -> Figure | None:
    """Draw the chief metric over true multiply-accumulates for one crop, a panel for each such group."""
    return _stacked(results, by_size=False)


def _stacked(results: Sequence[Result], by_size: bool) -> Figure | None:
    plots = [(group, group.points(described, "size")) for group in grouped_results(results)]
    plots = [(g, points) for g, points in plots if len({p.size if by_size else p.gmacs for p in points}) > 1]
    return stack([_panel(*plot, scheme_colours(results), by_size) for plot in plots])


def _panel(group: ResultGroup, points: Sequence[Point], colours: Mapping[str, str], by_size: bool) -> Panel:
    sizes = sorted({p.size for p in points}, key=area)
    scheme = {p.series: p.scheme for p in points}
    order = list(dict.fromkeys(scheme.values()))
    named = series_names(points, ("scheme",), TEXT_WIDTH - 6).items()
    called = dict(sorted(named, key=lambda item: (order.index(scheme[item[0]]), item[1])))
    numbers = {series: str(i) for i, series in enumerate(called, 1)}
    legend = [
        (legend_mark(colours[scheme[s]], "o"), textwrap.indent(text, "     ").replace("   ", n.rjust(3), 1))
        for (s, text), n in zip(called.items(), numbers.values(), strict=True)
    ]
    joined = Line2D([], [], color=FRONT_COLOUR, linewidth=6, alpha=0.35, solid_capstyle="butt")
    legend.append((joined, "nothing else costs as little and is as good"))
    shapes = {size: "o" if by_size else MARKS[i % len(MARKS)] for i, size in enumerate(sizes)}
    marks = [] if by_size else [(legend_mark("#475569", shapes[size]), size) for size in sizes]

    def draw(ax: Axes) -> None:
        if by_size:
            # Points of a size stand side by side, as equal values would hide each other.
            places = np.linspace(-0.32, 0.32, len(called)) if len(called) > 1 else np.zeros(1)
            off = dict(zip(called, places, strict=True))
            x = [sizes.index(p.size) + off[p.series] for p in points]
            cost = [float(area(p.size)) for p in points]
        else:
            x = cost = [p.gmacs for p in points]
        best = pareto_front(cost, [p.mean for p in points], group.lower)
        front = [x[i] for i in best], [points[i].mean for i in best]
        ax.plot(*front, color=FRONT_COLOUR, linewidth=6, alpha=0.35, zorder=1)
        for place, p in zip(x, points, strict=True):
            spread_bars(ax, [place], [(p.mean, p.sd)], colours[p.scheme])
            style: dict[str, Any] = {"color": colours[p.scheme], "marker": shapes[p.size]}
            ax.scatter([place], [p.mean], 34, edgecolors="white", linewidths=0.6, zorder=3, **style)
        _axis(ax, group, sizes if by_size else None, cost)
        at = [(place, p.mean) for place, p in zip(x, points, strict=True)]
        number_points(ax, at, [numbers[p.series] for p in points], [colours[p.scheme] for p in points])

    what = "input size" if by_size else "multiply-accumulates"
    return Panel(group.title(what), draw, legend, marks)


def _axis(ax: Axes, group: ResultGroup, sizes: Sequence[str] | None, cost: Sequence[float]) -> None:
    ax.margins(0.08, 0.12)
    ax.set_ylabel(group.axis)
    if sizes:
        ax.set_xticks(range(len(sizes)), sizes)
        ax.set(xlim=(-0.6, len(sizes) - 0.4), xlabel="input size, height x width")
        ax.grid(axis="x", visible=False)
        return
    ax.set_xlabel("GMACs for one crop")
    if max(cost) > LOG_FACTOR * min(cost) > 0:
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.xaxis.set_minor_formatter(NullFormatter())
    ax.tick_params(labelsize=SMALL)
