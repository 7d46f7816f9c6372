"""Accuracy over input size, and curves of training."""

import textwrap
from collections.abc import Sequence
from functools import partial
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from poserep.report.figures.panels import TEXT_WIDTH, Panel, legend_mark, series_style, spread_bars, stack, write_out
from poserep.report.labels import Result, height_and_width, input_size, run_labels, scheme_colours, scheme_title
from poserep.runs.rundir import RunDir


def accuracy_figure(results: Sequence[Result]) -> Figure | None:
    """Draw the chief metric over input size, or a bar for each readout if there is one size; means over seeds."""
    chief = results[0]["columns"][0]
    unit = "image px" if chief in results[0]["lower"] else "percent"
    colours = scheme_colours(results)
    boxes = next(iter(results[0]["metrics"]))
    points: dict[tuple[str, str, str], dict[str, list[float]]] = {}
    for result, label in zip(results, run_labels(results), strict=True):
        for readout, values in result["metrics"].get(boxes, {}).items():
            if values[chief] not in (None, -1):
                by_size = points.setdefault((scheme_title(result), label, readout), {})
                by_size.setdefault(input_size(result), []).append(values[chief])
    sizes = sorted({s for by_size in points.values() for s in by_size}, key=height_and_width)
    if not sizes:
        return None
    if len(sizes) == 1:
        figure, ax = plt.subplots(figsize=(3.7, 0.42 * len(points) + 1.0))
        for i, ((scheme, _, _), by_size) in enumerate(reversed(points.items())):
            value = float(np.mean(by_size[sizes[0]]))
            ax.barh(i, value, 0.62, color=colours[scheme])
            ax.text(value + 0.8, i, f"{value:.1f}", va="center", color="#334155")
        names = [f"{label} · {readout}" for _, label, readout in reversed(points)]
        # A bar has room for two lines.
        width = max(34, max(map(len, names)) // 2 + 8)
        ax.set_yticks(range(len(points)), [textwrap.fill(name, width) for name in names])
        limits = (0, 100 if unit == "percent" else None)
        ax.set(xlabel=f"{chief}_{boxes}, {unit}", xlim=limits, title=f"Accuracy at {sizes[0]}")
        ax.grid(axis="y", visible=False)
        return figure
    drawn: dict[str, int] = {}
    lines = []
    for (scheme, label, readout), by_size in points.items():
        x = [i for i, s in enumerate(sizes) if s in by_size]
        y = [(float(v.mean()), float(v.std(ddof=len(v) > 1))) for v in (np.array(by_size[sizes[i]]) for i in x)]
        lines.append((x, y, series_style(scheme, drawn, colours), textwrap.fill(f"{label} · {readout}", TEXT_WIDTH)))

    def draw(ax: Axes) -> None:
        for x, y, style, _ in lines:
            spread_bars(ax, x, y, style["color"])
            ax.plot(x, [mean for mean, _ in y], markeredgecolor="white", **style)
        ax.set_xticks(range(len(sizes)), sizes)
        ax.set(xlabel="input size, height x width", ylabel=f"{chief}_{boxes}, {unit}")

    legend = [(legend_mark(**s), text) for _, _, s, text in lines]
    return stack([Panel(f"{chief} of every readout over input size", draw, legend)])


def training_figure(results: Sequence[Result]) -> Figure | None:
    """Draw training loss relative to its first epoch, and the default readout's chief metric, over epochs."""
    colours = scheme_colours(results)
    key = f"val/{results[0]['columns'][0]}_{next(iter(results[0]['metrics']))}"
    drawn: dict[str, int] = {}
    styles: dict[tuple[str, str], dict[str, Any]] = {}
    lines: dict[str, list[tuple[list[int], list[float], dict[str, Any]]]] = {"train/loss": [], key: []}
    for result, label in zip(results, run_labels(results), strict=True):
        called = (scheme_title(result), f"{label}, {input_size(result)}")
        style = styles[called] = styles.get(called) or series_style(scheme_title(result), drawn, colours)
        # The last line is the evaluation after training, which belongs to no epoch.
        curve = [row for row in RunDir(result["path"]).curve() if row["epoch"] < result["epochs"]]
        for name, found in lines.items():
            logged = {row["epoch"] + 1: row[name] for row in curve if name in row}
            unit = next(iter(logged.values()), 1) if name == "train/loss" else 1
            found.append((list(logged), [value / unit for value in logged.values()], style))

    def draw(ax: Axes, name: str) -> None:
        for x, y, style in lines[name]:
            ax.plot(x, y, markersize=4, linewidth=1.2, **style)
        ax.set(xlabel="epoch", xlim=(0, 1 + max((max(x) for x, _, _ in lines[name] if x), default=1)))
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        if name == key:
            ax.set_ylim(0, None)
        else:
            ax.set_yscale("log", nonpositive="mask")
            write_out(ax.yaxis)

    legend = [(legend_mark(**s, size=4), textwrap.fill(text, TEXT_WIDTH)) for (_, text), s in styles.items()]
    # Runs that end with their first evaluation have no curve of it.
    several = any(x for x, _, _ in lines[key])
    panels = [Panel("Training loss / first epoch's", partial(draw, name="train/loss"), () if several else legend)]
    if several:
        panels.append(Panel(f"{key.removeprefix('val/')} of the default readout", partial(draw, name=key), legend))
    return stack(panels)
