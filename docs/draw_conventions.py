"""Draw the pictures of conventions.md, with poserep's own axes and codecs.

``python docs/draw_conventions.py [FOLDER]`` writes conventions-*.svg into the folder, by default the one of this file.
"""

import argparse
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from conventions_numbers import flip_errors, peaks
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from poserep.drawing import PALETTE, STYLE
from poserep.geometry import ALIGNMENTS, Axis

SLATE, GREY, PALE, AMBER = "#334155", "#64748b", "#e2e8f0", PALETTE[3]
COLOURS = dict(zip(ALIGNMENTS, PALETTE, strict=False))
OURS, THEIRS = COLOURS["centre"], COLOURS["corner"]
USED_BY = {
    "centre": "poserep's default",
    "corner": "HRNet, SimCC, SRPose",
    "edge": "bins of UDP; along x\nalso DarkPose (dark)",
}


def canvas(height: float, rows: int = 1, columns: int = 1) -> tuple[Figure, Any]:
    """A figure 8 inches wide; its axes."""
    figure = Figure(figsize=(8, height))
    return figure, figure.subplots(rows, columns)


def dot(colour: str, label: str, **options: Any) -> Line2D:
    """A dot for a legend."""
    return Line2D([], [], marker="o", linestyle="", color=colour, label=label, **options)


def blank(ax: Axes, x: tuple[float, float], y: tuple[float, float]) -> None:
    """A plain area to draw in."""
    ax.set(xlim=x, ylim=y)
    ax.axis("off")


def pixels(ax: Axes, n: int, y: float, height: float, numbers: bool = True) -> None:
    """A row of ``n`` pixels from -0.5 to n - 0.5."""
    for i in range(n):
        ax.add_patch(Rectangle((i - 0.5, y), 1, height, facecolor="#f8fafc", edgecolor="#94a3b8", linewidth=0.8))
        if numbers:
            ax.text(i, y + height / 2, str(i), ha="center", va="center", fontsize=8, color=GREY)


def alignments() -> Figure:
    """Where bins lie under the alignments of a single axis, below and above input resolution."""
    figure, axes = canvas(5.3, 2)
    length = 16
    for ax, n, head in zip(axes, (4, 32), ("4 bins: stride 4", "32 bins: k = 2"), strict=True):
        blank(ax, (-4.6, length + 2.2), (-4.95, 2.1))
        pixels(ax, length, 0, 0.95)
        ax.text(-4.5, 0.48, f"{length} pixels,\n{head}", va="center", fontsize=9.5, color=SLATE, fontweight="bold")
        ax.text(length + 0.75, 0.48, "farthest\nfrom a bin", va="center", ha="center", fontsize=8.5, color=GREY)
        for edge in (-0.5, length - 0.5):
            ax.plot([edge, edge], [-4.75, 1.2], color="#94a3b8", linewidth=0.8, dashes=(3, 2))
            ax.text(edge, 1.35, f"{edge:g}".replace("-", "−"), ha="center", va="bottom", fontsize=8.5, color=GREY)
        for row, align in enumerate(USED_BY):
            lane(ax, Axis(length, n, align), -1.1 - 1.55 * row)
    figure.subplots_adjust(0.01, 0.01, 0.99, 0.99, hspace=0.03)
    return figure


