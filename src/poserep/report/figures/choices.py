"""Choices of coordinate classification: the chief metric over bins per px, k, and over label smoothing."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from poserep.drawing import MARKS
from poserep.report.figures.panels import LINES, TEXT_WIDTH, Panel, legend_mark, series_style, spread_bars, stack
from poserep.report.figures.points import Point, ResultGroup, area, described, grouped_results, series_names
from poserep.report.labels import Result, scheme_colours

LABEL_SHAPES = ("none", "equal", "Gaussian", "Laplace")


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
