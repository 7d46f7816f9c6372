"""Scores: what joints of a score are worth."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from poserep.drawing import MARKS
from poserep.report.figures.style import Result, labels, schemes, title
from poserep.report.names import scheme
from poserep.runs.values import calibration


def reliability(results: Sequence[Result]) -> Figure | None:
    """Mean OKS against mean score of the default readout, a panel for each input size, with the joints of each bin."""
    lines: dict[str, dict[tuple[str, str], list[Any]]] = {}
    for result, label in zip(results, labels(results), strict=True):
        # The first readout is the default one.
        for readout, found in list(calibration(result).items())[:1]:
            key = title(result), f"{label} · {readout}"
            lines.setdefault(scheme(result)[1], {}).setdefault(key, []).append(found)
    if not lines:
        return None
    colours = schemes(results)
    figure, axes = plt.subplots(len(lines), figsize=(7.2, 6.2 * len(lines)), squeeze=False)
    figure.subplots_adjust(hspace=0.55)
    for curve, size in zip(axes.flat, sorted(lines, key=lambda s: [int(n) for n in s.split("x")]), strict=True):
        # As an inset it keeps the width of the square above.
        counts = curve.inset_axes((0, -0.3, 1, 0.24), sharex=curve)
        curve.plot([0, 1], [0, 1], color="#94a3b8", linewidth=1.2, linestyle=(0, (4, 3)), label="calibrated")
        drawn: dict[str, int] = {}
        for i, ((name, label), seeds) in enumerate(lines[size].items()):
            number = drawn[name] = drawn.get(name, -1) + 1
            joints, score, oks = _joined([seed["bins"] for seed in seeds])
            share = joints / joints.sum()
            full = joints > 0
            ece, aurc = (np.mean([seed[key] for seed in seeds]) for key in ("ece", "aurc"))
            text = f"{textwrap.fill(label, 28)}\nECE {ece:.3f}   AURC {aurc:.3f}"
            style: dict[str, Any] = {"color": colours[name], "linestyle": ("-", "--", ":")[number % 3]}
            curve.plot(score[full], oks[full], linewidth=1.8, label=text, **style)
            marks: dict[str, Any] = {"color": colours[name], "marker": MARKS[number % len(MARKS)], "zorder": 3}
            curve.scatter(score[full], oks[full], 14 + 160 * share[full], edgecolors="white", **marks)
            width = 0.9 / len(joints) / len(lines[size])
            left = np.arange(len(joints)) / len(joints) + 0.05 / len(joints) + i * width
            counts.bar(left, 100 * share, width, align="edge", color=colours[name], alpha=max(0.3, 1 - 0.35 * number))
        curve.set(xlim=(0, 1), ylim=(0, 1), ylabel="mean OKS of the joints", title=f"Reliability at {size}")
        curve.set_aspect("equal")
        curve.tick_params(labelbottom=False)
        counts.set(xlabel="score of the joints", ylabel="% of joints", xticks=np.linspace(0, 1, 6))
        counts.grid(axis="x", visible=False)
        curve.legend(fontsize=8.5, loc="upper left", bbox_to_anchor=(1.02, 1), labelspacing=0.9)
    return figure


def _joined(seeds: Sequence[Sequence[Mapping[str, Any]]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Joints, mean score and mean OKS of each bin, over all seeds; 0 where there are no joints."""
    count = np.array([[b["count"] for b in bins] for bins in seeds], float)
    means = (np.array([[b[key] or 0.0 for b in bins] for bins in seeds]) for key in ("score", "oks"))
    joints = count.sum(0)
    score, oks = ((mean * count).sum(0) / np.maximum(joints, 1) for mean in means)
    return joints, score, oks
