"""Figures of the study: what bins cost, what AP they leave, and what disturbed outputs do to readouts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullFormatter, StrMethodFormatter

from poserep.drawing import PALETTE, STYLE
from poserep.files import replacing
from poserep.studies.quantisation_error.table import Line, sizes_of

INK, SOFT, BAR = "#334155", "#94a3b8", "#eef2f7"
# Colours of an undisturbed output, then of disturbed ones.
CONDITIONS = (SOFT, "#38bdf8", PALETTE[0], PALETTE[1], PALETTE[3], PALETTE[4])
# Smaller errors are drawn here: nobody sees them, and a logarithm knows no 0.
LEAST_PX = 0.002


@dataclass(frozen=True)
class Series:
    """One readout of one representation, in the colour of that; ``lines`` are of undisturbed outputs, by size."""

    name: str
    colour: str
    lines: Mapping[str, Line]


def draw_figures(
    folder: Path, rows: Sequence[Line], source: str, wanted: Mapping[str, Any], ending: str = ""
) -> list[Path]:
    """Draw what the lines of one source have data for, each figure as SVG and PNG, and return the files.

    ``wanted["lines"]`` maps names in the figures to a representation and its readout, ``wanted["robustness"]`` lists
    representations; what was not measured is left out. The source stands below each figure.
    """
    chosen = chosen_series(rows, wanted["lines"])
    paths = []
    with plt.rc_context(STYLE):
        drawn = {"error": draw_errors(chosen), "ap": draw_best_ap(chosen)}
        for name, figure in {**drawn, "robustness": draw_robustness(rows, wanted["robustness"])}.items():
            if figure is None:
                continue
            below = figure.get_tightbbox().y0 / figure.get_figheight() - 0.015
            figure.text(0.9, below, source, ha="right", va="top", fontsize=7.5, color=SOFT)
            for kind, metadata in (("svg", {"Date": None}), ("png", None)):
                paths.append(folder / f"{name}{ending}.{kind}")
                with replacing(paths[-1]) as partial:
                    figure.savefig(partial, format=kind, bbox_inches="tight", dpi=150, metadata=metadata)
            plt.close(figure)
    return paths


def chosen_series(rows: Sequence[Line], chosen: Mapping[str, Sequence[str]]) -> list[Series]:
    """Return the chosen lines that were measured; if there are none, the first readout of every representation."""
    clean: dict[tuple[str, str], dict[str, Line]] = {}
    for row in rows:
        if row["condition"] == rows[0]["condition"] and row["align"] == rows[0]["align"] and "mean_px" in row:
            clean.setdefault((row["representation"], row["readout"]), {})[row["size"]] = row
    series = {name: clean[key] for name, key in ((n, (of[0], of[1])) for n, of in chosen.items()) if key in clean}
    if not series:
        for (representation, _), by in clean.items():
            series.setdefault(representation, by)
    titles = [next(iter(by.values()))["title"] for by in series.values()]
    families = list(dict.fromkeys(titles))
    colours = (PALETTE[families.index(title) % len(PALETTE)] for title in titles)
    return [Series(name, colour, by) for colour, (name, by) in zip(colours, series.items(), strict=True)]


def _px_axis(ax: Axes, right: float) -> None:
    # Logarithmic, with plain numbers.
    ax.set_xscale("log")
    ax.set_xlim(LEAST_PX * 0.85, right)
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.grid(axis="y", visible=False)


def draw_errors(chosen: Sequence[Series]) -> Figure:
    """Draw the error per axis at every size with what whole bins allow, and beside it the AP that is left."""
    columns = sizes_of(line for one in chosen for line in one.lines.values())
    figure, (ax, side) = plt.subplots(
        1, 2, figsize=(11.4, 0.56 * len(chosen) + 1.4), width_ratios=(3, 2), gridspec_kw={"wspace": 0.03}
    )
    offsets = np.linspace(-0.26, 0.26, len(columns)) if len(columns) > 1 else np.zeros(1)
    for i, one in enumerate(chosen):
        measured = [size for size in columns if size in one.lines]
        at = np.array([offsets[columns.index(size)] for size in measured]) + i
        mean, most = (np.maximum([one.lines[s][n] for s in measured], LEAST_PX) for n in ("mean_px", "max_px"))
        bound = one.lines[measured[0]]["bound_px"]
        if bound:
            ax.barh(i, bound - LEAST_PX * 0.5, 0.8, LEAST_PX * 0.5, color=BAR, zorder=0)
            ax.text(bound * 0.97, i - 0.38, f"{bound:.3g}", color=SOFT, fontsize=7, ha="right", va="top")
        ax.plot(mean, at, color=one.colour, marker="o", markersize=3.6, linewidth=1.1)
        ax.scatter(most, at, s=22, color=one.colour, marker="|", linewidths=1.3)
    _px_axis(ax, 1.5 * max(line["max_px"] for one in chosen for line in one.lines.values()))
    ax.set_yticks(range(len(chosen)), [one.name for one in chosen])
    ax.set_ylim(len(chosen) - 0.45, -0.55)
    ax.tick_params(axis="y", length=0)
    ax.set_title("Error per axis, input px", pad=22)
    order = f"from {columns[0]} (top) to {columns[-1]} (bottom of a row)" if len(columns) > 1 else f"at {columns[0]}"
    ax.set_xlabel(f"●  mean and  |  greatest error, {order}; grey: what whole bins allow", fontsize=8.5)
    _shade(side, chosen, columns)
    for axes in (ax, side):
        axes.spines[["left", "bottom"]].set_visible(False)
    for text, one in zip(ax.get_yticklabels(), chosen, strict=True):
        text.set_color(one.colour)
    return figure


def _shade(ax: Axes, chosen: Sequence[Series], columns: Sequence[str]) -> None:
    # AP as numbers, the darker the more is lost.
    for i, one in enumerate(chosen):
        for j, size in enumerate(columns):
            if size not in one.lines:
                continue
            value = one.lines[size]["AP"]
            # A tenth of a point is to be seen as well as fifty.
            strength = 0.75 * np.log1p(10 * (100 - value)) / np.log1p(1000)
            colour = [1 + strength * (c - 1) for c in to_rgb(PALETTE[1])]
            ax.barh(i, 0.96, 0.8, j - 0.48, color=colour)
            ax.text(j, i, f"{value:.1f}", ha="center", va="center", fontsize=9, color=INK)
    ax.set_xlim(-0.55, len(columns) - 0.45)
    ax.set_ylim(len(chosen) - 0.45, -0.55)
    ax.set_xticks(range(len(columns)), columns, fontsize=8.5)
    ax.set_yticks([])
    ax.tick_params(axis="x", length=0, labeltop=True, labelbottom=False)
    ax.grid(visible=False)
    ax.set_title("AP that is left, percent", pad=22)


def spaced(wanted: np.ndarray, gap: float) -> np.ndarray:
    """Return positions (N,) at least ``gap`` apart, in the same order and near the wanted ones."""
    order = np.argsort(wanted, kind="stable")
    steps = gap * np.arange(len(wanted))
    level = wanted[order] - steps
    # Pushing up and pushing down both keep the gap; so does their mean, which is nearer.
    moved = (np.maximum.accumulate(level) + np.minimum.accumulate(level[::-1])[::-1]) / 2 + steps
    positions = np.empty_like(wanted)
    positions[order] = moved
    return positions


def draw_best_ap(chosen: Sequence[Series]) -> Figure:
    """Draw the AP of perfect outputs against input size, on a scale that is stretched toward 100."""
    columns = sizes_of(line for one in chosen for line in one.lines.values())

    def stretch(values: Any) -> np.ndarray:
        return -np.log10(100.03 - np.asarray(values, float))

    figure, ax = plt.subplots(figsize=(8.4, 4.6))
    first = []
    for one in chosen:
        x = sorted(columns.index(size) for size in one.lines)
        y = stretch([one.lines[columns[i]]["AP"] for i in x])
        ax.plot(x, y, color=one.colour, marker="o", markersize=4.5, linewidth=1.6)
        first.append((x[0], y[0]))
    ticks = (0, 50, 90, 99, 99.9, 100)
    ax.yaxis.tick_right()
    ax.yaxis.set_major_locator(FixedLocator(list(stretch(ticks))))
    ax.set_yticklabels([f"{tick:g}" for tick in ticks])
    ax.set_xticks(range(len(columns)), columns)
    ax.set(xlabel="input size", xlim=(-0.15, len(columns) - 0.75), ylim=(stretch(0) - 0.05, stretch(100) + 0.12))
    ax.set_title("AP that perfect outputs reach, percent", x=-0.02)
    ax.grid(axis="x", visible=False)
    ax.spines["left"].set_visible(False)
    places = spaced(np.array([y for _, y in first]), 0.175)
    for one, point, y in zip(chosen, first, places, strict=True):
        arrow = {"arrowstyle": "-", "color": one.colour, "linewidth": 0.6, "shrinkA": 2, "shrinkB": 4}
        where = (-0.35, float(y))
        style: dict[str, Any] = {"ha": "right", "va": "center", "fontsize": 9, "annotation_clip": False}
        ax.annotate(one.name, point, where, color=one.colour, arrowprops=arrow, **style)
    return figure


def draw_robustness(rows: Sequence[Line], wanted: Sequence[str]) -> Figure | None:
    """Draw the 95th percentile of the error for every readout, of perfect and of disturbed outputs."""
    first = rows[0]["condition"]
    rows = [row for row in rows if row["representation"] in wanted]
    disturbed = [row for row in rows if row["disturbed"] and "p95_px" in row]
    if not disturbed:
        return None
    size, align = disturbed[0]["size"], disturbed[0]["align"]
    names = [first, *dict.fromkeys(row["condition"] for row in disturbed)]
    found: dict[str, dict[str, dict[str, float]]] = {}
    for row in rows:
        if (row["size"], row["align"]) == (size, align) and row["condition"] in names:
            by = found.setdefault(row["representation"], {}).setdefault(row["readout"], {})
            by[row["condition"]] = max(row["p95_px"], LEAST_PX)
    ticks: list[tuple[float, str, bool]] = []
    figure, ax = plt.subplots(figsize=(8.4, 0.27 * sum(len(by) + 1.3 for by in found.values()) + 0.9))
    place = 0.0
    for representation, by_readout in found.items():
        ticks.append((place, representation, True))
        for readout, by in by_readout.items():
            place += 1
            ticks.append((place, readout.replace("_", " "), False))
            ax.plot([min(by.values()), max(by.values())], [place] * 2, color=BAR, linewidth=7, zorder=0)
            for i, (name, value) in enumerate(by.items()):
                # Points that coincide are still to be seen.
                y = place + 0.36 * (i / max(len(by) - 1, 1) - 0.5)
                colour = CONDITIONS[names.index(name) % len(CONDITIONS)]
                ax.scatter(value, y, s=30, color=colour, zorder=2, linewidths=0)
        place += 1.3
    for name, colour in zip(names, CONDITIONS, strict=False):
        ax.scatter([], [], s=30, color=colour, label=name, linewidths=0)
    _px_axis(ax, 1.5 * max(v for by_readout in found.values() for by in by_readout.values() for v in by.values()))
    ax.set_yticks([at for at, _, _ in ticks], [text for _, text, _ in ticks], fontsize=9)
    for label, (_, _, heading) in zip(ax.get_yticklabels(), ticks, strict=True):
        label.set(weight="bold" if heading else "normal", color=INK)
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(place - 0.6, -0.7)
    ax.spines["left"].set_visible(False)
    ax.set_xlabel("95th percentile of the error per axis, input px")
    ax.set_title(f"Readouts of disturbed outputs at {size}", pad=24)
    ax.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=len(names), fontsize=9, handletextpad=0.1)
    return figure
