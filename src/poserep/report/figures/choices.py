"""The chief metric over what runs choose: input size, operations, bins per px and label smoothing; the Pareto front."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from poserep.drawing import MARKS
from poserep.report.figures.panels import (
    LINES,
    SMALL,
    TEXT_WIDTH,
    Panel,
    legend_mark,
    number_points,
    series_style,
    spread_bars,
    stack,
    write_out,
)
from poserep.report.figures.points import Point, ResultGroup, area, described, grouped_results, series_names
from poserep.report.labels import Result, scheme_colours

FRONT_COLOUR = "#94a3b8"
# An axis of costs is logarithmic if they span more than this factor.
LOG_FACTOR = 4
LABEL_SHAPES = ("none", "equal", "Gaussian", "Laplace")


def pareto_front(cost: Sequence[float], value: Sequence[float], lower: bool) -> list[int]:
    """Return the positions of the points that no other dominates, by rising cost; ``lower``: less is better."""
    costs, losses = np.array(cost), np.array(value) if lower else -np.array(value)
    # Of two that are equal in both, neither dominates.
    no_worse = (costs <= costs[:, None]) & (losses <= losses[:, None])
    dominated = np.any(no_worse & ~no_worse.T, axis=1)
    return [i for i in np.lexsort((losses, costs)).tolist() if not dominated[i]]


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
        ax.margins(0.08, 0.12)
        ax.set_ylabel(group.axis)
        if by_size:
            # Points of a size stand side by side, as equal values would hide each other.
            places = np.linspace(-0.32, 0.32, len(called)) if len(called) > 1 else np.zeros(1)
            off = dict(zip(called, places, strict=True))
            x = [sizes.index(p.size) + off[p.series] for p in points]
            cost = [float(area(p.size)) for p in points]
            ax.set_xticks(range(len(sizes)), sizes)
            ax.set(xlim=(-0.6, len(sizes) - 0.4), xlabel="input size, height x width")
            ax.grid(axis="x", visible=False)
        else:
            x = cost = [p.gmacs for p in points]
            ax.set_xlabel("GMACs for one crop")
            if max(cost) > LOG_FACTOR * min(cost) > 0:
                ax.set_xscale("log")
                write_out(ax.xaxis)
            ax.tick_params(labelsize=SMALL)
        best = pareto_front(cost, [p.mean for p in points], group.lower)
        front = [x[i] for i in best], [points[i].mean for i in best]
        ax.plot(*front, color=FRONT_COLOUR, linewidth=6, alpha=0.35, zorder=1)
        for place, p in zip(x, points, strict=True):
            spread_bars(ax, [place], [(p.mean, p.sd)], colours[p.scheme])
            style: dict[str, Any] = {"color": colours[p.scheme], "marker": shapes[p.size]}
            ax.scatter([place], [p.mean], 34, edgecolors="white", linewidths=0.6, zorder=3, **style)
        at = [(place, p.mean) for place, p in zip(x, points, strict=True)]
        number_points(ax, at, [numbers[p.series] for p in points], [colours[p.scheme] for p in points])

    what = "input size" if by_size else "multiply-accumulates"
    return Panel(group.title(what), draw, legend, marks)


def k_figure(results: Sequence[Result]) -> Figure | None:
    """Draw the chief metric over bins per px, a line for each scheme, network and size that has two or more."""
    groups = [(g, _several(g.points(_by_k, "k", ("representation.codec.k",)))) for g in grouped_results(results)]
    return stack([_k_panel(group, lines, scheme_colours(results)) for group, lines in groups if lines])


def smoothing_figure(results: Sequence[Result]) -> Figure | None:
    """Draw the chief metric over the shape of labels, marks for each network, size and k that has two or more."""
    hidden = ("representation.codec.label", "representation.codec.k")
    groups = [(g, _several(g.points(_by_smoothing, "smoothing", hidden))) for g in grouped_results(results)]
    return stack([_smoothing_panel(group, lines, scheme_colours(results)) for group, lines in groups if lines])


def label_shape(result: Result) -> str | None:
    """Return the shape of the labels: one of `LABEL_SHAPES`, another's name, or None where bins have no labels."""
    label = result["config"]["representation"]["codec"].get("label")
    if not label:
        return None
    name = label["_target_"].split(".")[-1]
    return ("equal" if label.get("smoothing", 0.1) else "none") if name == "Equal" else name


