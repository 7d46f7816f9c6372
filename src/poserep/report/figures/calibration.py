"""Calibration: how well joints of a score are found."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from poserep.drawing import MARKS
from poserep.report.figures.panels import AXIS, LINES, TEXT_WIDTH, Panel, legend_mark, number_in, stack
from poserep.report.labels import Result, height_and_width, input_size, run_labels, scheme_colours, scheme_title
from poserep.runs.result_values import calibration_by_readout

# Inches: the plot is square, and the histogram below it takes a share of its height.
SQUARE, HISTOGRAM = 4.59, 0.3


def reliability_figure(results: Sequence[Result]) -> Figure | None:
    """Draw mean OKS over mean score of the default readout, a panel for each size, with the joints of each bin."""
    series: dict[str, dict[tuple[str, str], list[Any]]] = {}
    for result, label in zip(results, run_labels(results), strict=True):
        # The first readout is the default one.
        for readout, scores in list(calibration_by_readout(result).items())[:1]:
            key = scheme_title(result), f"{label} · {readout}"
            series.setdefault(input_size(result), {}).setdefault(key, []).append(scores)
    return stack([_panel(size, series[size], scheme_colours(results)) for size in sorted(series, key=height_and_width)])


def _panel(size: str, series: Mapping[tuple[str, str], Sequence[Any]], colours: Mapping[str, str]) -> Panel:
    drawn: dict[str, int] = {}
    lines = []
    legend = [(legend_mark("#94a3b8", "", (0, (4, 3))), "calibrated")]
    for (scheme, label), seeds in series.items():
        lines.append((colours[scheme], number := number_in(drawn, scheme), _joined(seeds)))
        ece, aurc = (np.mean([seed[key] for seed in seeds]) for key in ("ece", "aurc"))
        text = f"{textwrap.fill(label, TEXT_WIDTH)}\nECE {ece:.3f}   AURC {aurc:.3f}"
        legend.append((legend_mark(colours[scheme], MARKS[number % len(MARKS)], LINES[number % 3]), text))

    def draw(ax: Axes) -> None:
        counts = ax.inset_axes((0, -HISTOGRAM, 1, 0.8 * HISTOGRAM), sharex=ax)
        ax.plot([0, 1], [0, 1], color="#94a3b8", linewidth=1.2, linestyle=(0, (4, 3)))
        for i, (colour, number, (joints, score, oks)) in enumerate(lines):
            share, full = joints / joints.sum(), joints > 0
            ax.plot(score[full], oks[full], linewidth=1.8, color=colour, linestyle=LINES[number % 3])
            style: dict[str, Any] = {"color": colour, "marker": MARKS[number % len(MARKS)], "zorder": 3}
            ax.scatter(score[full], oks[full], 14 + 160 * share[full], edgecolors="white", **style)
            width = 0.9 / len(joints) / len(lines)
            left = np.arange(len(joints)) / len(joints) + 0.05 / len(joints) + i * width
            counts.bar(left, 100 * share, width, align="edge", color=colour, alpha=max(0.3, 1 - 0.35 * number))
        ax.set(xlim=(0, 1), ylim=(0, 1), ylabel="mean OKS of the joints")
        ax.tick_params(labelbottom=False)
        counts.set(xlabel="score of the joints", ylabel="% of joints", xticks=np.linspace(0, 1, 6))
        counts.grid(axis="x", visible=False)

    return Panel(f"Reliability at {size}", draw, legend, height=SQUARE, below=AXIS + HISTOGRAM * SQUARE)


def _joined(seeds: Sequence[Mapping[str, Any]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return joints, mean score and mean OKS of each bin, over all seeds; 0 where there are no joints."""
    bins = [[(b["count"], b["score"] or 0.0, b["oks"] or 0.0) for b in seed["bins"]] for seed in seeds]
    count, *means = np.moveaxis(np.array(bins, float), -1, 0)
    joints = count.sum(0)
    score, oks = ((mean * count).sum(0) / np.maximum(joints, 1) for mean in means)
    return joints, score, oks
