"""What choices of coordinate classification do: the chief metric over the splitting factor and over label smoothing."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from poserep.drawing import MARKS
from poserep.report.figures.panels import LINES, TEXT, Panel, mark, spread, stack
from poserep.report.figures.points import Group, Point, area, groups, names, network
from poserep.report.figures.style import Result, schemes, title

SMOOTHING = ("none", "equal", "Gaussian", "Laplace")


def over_k(results: Sequence[Result]) -> Figure | None:
    """The chief metric over bins per px, a line for each scheme, network and size that has two or more."""
    panels = []
    for group in groups(results):
        lines = _several(group.points(_by_k, "k", ("representation.codec.k",)))
        if lines:
            panels.append(_k_panel(group, lines, schemes(results)))
    return stack(panels)


def over_smoothing(results: Sequence[Result]) -> Figure | None:
    """The chief metric over the shape of labels, marks for each network, size and k that has two or more."""
    panels = []
    for group in groups(results):
        untold = ("representation.codec.label", "representation.codec.k")
        lines = _several(group.points(_by_smoothing, "smoothing", untold))
        if lines:
            panels.append(_smoothing_panel(group, lines, schemes(results)))
    return stack(panels)


def smoothing(result: Result) -> str | None:
    """Shape of the labels: one of `SMOOTHING`, the name of another, or None where bins have no labels."""
    label = result["config"]["representation"]["codec"].get("label")
    if not label:
        return None
    name = label["_target_"].split(".")[-1]
    return ("equal" if label.get("smoothing", 0.1) else "none") if name == "Equal" else name


def _by_k(result: Result) -> Mapping[str, Any] | None:
    k = result["config"]["representation"]["codec"].get("k")
    told = {"scheme": title(result), "network": network(result), "size": result["config"]["input_size"]}
    return None if k is None else {**told, "k": k}


def _by_smoothing(result: Result) -> Mapping[str, Any] | None:
    shape, codec = smoothing(result), result["config"]["representation"]["codec"]
    told = {"network": network(result), "size": result["config"]["input_size"], "k": codec.get("k")}
    return None if shape is None else {**told, "smoothing": shape}


def _several(points: Sequence[Point]) -> list[list[Point]]:
    """Series of two positions or more, by size."""
    series: dict[Any, list[Point]] = {}
    for point in points:
        series.setdefault(point.series, []).append(point)
    return sorted((s for s in series.values() if len({p.x for p in s}) > 1), key=lambda s: area(s[0].size))


def _k_panel(group: Group, lines: Sequence[Sequence[Point]], colours: Mapping[str, str]) -> Panel:
    called = names([p for line in lines for p in line], ("scheme", "network", "size"), TEXT)
    drawn: dict[str, int] = {}
    styles = []
    for line in lines:
        i = drawn[line[0].scheme] = drawn.get(line[0].scheme, -1) + 1
        styles.append((colours[line[0].scheme], MARKS[i % len(MARKS)], LINES[i % len(LINES)]))
    known = sorted({p.x for line in lines for p in line})

    def draw(ax: Axes) -> None:
        for line, (colour, marker, dash) in zip(lines, styles, strict=True):
            ordered = sorted(line, key=lambda p: p.x)
            x, y = [p.x for p in ordered], [(p.mean, p.sd) for p in ordered]
            spread(ax, x, y, colour)
            ax.plot(x, [m for m, _ in y], color=colour, marker=marker, linestyle=dash, markeredgecolor="white", ms=7)
        ax.set_xticks(known)
        ax.margins(0.08, 0.12)
        ax.set(xlabel="k, bins per px of the input", ylabel=group.axis)

    legend = [(mark(*style, size=7), called[line[0].series]) for line, style in zip(lines, styles, strict=True)]
    return Panel(f"{group.metric} over k" + (f": {group.name}" if group.name else ""), draw, legend)


def _smoothing_panel(group: Group, lines: Sequence[Sequence[Point]], colours: Mapping[str, str]) -> Panel:
    called = names([p for line in lines for p in line], ("network", "size", "k"), TEXT)
    known = {p.x for line in lines for p in line}
    kinds = [*(s for s in SMOOTHING if s in known), *sorted(known - {*SMOOTHING})]
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
                spread(ax, [x], [(p.mean, p.sd)], colours[p.scheme])
                style: dict[str, Any] = {"color": colours[p.scheme], "marker": MARKS[i % len(MARKS)]}
                ax.scatter([x], [p.mean], 48, edgecolors="white", linewidths=0.6, zorder=3, **style)
        ax.set_xticks(range(len(kinds)), kinds)
        ax.margins(0.08, 0.12)
        ax.set(xlim=(-0.5, len(kinds) - 0.5), xlabel="label smoothing", ylabel=group.axis)
        ax.grid(axis="x", visible=False)

    legend = [
        (mark("#94a3b8", MARKS[i % len(MARKS)], LINES[i % len(LINES)], 7), called[line[0].series])
        for i, line in enumerate(lines)
    ]
    return Panel(f"{group.metric} over label smoothing" + (f": {group.name}" if group.name else ""), draw, legend)
