"""What accuracy costs: the chief metric over input size and over multiply-accumulates, and what nothing dominates."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from poserep.drawing import MARKS
from poserep.report.figures.panels import SMALL, TEXT, Panel, mark, number, spread, stack
from poserep.report.figures.points import Group, Point, area, groups, names, network
from poserep.report.figures.style import Result, schemes, title

FRONT = "#94a3b8"
# From where on an axis of costs has equal steps for equal factors.
FACTOR = 4


def front(cost: Sequence[float], value: Sequence[float], lower: bool) -> list[int]:
    """Positions of the points that no other dominates, by rising cost: none costs as little and is as good.

    Args:
        cost: Of each point.
        value: Of each point.
        lower: Whether less of the value is better.
    """
    worth = [-v if lower else v for v in value]
    order = sorted(range(len(cost)), key=lambda i: (cost[i], -worth[i]))
    kept: list[int] = []
    for i in order:
        # Equal in both, neither dominates.
        if not kept or worth[i] > worth[kept[-1]] or (worth[i], cost[i]) == (worth[kept[-1]], cost[kept[-1]]):
            kept.append(i)
    return kept


def over_size(results: Sequence[Result]) -> Figure | None:
    """The chief metric over input size, a panel for each group of results whose numbers compare."""
    return stack(
        [_panel(g, p, schemes(results), by_size=True) for g, p in _plots(results) if len({x.size for x in p}) > 1]
    )


def over_gmacs(results: Sequence[Result]) -> Figure | None:
    """As `over_size`, over true multiply-accumulates for one crop; logarithmic if they span more than a factor of 4."""
    return stack(
        [_panel(g, p, schemes(results), by_size=False) for g, p in _plots(results) if len({x.gmacs for x in p}) > 1]
    )


def _plots(results: Sequence[Result]) -> list[tuple[Group, list[Point]]]:
    return [(group, group.points(_told, "size")) for group in groups(results)]


def _told(result: Result) -> Mapping[str, Any]:
    return {"scheme": title(result), "network": network(result), "size": result["config"]["input_size"]}


def _panel(group: Group, points: Sequence[Point], colours: Mapping[str, str], by_size: bool) -> Panel:
    sizes = sorted({p.size for p in points}, key=area)
    scheme = {p.series: p.scheme for p in points}
    order = list(dict.fromkeys(scheme.values()))
    named = names(points, ("scheme",), TEXT - 6).items()
    called = dict(sorted(named, key=lambda item: (order.index(scheme[item[0]]), item[1])))
    numbers = {series: str(i) for i, series in enumerate(called, 1)}
    legend = [
        (mark(colours[scheme[s]], "o"), textwrap.indent(text, "     ").replace("   ", n.rjust(3), 1))
        for (s, text), n in zip(called.items(), numbers.values(), strict=True)
    ]
    joined = Line2D([], [], color=FRONT, linewidth=6, alpha=0.35, solid_capstyle="butt")
    legend.append((joined, "nothing else costs as little and is as good"))
    shapes = {size: "o" if by_size else MARKS[i % len(MARKS)] for i, size in enumerate(sizes)}
    marks = [] if by_size else [(mark("#475569", shapes[size]), size) for size in sizes]

    def draw(ax: Axes) -> None:
        if by_size:
            # Within a size, side by side: equal values would hide one another.
            places = np.linspace(-0.32, 0.32, len(called)) if len(called) > 1 else np.zeros(1)
            off = dict(zip(called, places, strict=True))
            x = [sizes.index(p.size) + off[p.series] for p in points]
            cost = [float(area(p.size)) for p in points]
        else:
            x = cost = [p.gmacs for p in points]
        best = front(cost, [p.mean for p in points], group.lower)
        ax.plot([x[i] for i in best], [points[i].mean for i in best], color=FRONT, linewidth=6, alpha=0.35, zorder=1)
        for place, p in zip(x, points, strict=True):
            spread(ax, [place], [(p.mean, p.sd)], colours[p.scheme])
            style: dict[str, Any] = {"color": colours[p.scheme], "marker": shapes[p.size]}
            ax.scatter([place], [p.mean], 34, edgecolors="white", linewidths=0.6, zorder=3, **style)
        _axis(ax, group, sizes if by_size else None, cost)
        at = [(place, p.mean) for place, p in zip(x, points, strict=True)]
        number(ax, at, [numbers[p.series] for p in points], [colours[p.scheme] for p in points])

    what = "input size" if by_size else "multiply-accumulates"
    return Panel(f"{group.metric} over {what}" + (f": {group.name}" if group.name else ""), draw, legend, marks)


def _axis(ax: Axes, group: Group, sizes: Sequence[str] | None, cost: Sequence[float]) -> None:
    ax.margins(0.08, 0.12)
    ax.set_ylabel(group.axis)
    if sizes:
        ax.set_xticks(range(len(sizes)), sizes)
        ax.set(xlim=(-0.6, len(sizes) - 0.4), xlabel="input size, height x width")
        ax.grid(axis="x", visible=False)
        return
    ax.set_xlabel("GMACs for one crop")
    if max(cost) > FACTOR * min(cost) > 0:
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.xaxis.set_minor_formatter(NullFormatter())
    ax.tick_params(labelsize=SMALL)
