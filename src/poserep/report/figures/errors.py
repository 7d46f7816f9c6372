"""Errors of joints: of what kind they are, and where."""

import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from poserep.drawing import MARKS
from poserep.report.figures.panels import LEFT_EDGE, RIGHT_EDGE, number_in
from poserep.report.labels import Result, height_and_width, input_size, run_labels, scheme_colours, scheme_title

# From light to dark, so that they keep their order in print and for readers who see no hues.
KIND_COLOURS = {"good": "#cbd5e1", "jitter": "#38bdf8", "inversion": "#d97706", "swap": "#7c3aed", "miss": "#1e293b"}
SCALES = {"sqrt(area)": "√area of the person", "head": "head length"}
# Inches; narrow pages shrink figures, and text stays legible on a phone.
ERRORS_WIDTH = 5.8


def error_kinds_figure(results: Sequence[Result]) -> Figure | None:
    """Draw the share of each kind of error on annotated boxes, over seeds; a bar for each scheme, readout and size."""
    bars: dict[tuple[str, str], np.ndarray] = {}
    for result, label in zip(results, run_labels(results), strict=True):
        for readout, found in _errors(result).items():
            key = (f"{label} · {readout}", input_size(result))
            bars[key] = bars.get(key, 0) + np.array([found["taxonomy"]["count"][kind] for kind in KIND_COLOURS], float)
    if not bars:
        return None
    names = [textwrap.wrap(f"{label}, {size}", 60) for label, size in bars]
    # A row is the lines of its name, its bar, and air, in inches.
    line, bar, air = 0.19, 0.2, 0.13
    height = sum(line * len(name) + bar + air for name in names)
    figure = plt.figure(figsize=(ERRORS_WIDTH, height + 0.62))
    ax = figure.add_axes((LEFT_EDGE, 0, RIGHT_EDGE - LEFT_EDGE, height / (height + 0.62)))
    ax.set(xlim=(0, 100), ylim=(height, 0))
    ax.set_axis_off()
    place = 0.0
    # The right half is a table, its headings the legend.
    columns = np.linspace(57, 96, len(KIND_COLOURS))
    for (kind, colour), x in zip(KIND_COLOURS.items(), columns, strict=True):
        ax.text(x, -0.12, kind, ha="center", va="bottom", fontsize=9, color="#334155")
        ax.barh(-0.05, 7, 0.06, x - 3.5, color=colour, clip_on=False)
    for name, count in zip(names, bars.values(), strict=True):
        share = 100 * count / count.sum()
        ax.text(0, place + line * len(name) - 0.02, "\n".join(name), va="bottom", fontsize=9.5, color="#334155")
        place += line * len(name) + bar / 2
        ax.barh(place, share * 0.5, bar, np.append(0, np.cumsum(share)[:-1]) * 0.5, color=list(KIND_COLOURS.values()))
        for value, x in zip(share, columns, strict=True):
            ax.text(x, place, f"{value:.1f}", ha="center", va="center", fontsize=9.5, color="#334155")
        place += bar / 2 + air
    figure.text(LEFT_EDGE, 1, "Kinds of errors, percent of labelled joints", va="top", fontsize=12, weight="bold")
    return figure


