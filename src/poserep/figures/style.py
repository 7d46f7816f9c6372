"""How figures look, and what runs are called and coloured in all of them."""

from collections.abc import Mapping, Sequence
from typing import Any

from poserep.results import scheme, settings

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
)
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