def lane(ax: Axes, axis: Axis, y: float) -> None:
    """The bins of one alignment, what is nearest to each, and the farthest point from any."""
    colour = COLOURS[axis.align]
    at = axis.to_px(torch.arange(axis.n, dtype=torch.float64)).tolist()
    ends = (-0.5, axis.length - 0.5)
    cells = list(pairwise([ends[0], *((a + b) / 2 for a, b in pairwise(at)), ends[1]]))
    for i, (left, right) in enumerate(cells):
        ax.add_patch(
            Rectangle((left, y - 0.28), right - left, 0.56, facecolor=colour, alpha=(0.14, 0.3)[i % 2], linewidth=0)
        )
    few = axis.n <= 8
    ax.plot(at, [y] * axis.n, "o" if few else "|", color=colour, markersize=5 if few else 7, clip_on=False)
    for i in range(axis.n) if few else (0, axis.n - 1):
        ax.text(at[i], y - 0.4, str(i), ha="center", va="top", fontsize=8, color=colour)
    ax.text(-4.5, y + 0.04, axis.align, va="bottom", fontsize=9.5, color=colour, fontweight="bold")
    ax.text(-4.5, y - 0.04, USED_BY[axis.align], va="top", fontsize=7.5, color=GREY, linespacing=1.25)
    far = axis.reach() * axis.px_per_bin()
    ax.text(axis.length + 0.75, y, f"{far:.3g} px", ha="center", va="center", fontsize=9, color=colour)
    if few:
        pairs = [(own, end) for own, cell in zip(at, cells, strict=True) for end in cell]
        own, point = max(pairs, key=lambda pair: abs(pair[0] - pair[1]))
        style = {"arrowstyle": "<|-|>", "color": colour, "linewidth": 0.9, "mutation_scale": 7}
        ax.annotate("", (point, y), (own, y), arrowprops={**style, "shrinkA": 3, "shrinkB": 0})


def mirrors() -> Figure:
    """A joint, its mirror image, the bins of both, and where the second lands when its bins are turned back."""
    views = {
        "corner, stride 4": (Axis(32, 8, "corner"), 9),
        "centre, stride 4": (Axis(32, 8, "centre"), 9),
        "corner, k = 2": (Axis(8, 16, "corner"), 2),
        "corner, k = 3": (Axis(8, 24, "corner"), 2),
    }
    figure, axes = canvas(6.6, 2, 2)
    for ax, (title, (axis, x)) in zip(axes.flat, views.items(), strict=True):
        mirror_panel(ax, title, axis, x)
    keys = [
        dot(SLATE, "a joint, and the response to it (dashed: again)"),
        Line2D([], [], color=SLATE, dashes=(3, 2), linewidth=1.1, label="middle of the pixels"),
        dot(AMBER, "its mirror image, and the response to it"),
        Line2D([], [], color=AMBER, linewidth=1.4, label="middle of the bins"),
    ]
    figure.legend(handles=keys, ncols=2, loc="lower center", fontsize=8.5, labelcolor=SLATE, columnspacing=2.5)
    figure.subplots_adjust(0.005, 0.08, 0.995, 0.995, wspace=0.02, hspace=0.03)
    return figure


