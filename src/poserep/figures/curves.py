"""Accuracy and training: what came out, and how it got there."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from poserep.figures.style import MARKS, Result, labels, schemes, title
from poserep.results import columns, read_curve, scheme


def accuracy(results: Sequence[Result]) -> Figure | None:
    """The chief metric of the first kind of boxes against input size; with one size, a bar for each readout.

    Seeds are averaged.
    """
    chief = columns(results[0])[0]
    unit = "image px" if chief in results[0]["lower"] else "percent"
    colours = schemes(results)
    boxes = next(iter(results[0]["metrics"]))
    points: dict[tuple[str, str, str], dict[str, list[float]]] = {}
    for result, label in zip(results, labels(results), strict=True):
        for readout, values in result["metrics"].get(boxes, {}).items():
            by_size = points.setdefault((title(result), label, readout), {})
            if values[chief] is not None:
                by_size.setdefault(scheme(result)[1], []).append(values[chief])
    points = {key: by_size for key, by_size in points.items() if by_size}
    sizes = sorted({s for by in points.values() for s in by}, key=lambda s: [int(n) for n in s.split("x")])
    if not sizes:
        return None
    if len(sizes) == 1:
        figure, ax = plt.subplots(figsize=(7.2, 0.42 * len(points) + 1.0))
        for i, ((name, _, _), by_size) in enumerate(reversed(points.items())):
            value = float(np.mean(by_size[sizes[0]]))
            ax.barh(i, value, 0.62, color=colours[name])
            ax.text(value + 0.8, i, f"{value:.1f}", va="center", color="#334155")
        ax.set_yticks(range(len(points)), [f"{label} · {readout}" for _, label, readout in reversed(points)])
        ax.set(
            xlabel=f"{chief}_{boxes}, {unit}",
            xlim=(0, 100 if unit == "percent" else None),
            title=f"Accuracy at {sizes[0]}",
        )
        ax.grid(axis="y", visible=False)
        return figure
    figure, ax = plt.subplots(figsize=(7.2, 4))
    drawn: dict[str, int] = {}
    for (name, label, readout), by_size in points.items():
        number = drawn[name] = drawn.get(name, -1) + 1
        x = [i for i, s in enumerate(sizes) if s in by_size]
        y = [np.array(by_size[sizes[i]]) for i in x]
        style: dict[str, Any] = {"color": colours[name], "marker": MARKS[number % len(MARKS)]}
        style |= {"linestyle": ("-", "--", ":")[number % 3], "label": f"{label} · {readout}", "capsize": 3}
        ax.errorbar(x, [v.mean() for v in y], [v.std() for v in y], **style)
    ax.set_xticks(range(len(sizes)), sizes)
    ax.set(xlabel="input size", ylabel=f"{chief}_{boxes}, {unit}", title="Accuracy against input size")
    ax.legend(fontsize=8)
    return figure


def training(results: Sequence[Result]) -> Figure | None:
    """Training loss relative to its first epoch, and the chief metric of the default readout, over epochs."""
    colours = schemes(results)
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 3.4))
    key = f"val/{columns(results[0])[0]}_{next(iter(results[0]['metrics']))}"
    drawn: dict[str, int] = {}
    for result, label in zip(results, labels(results), strict=True):
        # The last line is the evaluation after training, which belongs to no epoch.
        curve = [row for row in read_curve(Path(result["path"])) if row["epoch"] < result["epochs"]]
        loss = [(row["epoch"] + 1, row["train/loss"]) for row in curve if "train/loss" in row]
        found = [(row["epoch"] + 1, row[key]) for row in curve if key in row]
        number = drawn[title(result)] = drawn.get(title(result), -1) + 1
        seed = f" seed {result['config']['seed']}" if result["config"]["seed"] else ""
        style: dict[str, Any] = {"color": colours[title(result)], "marker": MARKS[number % len(MARKS)], "markersize": 4}
        style |= {"linestyle": ("-", "--", ":")[number % 3], "label": f"{label} {scheme(result)[1]}{seed}"}
        if loss:
            left.plot([e for e, _ in loss], [v / loss[0][1] for _, v in loss], **style)
        if found:
            right.plot([e for e, _ in found], [v for _, v in found], **style)
    left.set_yscale("log", nonpositive="mask")
    left.set(xlabel="epoch", title="Training loss / first epoch's")
    right.set(xlabel="epoch", title=f"{key.removeprefix('val/')} of the default readout", ylim=(0, None))
    right.legend(fontsize=8)
    figure.tight_layout(w_pad=3)
    return figure
