"""Figures of a report, drawn from the files of runs, as SVG or PNG that a page can hold."""

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from poserep.results import read_curve, scheme, settings

PALETTE = ("#2563eb", "#db2777", "#059669", "#d97706", "#7c3aed", "#0891b2", "#65a30d", "#dc2626")
TRUTH = "#16a34a"
MARKS = ("o", "s", "D", "^", "v", "P", "X")
STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#94a3b8",
    "axes.labelcolor": "#334155",
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "xtick.color": "#475569",
    "ytick.color": "#475569",
    "grid.color": "#e2e8f0",
    "axes.grid": True,
    "axes.axisbelow": True,
    "svg.fonttype": "none",
    "legend.frameon": False,
}

Result = Mapping[str, Any]


def draw(results: Sequence[Result]) -> dict[str, str]:
    """All figures of a study by name, each as an ``<img>`` source; those without data are left out."""
    with plt.rc_context(STYLE):
        made = {
            "accuracy": accuracy(results),
            "training": training(results),
            "crops": crops(results),
            "views": views(results),
        }
        return {
            name: encode(figure, vector=name in ("accuracy", "training")) for name, figure in made.items() if figure
        }


def encode(figure: Figure, vector: bool) -> str:
    """A data URI; closes the figure."""
    buffer = io.BytesIO()
    kind, mime = ("svg", "image/svg+xml") if vector else ("png", "image/png")
    # The date would make every page differ from the last.
    metadata = {"Date": None} if vector else None
    figure.savefig(buffer, format=kind, bbox_inches="tight", dpi=110, metadata=metadata)
    plt.close(figure)
    return f"data:{mime};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def title(result: Result) -> str:
    """The scheme's name."""
    return scheme(result)[0]


def schemes(results: Sequence[Result]) -> dict[str, str]:
    """A colour for every scheme."""
    names = dict.fromkeys(title(r) for r in results)
    return {name: PALETTE[i % len(PALETTE)] for i, name in enumerate(names)}


def labels(results: Sequence[Result]) -> list[str]:
    """Scheme and setting of each run; runs that differ in seed or size alone share a label."""
    return [
        f"{title(r)}, {setting}" if setting else title(r) for r, setting in zip(results, settings(results), strict=True)
    ]


def accuracy(results: Sequence[Result]) -> Figure:
    """AP of the first kind of boxes against input size; with one size, a bar for each readout. Seeds are averaged."""
    colours = schemes(results)
    boxes = next(iter(results[0]["metrics"]))
    points: dict[tuple[str, str, str], dict[str, list[float]]] = {}
    for result, label in zip(results, labels(results), strict=True):
        for readout, values in result["metrics"].get(boxes, {}).items():
            by_size = points.setdefault((title(result), label, readout), {})
            by_size.setdefault(scheme(result)[1], []).append(values["AP"])
    sizes = sorted({s for by in points.values() for s in by}, key=lambda s: [int(n) for n in s.split("x")])
    if len(sizes) == 1:
        figure, ax = plt.subplots(figsize=(7.2, 0.42 * len(points) + 1.0))
        for i, ((name, _, _), by_size) in enumerate(reversed(points.items())):
            value = float(np.mean(by_size[sizes[0]]))
            ax.barh(i, value, 0.62, color=colours[name])
            ax.text(value + 0.8, i, f"{value:.1f}", va="center", color="#334155")
        ax.set_yticks(range(len(points)), [f"{label} · {readout}" for _, label, readout in reversed(points)])
        ax.set(xlabel=f"AP_{boxes}, percent", xlim=(0, 100), title=f"Accuracy at {sizes[0]}")
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
    ax.set(xlabel="input size", ylabel=f"AP_{boxes}, percent", title="Accuracy against input size")
    ax.legend(fontsize=8)
    return figure