def mirror_panel(ax: Axes, title: str, axis: Axis, x: float) -> None:
    """Draw one alignment and a joint at ``x``; all lengths are in input px."""
    unit = axis.length / 32
    blank(ax, (-0.5 - 2 * unit, axis.length - 0.5 + 2 * unit), (-4.2, 5.1))
    colour, left = COLOURS[axis.align], -0.5 - unit
    at = axis.to_px(torch.arange(axis.n, dtype=torch.float64)).tolist()
    other = axis.length - 1 - x
    bins = axis.to_bin(torch.tensor([x, other], dtype=torch.float64))
    back = axis.n - 1 - bins[1]
    here, there, landed = axis.to_px(torch.stack([*bins, back])).tolist()
    b, m, back = (*bins.tolist(), float(back))
    image_middle, bin_middle = (axis.length - 1) / 2, (at[0] + at[-1]) / 2
    ax.text(left, 5.0, title, va="top", fontsize=10, color=colour, fontweight="bold")

    pixels(ax, axis.length, 2.3, 0.6, numbers=False)
    ax.plot([image_middle] * 2, [-0.65, 3.15], color=SLATE, linewidth=1.1, dashes=(3, 2))
    arc(ax, (x, 3.0), (other, 3.0), -0.25, SLATE)
    ax.plot(x, 2.6, "o", color=SLATE, markersize=6)
    ax.plot(other, 2.6, "o", color=AMBER, markersize=6)
    ax.text(image_middle, 4.0, f"mirror the image: px {x:g} → {other:g}", ha="center", fontsize=8.5, color=SLATE)

    ax.plot(at, [0] * axis.n, "|", color=colour, markersize=9, markeredgewidth=1.2)
    ax.plot([at[0], at[-1]], [0, 0], color=colour, linewidth=0.8)
    ax.plot([bin_middle] * 2, [-0.65, 0.65], color=AMBER, linewidth=1.4)
    wide = 1.6 * unit
    for position, tint, y in ((here, SLATE, 0), (there, AMBER, 0), (landed, AMBER, -2.2)):
        bump(ax, position, wide, y, tint)
    bump(ax, here, wide, -2.2, SLATE, hollow=True)
    for position, bin_, tint in ((here, b, SLATE), (there, m, AMBER)):
        ax.text(position, 1.2, f"bin {bin_:g}", ha="center", fontsize=8.5, color=tint)
    arc(ax, (there, -0.35), (landed, -0.95), -0.22, AMBER)
    label = f"turn the bins round:\n{axis.n - 1} − {m:g} = {back:g}"
    ax.text(there + 2 * unit, -1.35, label, ha="center", va="center", fontsize=8.5, color=AMBER)
    offset = back - b
    unit_name = "bin" if abs(offset) == 1 else "bins"
    off = f"off by {offset:+.3g} {unit_name} = {offset * axis.px_per_bin():+.3g} px" if offset else "off by 0"
    ax.text(left, -3.25, off.replace("-", "−"), fontsize=9.5, color=colour, fontweight="bold")


def bump(ax: Axes, at: float, sigma: float, y: float, colour: str, hollow: bool = False) -> None:
    """A response."""
    x = torch.linspace(-3, 3, 61)
    height = torch.exp(-x.square() / 2)
    xs, ys = (at + sigma * x).tolist(), (y + height).tolist()
    if not hollow:
        ax.fill_between(xs, y, ys, color=colour, alpha=0.25, linewidth=0)
    ax.plot(xs, ys, color=colour, linewidth=1.4, linestyle=(0, (2, 1.5)) if hollow else "-")


def arc(ax: Axes, start: tuple[float, float], end: tuple[float, float], bend: float, colour: str) -> None:
    """A bent arrow."""
    style = {"arrowstyle": "-|>", "connectionstyle": f"arc3,rad={bend}", "color": colour, "linewidth": 1.1}
    ax.annotate("", end, start, arrowprops={**style, "shrinkA": 0, "shrinkB": 2, "mutation_scale": 9})


def flips() -> Figure:
    """How far from the plain response published flip tests put the un-mirrored one."""
    figure, ax = canvas(3.9)
    found = flip_errors()
    for i, e in enumerate(found):
        before = e.offset * e.bin_px
        if e.shift:
            style = {"arrowstyle": "-|>", "color": THEIRS, "linewidth": 1.3, "mutation_scale": 9}
            ax.annotate("", (i, e.px), (i, before), arrowprops={**style, "shrinkA": 4.5, "shrinkB": 4})
            ax.plot(i, before, "o", markersize=7, markerfacecolor="white", markeredgecolor=GREY, markeredgewidth=1.4)
            ax.text(i + 0.14, before + 0.12 * (before == 0), signed(before), va="center", fontsize=8.5, color=GREY)
        ax.plot(i, e.px, "o", markersize=7, color=THEIRS)
        y = e.px + 0.12 * (e.px == 0)
        ax.text(i + 0.14, y, signed(e.px), va="center", fontsize=8.5, color=THEIRS, fontweight="bold")
    names = [e.code.replace(", ", "\n") for e in found]
    moves = [f"{signed(e.shift)} bin" if e.shift else "no shift" for e in found]
    ax.set_xticks(range(len(found)), [f"{n}\n{m}" for n, m in zip(names, moves, strict=True)], fontsize=8.5)
    ax.tick_params(length=0)
    ax.set_yticks(range(-3, 2), [signed(v) for v in range(-3, 2)])
    ax.set(ylabel="off to the right, input px", xlim=(-0.5, len(found) - 0.35), ylim=(-3.35, 1.35))
    ax.spines["bottom"].set_visible(False)
    keys = [
        Line2D([], [], color=OURS, linewidth=2, label="exact: centre, edge, dark, or corner as poserep mirrors it"),
        dot(GREY, "without a shift", markerfacecolor="white", markeredgewidth=1.4),
        dot(THEIRS, "as published"),
    ]
    ax.legend(handles=keys, loc="lower right", fontsize=8.5, labelcolor=SLATE, bbox_to_anchor=(1, 0.02))
    ax.axhline(0, color=OURS, linewidth=2, zorder=1)
    figure.tight_layout()
    return figure