def _by_k(result: Result) -> Mapping[str, Any] | None:
    k = result["config"]["representation"]["codec"].get("k")
    return None if k is None else {**described(result), "k": k}


def _by_smoothing(result: Result) -> Mapping[str, Any] | None:
    shape, k = label_shape(result), result["config"]["representation"]["codec"].get("k")
    about = {key: value for key, value in described(result).items() if key != "scheme"}
    return None if shape is None else {**about, "k": k, "smoothing": shape}


def _several(points: Sequence[Point]) -> list[list[Point]]:
    """Return the series that have two positions or more, by size."""
    series: dict[Any, list[Point]] = {}
    for point in points:
        series.setdefault(point.series, []).append(point)
    return sorted((s for s in series.values() if len({p.x for p in s}) > 1), key=lambda s: area(s[0].size))


def _k_panel(group: ResultGroup, lines: Sequence[Sequence[Point]], colours: Mapping[str, str]) -> Panel:
    called = series_names([p for line in lines for p in line], ("scheme", "network", "size"), TEXT_WIDTH)
    drawn: dict[str, int] = {}
    styles = [series_style(line[0].scheme, drawn, colours) for line in lines]
    known = sorted({p.x for line in lines for p in line})

    def draw(ax: Axes) -> None:
        for line, style in zip(lines, styles, strict=True):
            ordered = sorted(line, key=lambda p: p.x)
            x, y = [p.x for p in ordered], [(p.mean, p.sd) for p in ordered]
            spread_bars(ax, x, y, style["color"])
            ax.plot(x, [m for m, _ in y], markeredgecolor="white", ms=7, **style)
        ax.set_xticks(known)
        ax.margins(0.08, 0.12)
        ax.set(xlabel="k, bins per px of the input", ylabel=group.axis)

    handles = (legend_mark(**style, size=7) for style in styles)
    return Panel(group.title("k"), draw, list(zip(handles, (called[line[0].series] for line in lines), strict=True)))


def _smoothing_panel(group: ResultGroup, lines: Sequence[Sequence[Point]], colours: Mapping[str, str]) -> Panel:
    called = series_names([p for line in lines for p in line], ("network", "size", "k"), TEXT_WIDTH)
    known = {p.x for line in lines for p in line}
    kinds = [*(s for s in LABEL_SHAPES if s in known), *sorted(known - {*LABEL_SHAPES})]
    places = np.linspace(-0.22, 0.22, len(lines)) if len(lines) > 1 else np.zeros(1)

    def draw(ax: Axes) -> None:
        for i, (line, off) in enumerate(zip(lines, places, strict=True)):
            ordered = sorted(line, key=lambda p: kinds.index(p.x))
            ax.plot(
                [kinds.index(p.x) + off for p in ordered], [p.mean for p in ordered],
                color="#cbd5e1", linestyle=LINES[i % len(LINES)], zorder=1,
            )  # fmt: skip
            for p in ordered:
                x = kinds.index(p.x) + off
                spread_bars(ax, [x], [(p.mean, p.sd)], colours[p.scheme])
                style: dict[str, Any] = {"color": colours[p.scheme], "marker": MARKS[i % len(MARKS)]}
                ax.scatter([x], [p.mean], 48, edgecolors="white", linewidths=0.6, zorder=3, **style)
        ax.set_xticks(range(len(kinds)), kinds)
        ax.margins(0.08, 0.12)
        ax.set(xlim=(-0.5, len(kinds) - 0.5), xlabel="label smoothing", ylabel=group.axis)
        ax.grid(axis="x", visible=False)

    handles = (legend_mark("#94a3b8", MARKS[i % len(MARKS)], LINES[i % len(LINES)], 7) for i in range(len(lines)))
    legend = list(zip(handles, (called[line[0].series] for line in lines), strict=True))
    return Panel(group.title("label smoothing"), draw, legend)
