"""Errors: of what kind they are, and at which joints."""

import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from poserep.drawing import MARKS
from poserep.report.figures.style import Result, labels, schemes, title
from poserep.report.names import scheme

# From light to dark, so that they keep their order for those who see no hues, and in print.
KINDS = {"good": "#cbd5e1", "jitter": "#38bdf8", "inversion": "#d97706", "swap": "#7c3aed", "miss": "#1e293b"}
SCALES = {"sqrt(area)": "√area of the person", "head": "head length"}
# Narrow pages shrink figures: these stay legible on a telephone.
WIDTH, LEFT, RIGHT = 5.8, 0.02, 0.98


def taxonomy(results: Sequence[Result]) -> Figure | None:
    """Shares of the kinds of errors on annotated boxes: a bar for each scheme, readout and size; seeds are added up."""
    bars: dict[tuple[str, str], np.ndarray] = {}
    for result, label in zip(results, labels(results), strict=True):
        for readout, found in _errors(result).items():
            key = (f"{label} · {readout}", scheme(result)[1])
            bars[key] = bars.get(key, 0) + np.array([found["taxonomy"]["count"][kind] for kind in KINDS], float)
    if not bars:
        return None
    names = [textwrap.wrap(f"{label}, {size}", 60) for label, size in bars]
    # A row is the lines of its name, its bar, and air, in inches.
    line, bar, air = 0.19, 0.2, 0.13
    height = sum(line * len(name) + bar + air for name in names)
    figure = plt.figure(figsize=(WIDTH, height + 0.62))
    ax = figure.add_axes((LEFT, 0, RIGHT - LEFT, height / (height + 0.62)))
    ax.set(xlim=(0, 100), ylim=(height, 0))
    ax.set_axis_off()
    place = 0.0
    # The right half is a table, its headings the legend.
    columns = np.linspace(57, 96, len(KINDS))
    for (kind, colour), x in zip(KINDS.items(), columns, strict=True):
        ax.text(x, -0.12, kind, ha="center", va="bottom", fontsize=9, color="#334155")
        ax.barh(-0.05, 7, 0.06, x - 3.5, color=colour, clip_on=False)
    for name, count in zip(names, bars.values(), strict=True):
        share = 100 * count / count.sum()
        ax.text(0, place + line * len(name) - 0.02, "\n".join(name), va="bottom", fontsize=9.5, color="#334155")
        place += line * len(name) + bar / 2
        ax.barh(place, share * 0.5, bar, np.append(0, np.cumsum(share)[:-1]) * 0.5, color=list(KINDS.values()))
        for value, x in zip(share, columns, strict=True):
            ax.text(x, place, f"{value:.1f}", ha="center", va="center", fontsize=9.5, color="#334155")
        place += bar / 2 + air
    figure.text(LEFT, 1, "Kinds of errors, percent of labelled joints", va="top", fontsize=12, weight="bold")
    return figure


def joints(results: Sequence[Result]) -> Figure | None:
    """Mean normalised error of each joint with the default readout, left and right as one; a panel for each size."""
    panels: dict[tuple[str, ...], dict[tuple[str, str], list[Mapping[str, Any]]]] = {}
    for result, label in zip(results, labels(results), strict=True):
        # The first readout is the default one.
        for readout, found in list(_errors(result).items())[:1]:
            # What is measured differently, or is another body, is not compared.
            panel = (scheme(result)[1], found["scale"], *found["joints"])
            series = title(result), textwrap.fill(f"{label} · {readout}", 60)
            panels.setdefault(panel, {}).setdefault(series, []).append(found)
    if not panels:
        return None
    colours = schemes(results)
    order = sorted(panels, key=lambda panel: [int(n) for n in panel[0].split("x")])
    # Title and legend, a row for each joint, and the axis, in inches.
    above = [0.45 + 0.2 * sum(text.count("\n") + 1 for _, text in panels[panel]) for panel in order]
    rows = [0.27 * len(_merged(next(iter(panels[panel].values()))[0])) for panel in order]
    below = 0.75
    total = sum(above) + sum(rows) + below * len(order)
    figure = plt.figure(figsize=(WIDTH, total))
    top = total
    for panel, over, height in zip(order, above, rows, strict=True):
        figure.text(LEFT, top / total, f"Error by joint at {panel[0]}", va="top", fontsize=12, weight="bold")
        ax = figure.add_axes((0.2, (top - over - height) / total, RIGHT - 0.2, height / total))
        _dots(ax, panels[panel], colours)
        ax.set_xlabel(f"mean error, percent of {SCALES[panel[1]]}")
        anchor = {"bbox_to_anchor": (LEFT, (top - 0.28) / total), "bbox_transform": figure.transFigure}
        ax.legend(loc="upper left", **anchor, borderaxespad=0, borderpad=0, handletextpad=0.1, fontsize=9.5)
        top -= over + height + below
    return figure


def _dots(ax: Axes, series: Mapping[tuple[str, str], Sequence[Mapping[str, Any]]], colours: Mapping[str, str]) -> None:
    """A row for each joint, a mark in it for each scheme and setting."""
    names = [name for name, _ in _merged(next(iter(series.values()))[0])]
    values = np.array([_means(seeds) for seeds in series.values()])
    known = np.flatnonzero(np.isfinite(values).any(0))
    ends = np.nanmin(values[:, known], 0), np.nanmax(values[:, known], 0)
    ax.hlines(known, *ends, color="#e2e8f0", linewidth=8, zorder=1)
    drawn: dict[str, int] = {}
    # Marks that coincide are still to be seen.
    dodge = np.linspace(-0.14, 0.14, len(values)) if len(values) > 1 else np.zeros(1)
    for (name, label), line, off in zip(series, values, dodge, strict=True):
        number = drawn[name] = drawn.get(name, -1) + 1
        marks: dict[str, Any] = {"color": colours[name], "marker": MARKS[number % len(MARKS)], "zorder": 3}
        ax.scatter(line, np.arange(len(names)) + off, 40, label=label, edgecolors="white", linewidths=0.6, **marks)
    ax.set_yticks(range(len(names)), names, color="#334155")
    ax.set(xlim=(0, None), ylim=(len(names) - 0.5, -0.5))
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="y", visible=False)
    ax.spines["left"].set_visible(False)


def _errors(result: Result) -> Mapping[str, Mapping[str, Any]]:
    """What is recorded of errors on annotated boxes, by readout; empty where nothing is."""
    return result.get("errors", {}).get("gt", {})


def _merged(found: Mapping[str, Any]) -> list[tuple[str, tuple[str, ...]]]:
    """What left and right are called together, and their names; in the order of the skeleton."""
    pairs = {name: tuple(pair) for pair in found["pairs"] for name in pair}
    groups = dict.fromkeys(pairs.get(name, (name,)) for name in found["joints"])
    return [(_common(*names), names) for names in groups]


def _common(*names: str) -> str:
    words = [re.split(r"[\W_]+", name) for name in names]
    shared = [word for word in words[0] if all(word in other for other in words)]
    return " ".join(shared) or ", ".join(names)


def _means(seeds: Sequence[Mapping[str, Any]]) -> list[float]:
    """Mean over all labelled joints of left, right and all seeds, percent; NaN without any."""
    means = []
    for _, names in _merged(seeds[0]):
        found = [seed["joints"][name] for seed in seeds for name in names]
        count = sum(joint["labelled"] for joint in found)
        total = sum(joint["labelled"] * (joint["mean_normalised"] or 0.0) for joint in found)
        means.append(100 * total / count if count else float("nan"))
    return means