def training(results: Sequence[Result]) -> Figure | None:
    """Training loss relative to its first epoch, and AP of the default readout, over epochs."""
    colours = schemes(results)
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 3.4))
    key = f"val/AP_{next(iter(results[0]['metrics']))}"
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
    left.set(yscale="log", xlabel="epoch", title="Training loss / first epoch's")
    right.set(xlabel="epoch", title=f"{key.removeprefix('val/')} of the default readout, percent", ylim=(0, None))
    right.legend(fontsize=8)
    figure.tight_layout(w_pad=3)
    return figure


def load_samples(result: Result) -> dict[str, np.ndarray] | None:
    """The evaluated crops that a run has kept."""
    path = Path(result["path"]) / "samples.npz"
    if not path.is_file():
        return None
    with np.load(path) as file:
        return dict(file)


def shown(results: Sequence[Result]) -> list[tuple[Result, dict[str, np.ndarray]]]:
    """One run per scheme, the first seed of the largest size, with its crops; all of the same data set."""
    chosen: dict[str, Result] = {}
    for result in results:
        area = np.prod([int(n) for n in result["config"]["input_size"].split("x")])
        best = chosen.get(title(result))
        if best is None or area > np.prod([int(n) for n in best["config"]["input_size"].split("x")]):
            chosen[title(result)] = result
    pairs = [(r, load_samples(r)) for r in chosen.values()]
    kept = [(r, s) for r, s in pairs if s is not None]
    return [(r, s) for r, s in kept if np.array_equal(s["index"], kept[0][1]["index"])]


def show(ax: Axes, image: np.ndarray) -> None:
    """A crop without axes."""
    ax.imshow(image, interpolation="lanczos")
    ax.set_xlim(-0.5, image.shape[1] - 0.5)
    ax.set_ylim(image.shape[0] - 0.5, -0.5)
    ax.set_axis_off()


def limbs(ax: Axes, xy: np.ndarray, weight: np.ndarray, edges: np.ndarray, colour: str) -> None:
    """A skeleton, light under dark so that it reads on any picture."""
    for a, b in edges:
        if weight[a] > 0 and weight[b] > 0:
            ax.plot(*xy[[a, b]].T, color="white", linewidth=3.0, alpha=0.75, solid_capstyle="round")
            ax.plot(*xy[[a, b]].T, color=colour, linewidth=1.6, solid_capstyle="round")
    found = xy[weight > 0]
    ax.scatter(found[:, 0], found[:, 1], s=9, color=colour, edgecolors="white", linewidths=0.5, zorder=3)


def crops(results: Sequence[Result], count: int = 8) -> Figure | None:
    """Evaluated crops: the truth, then every scheme's prediction with its default readout."""
    rows = shown(results)
    if not rows:
        return None
    colours = schemes(results)
    columns = min(count, len(rows[0][1]["index"]))
    height, width = rows[0][1]["image"].shape[1:3]
    cell = 1.35
    figure, axes = plt.subplots(
        len(rows) + 1, columns, figsize=(cell * columns, cell * height / width * (len(rows) + 1)), squeeze=False
    )
    for j in range(columns):
        sample = rows[0][1]
        show(axes[0, j], sample["image"][j])
        limbs(axes[0, j], sample["xy"][j], sample["weight"][j], sample["edges"], TRUTH)
        for i, (result, sample) in enumerate(rows, 1):
            readout = next(iter(next(iter(result["metrics"].values()))))
            show(axes[i, j], sample["image"][j])
            # Only joints that have a truth: the others are not scored, and clutter the picture.
            limbs(axes[i, j], sample[f"{readout}/xy"][j], sample["weight"][j], sample["edges"], colours[title(result)])
    for i, name in enumerate(["ground truth", *(title(r) for r, _ in rows)]):
        colour = TRUTH if i == 0 else colours[name]
        axes[i, 0].text(-0.06, 0.5, name, rotation=90, va="center", ha="right", color=colour, weight="bold",
                        fontsize=8, transform=axes[i, 0].transAxes)  # fmt: skip
    figure.subplots_adjust(wspace=0.04, hspace=0.04)
    return figure


