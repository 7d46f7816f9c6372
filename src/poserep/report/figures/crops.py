"""Pictures of evaluated crops: the truth, what each scheme predicts, what its network emits, and where it is worst."""

import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from mpl_toolkits.axes_grid1 import make_axes_locatable

from poserep.drawing import PALETTE, TRUTH, limbs, show_crop
from poserep.errors import InputError
from poserep.report.figures.points import area
from poserep.report.labels import Result, input_size, scheme_colours, scheme_title
from poserep.runs.records import read_npz

# Inches: a crop of the worst persons, the text below it, the scheme's name above; and crops in a row.
CELL, CAPTION, NAME = 1.5, 0.42, 0.3
WORST_COLUMNS = 6


def default_readout(result: Result) -> str:
    """Return the name of the default readout, which comes first."""
    return next(iter(next(iter(result["metrics"].values()))))


def kept_crops(results: Sequence[Result], name: str) -> list[tuple[Result, dict[str, np.ndarray]]]:
    """Return each scheme's first seed of the largest size with the crops of its file ``name``, if it has kept any.

    A file that cannot be read is named and left out.
    """
    by_scheme: dict[str, list[Result]] = {}
    for result in results:
        by_scheme.setdefault(scheme_title(result), []).append(result)
    chosen = [max(members, key=lambda result: area(input_size(result))) for members in by_scheme.values()]
    files = [Path(result["path"]) / name for result in chosen]
    kept = []
    for result, file in zip(chosen, files, strict=True):
        try:
            kept += [(result, read_npz(file))] if file.is_file() else []
        except InputError as error:
            _leave_out(str(error))
    return kept


@cache
def _leave_out(why: str) -> None:
    """Say once, however many figures there are, that a file is left out."""
    print(f"note: left out of the pictures: {why}", file=sys.stderr)


def _samples(results: Sequence[Result]) -> list[tuple[Result, dict[str, np.ndarray]]]:
    """Return the run of each scheme with its samples, all of the same data set."""
    kept = kept_crops(results, "samples.npz")
    return [(r, s) for r, s in kept if np.array_equal(s["index"], kept[0][1]["index"])]


def crops_figure(results: Sequence[Result], count: int = 8) -> Figure | None:
    """Draw evaluated crops: a row of the truth, then one for every scheme's default readout."""
    rows = _samples(results)
    if not rows:
        return None
    colours = scheme_colours(results)
    first = rows[0][1]
    height, width = first["image"].shape[1:3]
    columns, lines, cell = min(count, len(first["index"])), len(rows) + 1, 1.35
    figure, axes = plt.subplots(lines, columns, figsize=(cell * columns, cell * height / width * lines), squeeze=False)
    shown = [("ground truth", TRUTH, first, first["xy"])]
    shown += [(t := scheme_title(r), colours[t], sample, sample[f"{default_readout(r)}/xy"]) for r, sample in rows]
    for row, (name, colour, sample, xy) in zip(axes, shown, strict=True):
        for j, ax in enumerate(row):
            show_crop(ax, sample["image"][j])
            # Joints without a truth are not scored, and would clutter the picture.
            limbs(ax, xy[j], sample["weight"][j], sample["edges"], colour)
        row[0].text(-0.06, 0.5, name, rotation=90, va="center", ha="right", color=colour, weight="bold",
                    fontsize=8, transform=row[0].transAxes)  # fmt: skip
    figure.subplots_adjust(wspace=0.04, hspace=0.04)
    return figure


