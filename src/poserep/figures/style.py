"""How figures look, and what runs are called and coloured in all of them."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from poserep.results import scheme, settings

# In this order they have the first colours, whatever else a page shows; any other scheme has one of those left.
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
# No scheme has a colour as dark.
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
    # Else names within a file are drawn by lot, and no two files are the same.
    "svg.hashsalt": "poserep",
    "legend.frameon": False,
}

Result = Mapping[str, Any]


def title(result: Result) -> str:
    """The scheme's name."""
    return scheme(result)[0]


def schemes(results: Sequence[Result]) -> dict[str, str]:
    """A colour for every scheme, the same on every page for those that are known."""
    return colours([title(r) for r in results])


def colours(names: Sequence[str]) -> dict[str, str]:
    """A colour for every title, in their order."""
    others = sorted(set(names) - set(KNOWN))
    left = PALETTE[len(KNOWN) :]
    fixed = dict(zip(KNOWN, PALETTE, strict=False)) | {n: left[i % len(left)] for i, n in enumerate(others)}
    return {name: fixed[name] for name in dict.fromkeys(names)}


def labels(results: Sequence[Result]) -> list[str]:
    """Scheme and setting of each run; runs that differ in seed or size alone share a label."""
    found = [(title(r), short(setting)) for r, setting in zip(results, settings(results), strict=True)]
    return [f"{name}, {setting}" if setting else name for name, setting in found]


def short(setting: str) -> str:
    """``a.b.k=2`` as ``k=2``, unless two keys would then be the same."""
    keys = re.findall(r"(?:^|, )(?:\w+\.)+(\w+)=", setting)
    return re.sub(r"(^|, )(?:\w+\.)+(\w+=)", r"\1\2", setting) if len({*keys}) == len(keys) else setting