def joint_errors_figure(results: Sequence[Result]) -> Figure | None:
    """Draw the default readout's mean normalised error of each joint, left and right as one, a panel for each size."""
    panels: dict[tuple[str, ...], dict[tuple[str, str], list[Mapping[str, Any]]]] = {}
    for result, label in zip(results, run_labels(results), strict=True):
        # The first readout is the default one.
        for readout, found in list(_errors(result).items())[:1]:
            # Another scale or another skeleton does not compare.
            panel = (input_size(result), found["scale"], *found["joints"])
            series = scheme_title(result), textwrap.fill(f"{label} · {readout}", 60)
            panels.setdefault(panel, {}).setdefault(series, []).append(found)
    if not panels:
        return None
    colours = scheme_colours(results)
    order = sorted(panels, key=lambda panel: height_and_width(panel[0]))
    # Title and legend, a row for each joint, and the axis, in inches.
    above = [0.45 + 0.2 * sum(text.count("\n") + 1 for _, text in panels[panel]) for panel in order]
    rows = [0.27 * len(_merged(next(iter(panels[panel].values()))[0])) for panel in order]
    below = 0.75
    total = sum(above) + sum(rows) + below * len(order)
    figure = plt.figure(figsize=(ERRORS_WIDTH, total))
    top = total
    for panel, over, height in zip(order, above, rows, strict=True):
        figure.text(LEFT_EDGE, top / total, f"Error by joint at {panel[0]}", va="top", fontsize=12, weight="bold")
        ax = figure.add_axes((0.2, (top - over - height) / total, RIGHT_EDGE - 0.2, height / total))
        _dots(ax, panels[panel], colours)
        ax.set_xlabel(f"mean error, percent of {SCALES[panel[1]]}")
        anchor = {"bbox_to_anchor": (LEFT_EDGE, (top - 0.28) / total), "bbox_transform": figure.transFigure}
        ax.legend(loc="upper left", **anchor, borderaxespad=0, borderpad=0, handletextpad=0.1, fontsize=9.5)
        top -= over + height + below
    return figure


def _dots(ax: Axes, series: Mapping[tuple[str, str], Sequence[Mapping[str, Any]]], colours: Mapping[str, str]) -> None:
    """Draw a row for each joint, with a mark for each scheme and setting."""
    names = [name for name, _ in _merged(next(iter(series.values()))[0])]
    values = np.array([_means(seeds) for seeds in series.values()])
    known = np.flatnonzero(np.isfinite(values).any(0))
    ends = np.nanmin(values[:, known], 0), np.nanmax(values[:, known], 0)
    ax.hlines(known, *ends, color="#e2e8f0", linewidth=8, zorder=1)
    drawn: dict[str, int] = {}
    # Equal values would hide each other.
    dodge = np.linspace(-0.14, 0.14, len(values)) if len(values) > 1 else np.zeros(1)
    for (scheme, label), line, off in zip(series, values, dodge, strict=True):
        number = number_in(drawn, scheme)
        marks: dict[str, Any] = {"color": colours[scheme], "marker": MARKS[number % len(MARKS)], "zorder": 3}
        ax.scatter(line, np.arange(len(names)) + off, 40, label=label, edgecolors="white", linewidths=0.6, **marks)
    ax.set_yticks(range(len(names)), names, color="#334155")
    ax.set(xlim=(0, None), ylim=(len(names) - 0.5, -0.5))
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="y", visible=False)
    ax.spines["left"].set_visible(False)


def _errors(result: Result) -> Mapping[str, Mapping[str, Any]]:
    """Return what is recorded of errors on annotated persons, by readout; empty where nothing is."""
    return next(iter(result.get("errors", {}).values()), {})


def _merged(found: Mapping[str, Any]) -> list[tuple[str, tuple[str, ...]]]:
    """Return the common name of left and right joints with their own names, in the order of the skeleton."""
    pairs = {name: tuple(pair) for pair in found["pairs"] for name in pair}
    groups = dict.fromkeys(pairs.get(name, (name,)) for name in found["joints"])
    return [(_common(*names), names) for names in groups]


def _common(*names: str) -> str:
    first, *others = (re.split(r"[\W_]+", name) for name in names)
    return " ".join(word for word in first if all(word in other for other in others)) or ", ".join(names)


def _means(seeds: Sequence[Mapping[str, Any]]) -> list[float]:
    """Return the mean over all labelled joints of left, right and all seeds, percent; NaN without any."""
    means = []
    for _, names in _merged(seeds[0]):
        found = [seed["joints"][name] for seed in seeds for name in names]
        count = sum(joint["labelled"] for joint in found)
        total = sum(joint["labelled"] * (joint["mean_normalised"] or 0.0) for joint in found)
        means.append(100 * total / count if count else np.nan)
    return means
