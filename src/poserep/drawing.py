"""How everything that is drawn looks: colours, style, skeletons over pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:  # tables need the colours and not the second that matplotlib takes
    from matplotlib.axes import Axes

# Titles of the suite's schemes; each has the colour of its position in the palette, whatever else a page shows.
KNOWN = (
    "Heatmap",
    "SimCC Gaussian",
    "SR head",
    "SimCC equal",
    "SRPose",
    "Heatmap, unbiased",
    "IPR",
    "SimCC one-hot",
    "Bottom-up heatmap",
    "SimCC, no upsampling",
    "1D heatmap",
    "SimCC Laplace",
    "DSNT",
    "Regression",
    "RLE",
    "Bottom-up SR head",
)
PALETTE = (
    "#2563eb",
    "#db2777",
    "#059669",
    "#d97706",
    "#7c3aed",
    "#0891b2",
    "#65a30d",
    "#dc2626",
    "#475569",
    "#be185d",
    "#0f766e",
    "#92400e",
    "#c026d3",
    "#0369a1",
    "#a16207",
    "#4d7c0f",
    "#4338ca",
    "#f43f5e",
    "#0d9488",
    "#b45309",
)
# Darker than the colour of any scheme.
TRUTH = "#0f172a"
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
    # Without it the names within a file are random, and no two files are the same.
    "svg.hashsalt": "poserep",
    "legend.frameon": False,
}


def colours(names: Sequence[str]) -> dict[str, str]:
    """Return a colour for every title; unknown ones share the colours that known ones leave."""
    others = sorted(set(names) - set(KNOWN))
    left = PALETTE[len(KNOWN) :]
    fixed = dict(zip(KNOWN, PALETTE, strict=False)) | {n: left[i % len(left)] for i, n in enumerate(others)}
    return {name: fixed[name] for name in dict.fromkeys(names)}


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