def views(results: Sequence[Result]) -> Figure | None:
    """One crop as every scheme sees it: heatmaps over the picture, or distributions along its axes."""
    rows = shown(results)
    if not rows:
        return None
    sample = rows[0][1]
    which = int(np.argmax(sample["weight"].sum(1)))
    joints = [int(j) for j in np.flatnonzero(sample["weight"][which])]
    # Few enough to tell apart, from all over the body.
    joints = [joints[i] for i in np.unique(np.linspace(0, len(joints) - 1, 4).round().astype(int))]
    figure = plt.figure(figsize=(4.3 * len(rows), 4.6))
    for panel, (result, sample) in zip(figure.subfigures(1, len(rows), squeeze=False)[0], rows, strict=True):
        readout = next(iter(next(iter(result["metrics"].values()))))
        if "density/map" in sample:
            _view_map(panel, sample, which, joints, f"{title(result)}: heatmaps of {len(joints)} joints")
        else:
            _view_axes(panel, sample, which, joints, f"{title(result)}: distributions of {len(joints)} joints")
        for ax in panel.axes[:1]:
            for j, colour in zip(joints, PALETTE[1:], strict=False):
                ax.plot(*sample["xy"][which, j], marker="o", ms=9, mfc="none", mec="white", mew=1.6)
                ax.plot(*sample[f"{readout}/xy"][which, j], marker="+", ms=9, mec=colour, mew=2)
    names = ", ".join(str(sample["names"][j]) for j in joints)
    figure.text(0.5, -0.02, f"joints: {names};  ○ truth   + prediction", ha="center", color="#475569", fontsize=9)
    return figure


def _view_map(panel: Any, sample: dict[str, np.ndarray], which: int, joints: list[int], name: str) -> None:
    ax = panel.subplots()
    image = sample["image"][which]
    ax.set_title(name, fontsize=10)
    show(ax, image)
    maps = sample["density/map"][which, joints].astype(np.float32)
    peak = maps.max((1, 2), keepdims=True)
    together = (maps / np.maximum(peak, 1e-6)).max(0)
    x, y = sample["bins/x"], sample["bins/y"]
    half_x, half_y = (x[1] - x[0]) / 2, (y[1] - y[0]) / 2
    extent = (x[0] - half_x, x[-1] + half_x, y[-1] + half_y, y[0] - half_y)
    alpha = np.clip(together * 1.2, 0, 0.85)
    ax.imshow(together, cmap="magma", alpha=alpha, extent=extent, interpolation="nearest")


def _view_axes(panel: Any, sample: dict[str, np.ndarray], which: int, joints: list[int], name: str) -> None:
    image = sample["image"][which]
    height, width = image.shape[:2]
    grid = panel.add_gridspec(2, 2, width_ratios=(4, 1), height_ratios=(1, 4), wspace=0.04, hspace=0.04)
    ax, top, side = (panel.add_subplot(grid[i]) for i in (2, 0, 3))
    show(ax, image)
    top.set_title(name, fontsize=10)
    for j, colour in zip(joints, PALETTE[1:], strict=False):
        x, y = (sample[f"density/{axis}"][which, j].astype(np.float32) for axis in "xy")
        px, py = sample["bins/x"], sample["bins/y"]
        top.fill_between(px, x, color=colour, alpha=0.25)
        top.plot(px, x, color=colour)
        side.fill_betweenx(py, y, color=colour, alpha=0.25)
        side.plot(y, py, color=colour)
        ax.axvline(px[x.argmax()], color=colour, linewidth=0.7, alpha=0.7)
        ax.axhline(py[y.argmax()], color=colour, linewidth=0.7, alpha=0.7)
    top.set(xlim=(-0.5, width - 0.5), ylim=(0, None), xticks=[], yticks=[])
    side.set(ylim=(height - 0.5, -0.5), xlim=(0, None), xticks=[], yticks=[])