def views_figure(results: Sequence[Result]) -> Figure | None:
    """Draw one crop as every scheme sees it: heatmaps over the picture, or distributions along its axes."""
    rows = _samples(results)
    if not rows:
        return None
    sample = rows[0][1]
    which = int(np.argmax(sample["weight"].sum(1)))
    joints = [int(j) for j in np.flatnonzero(sample["weight"][which])]
    # Four joints from all over the body can be told apart.
    joints = [joints[i] for i in np.unique(np.linspace(0, len(joints) - 1, 4).round().astype(int))]
    figure = plt.figure(figsize=(4.3 * len(rows), 4.6))
    for panel, (result, sample) in zip(figure.subfigures(1, len(rows), squeeze=False)[0], rows, strict=True):
        readout = default_readout(result)
        view, what = (_view_map, "heatmaps") if "density/map" in sample else (_view_axes, "distributions")
        ax = view(panel, sample, which, joints, f"{scheme_title(result)}: {what} of {len(joints)} joints")
        for j, colour in zip(joints, PALETTE[1:], strict=False):
            ax.plot(*sample["xy"][which, j], marker="o", ms=9, mfc="none", mec="white", mew=1.6)
            ax.plot(*sample[f"{readout}/xy"][which, j], marker="+", ms=9, mec=colour, mew=2)
    names = ", ".join(str(sample["names"][j]) for j in joints)
    figure.text(0.5, -0.02, f"joints: {names};  ○ truth   + prediction", ha="center", color="#475569", fontsize=9)
    return figure


def _view_map(panel: Any, sample: dict[str, np.ndarray], which: int, joints: list[int], name: str) -> Axes:
    ax: Axes = panel.subplots()
    ax.set_title(name, fontsize=10)
    show_crop(ax, sample["image"][which])
    maps = sample["density/map"][which, joints].astype(np.float32)
    peak = maps.max((1, 2), keepdims=True)
    together = (maps / np.maximum(peak, 1e-6)).max(0)
    x, y = sample["bins/x"], sample["bins/y"]
    half_x, half_y = (x[1] - x[0]) / 2, (y[1] - y[0]) / 2
    extent = (x[0] - half_x, x[-1] + half_x, y[-1] + half_y, y[0] - half_y)
    alpha = np.clip(together * 1.2, 0, 0.85)
    ax.imshow(together, cmap="magma", alpha=alpha, extent=extent, interpolation="nearest")
    return ax


def _view_axes(panel: Any, sample: dict[str, np.ndarray], which: int, joints: list[int], name: str) -> Axes:
    image = sample["image"][which]
    height, width = image.shape[:2]
    ax: Axes = panel.subplots()
    show_crop(ax, image)
    # As high and as wide as the picture, whatever its aspect leaves of the panel.
    beside = make_axes_locatable(ax)
    top, side = (beside.append_axes(where, "25%", pad=0.04) for where in ("top", "right"))
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
    return ax


def worst_figure(results: Sequence[Result]) -> Figure | None:
    """Draw the persons of lowest OKS of each scheme, with truth, default readout, OKS and the worst joint's error."""
    rows = kept_crops(results, "worst.npz")
    if not rows:
        return None
    colours = scheme_colours(results)
    heights = [CELL * s["image"].shape[1] / s["image"].shape[2] for _, s in rows]
    width, total = CELL * WORST_COLUMNS, sum(heights) + (CAPTION + NAME) * len(rows)
    figure = plt.figure(figsize=(width, total))
    top = total
    for (result, sample), height in zip(rows, heights, strict=True):
        scheme, readout = scheme_title(result), default_readout(result)
        name = f"{scheme} · {readout}, {input_size(result)}"
        figure.text(0.005, (top - 0.06) / total, name, va="top", weight="bold", color=colours[scheme])
        top -= NAME + height
        for j in range(min(WORST_COLUMNS, len(sample["index"]))):
            ax = figure.add_axes(((j + 0.03) / WORST_COLUMNS, top / total, 0.94 / WORST_COLUMNS, height / total))
            show_crop(ax, sample["image"][j])
            for xy, colour in ((sample["xy"], TRUTH), (sample[f"{readout}/xy"], colours[scheme])):
                limbs(ax, xy[j], sample["weight"][j], sample["edges"], colour)
            ax.set_anchor("S")
            figure.text((j + 0.5) / WORST_COLUMNS, (top - 0.04) / total, _caption(sample, j),
                        ha="center", va="top", fontsize=9, color="#334155")  # fmt: skip
        top -= CAPTION
    return figure


def _caption(sample: dict[str, np.ndarray], j: int) -> str:
    joint = int(sample["joint"][j])
    kind = sample["kinds"][sample["kind"][j, joint]]
    # Letters of this size leave room for two short words.
    name = str(sample["names"][joint]).replace("_", " ").replace("left ", "l. ").replace("right ", "r. ")
    return f"OKS {sample['oks'][j]:.2f}\n{name}: {kind}"