def signed(value: float) -> str:
    """With a sign, unless it is zero; at most two decimals."""
    return f"{value:+.2f}".rstrip("0").rstrip(".").replace("-", "−") if value else "0"


def scores() -> Figure:
    """Scores of perfect outputs: of the published code, and of poserep's contract."""
    found = peaks()
    figure, ax = canvas(3.4)
    ax.axvspan(0, 0.2, color=PALE, alpha=0.6, linewidth=0)
    ax.axvline(0.2, color=GREY, linewidth=1.1, dashes=(4, 2))
    ax.text(0.19, -0.85, "below 0.2:\ndropped", fontsize=8.5, color=GREY, va="center", ha="right", linespacing=1.2)
    for i, p in enumerate(found.values()):
        ax.plot([0, 1], [i, i], color=PALE, linewidth=0.8, zorder=0)
        ax.plot(p.contract, i, "o", markersize=12, markerfacecolor="white", markeredgecolor=OURS, markeredgewidth=1.6)
        ax.plot([p.low, p.high], [i, i], color=THEIRS, linewidth=2.5)
        ax.plot([p.low, p.high], [i, i], "o", color=THEIRS, markersize=5.5)
        low, high = (f"{v:.3f}".rstrip("0").rstrip(".") for v in (p.low, p.high))
        text = low if p.high - p.low < 2e-3 else f"{low} to {high}"
        small = p.low < 0.5
        x = p.high + 0.02 if small else p.low - (0.035 if p.low == 1 else 0.02)
        side = "left" if small else "right"
        ax.text(x, i, text, ha=side, va="center", fontsize=8.5, color=THEIRS, fontweight="bold")
    ax.set_yticks(range(len(found)), list(found))
    ax.tick_params(axis="y", length=0)
    ax.set(xlim=(0, 1.03), ylim=(len(found) - 0.4, -1.35), xlabel="score of a perfect output")
    ax.spines["left"].set_visible(False)
    keys = [
        Line2D([], [], marker="o", color=THEIRS, markersize=5.5, linewidth=2.5, label="published: raw peak"),
        dot(OURS, "poserep's contract", markersize=10, markerfacecolor="white", markeredgewidth=1.6),
    ]
    ax.legend(handles=keys, loc="lower right", fontsize=8.5, labelcolor=SLATE, bbox_to_anchor=(0.93, 0.08))
    figure.tight_layout()
    return figure


def draw(folder: Path) -> list[Path]:
    """Write all pictures; return their paths."""
    paths = []
    for make in (alignments, mirrors, flips, scores):
        paths.append(folder / f"conventions-{make.__name__}.svg")
        with rc_context({**STYLE, "svg.hashsalt": make.__name__, "axes.grid": False}):
            make().savefig(paths[-1], dpi=100, metadata={"Date": None, "Creator": None})
    return paths


def main(draw: Callable[[Path], list[Path]] = draw, about: str | None = __doc__) -> None:
    """Command line of a script that draws pictures into a folder."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parent)
    for path in draw(parser.parse_args().folder):
        print(path)


if __name__ == "__main__":
    main()
