"""Draw the picture of architecture.md from the imports that stand in the source.

``python docs/draw_architecture.py [FILE.svg]`` writes architecture.svg, by default beside this file. A package stands
on the floor above all that it imports; arrows point to what is imported, and those that follow from others are left
out. The root modules, which everything may import, are the ground.
"""

import argparse
import ast
import textwrap
from itertools import pairwise, permutations, product
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path as Path2D

import poserep
from poserep.drawing import PALETTE, STYLE

ROOT = Path(poserep.__file__).parent
SLATE, GREY, PALE, EDGE = "#334155", "#64748b", "#f8fafc", "#94a3b8"
# Sizes of boxes, the distances between them, and the width of a free spot that an arrow passes; all in inches.
WIDTH, HEIGHT, GAP, BESIDE, FREE = 2.2, 0.9, 0.46, 0.22, 0.55
Graph = dict[str, set[str]]


def imports() -> Graph:
    """Return which packages each package imports."""
    packages = {init.parent.name for init in ROOT.glob("*/__init__.py")}
    graph: Graph = {package: set() for package in packages}
    for package in packages:
        for file in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("poserep."):
                    graph[package].add(str(node.module).split(".")[1])
        graph[package] &= packages - {package}
    return graph


def reached(graph: Graph, package: str) -> set[str]:
    """Return all that a package imports, directly or not."""
    return graph[package] | {below for other in graph[package] for below in reached(graph, other)}


def floors(graph: Graph) -> list[list[str]]:
    """Return packages from the lowest floor up; each stands above everything that it imports."""
    level: dict[str, int] = {}
    while len(level) < len(graph):
        ready = {p for p in graph.keys() - level.keys() if graph[p] <= level.keys()}
        level |= dict.fromkeys(ready, len(set(level.values())))
    return [sorted(p for p in graph if level[p] == n) for n in range(max(level.values()) + 1)]


def routes(rows: list[list[str]], arrows: list[tuple[str, str]]) -> list[list[str]]:
    """Return each arrow as the names of what it passes, its ends included; rows gain a free spot on floors between."""
    level = {package: n for n, row in enumerate(rows) for package in row}
    passed = []
    for a, b in arrows:
        between = [f"{a} to {b} past {n}" for n in range(level[a] - 1, level[b], -1)]
        for n, spot in zip(range(level[a] - 1, level[b], -1), between, strict=True):
            rows[n].append(spot)
        passed.append([a, *between, b])
    return passed


def places(rows: list[list[str]], paths: list[list[str]]) -> dict[str, tuple[float, float]]:
    """Return the centre of every box and free spot, in the order of each floor that keeps arrows straightest."""

    def at(order: tuple[tuple[str, ...], ...]) -> dict[str, tuple[float, float]]:
        spots = {}
        for n, row in enumerate(order):
            widths = [FREE if " " in name else WIDTH + BESIDE for name in row]
            for i, name in enumerate(row):
                spots[name] = (sum(widths[:i]) + (widths[i] - sum(widths)) / 2, n * (HEIGHT + GAP))
        return spots

    def bends(order: tuple[tuple[str, ...], ...]) -> tuple[float, tuple[tuple[str, ...], ...]]:
        spots = at(order)
        return sum((spots[a][0] - spots[b][0]) ** 2 for path in paths for a, b in pairwise(path)), order

    return at(min(product(*(permutations(sorted(row)) for row in rows)), key=bends))


def arrow(ax: Axes, path: list[str], spots: dict[str, tuple[float, float]]) -> None:
    """Draw an arrow along a path."""
    points = [spots[name] for name in path]
    lean = [max(-1.0, min(1.0, 0.22 * (b[0] - a[0]))) for a, b in (points[:2], points[-1:-3:-1])]
    start = (points[0][0] + lean[0], points[0][1] - HEIGHT / 2)
    end = (points[-1][0] + lean[1], points[-1][1] + HEIGHT / 2 + 0.02)
    # Straight past a floor, in an S from floor to floor.
    turns = [start, *((x, y + side * HEIGHT / 2) for x, y in points[1:-1] for side in (1, -1)), end]
    vertices, codes = [start], [Path2D.MOVETO]
    for (x, y), (to_x, to_y) in pairwise(turns):
        middle = (y + to_y) / 2
        vertices += [(x, middle), (to_x, middle), (to_x, to_y)]
        codes += [Path2D.CURVE4] * 3
    line = Path2D(vertices, codes)
    ax.add_patch(FancyArrowPatch(path=line, arrowstyle="-|>", mutation_scale=11, color=EDGE, linewidth=1.2, zorder=0))


def box(ax: Axes, x: float, y: float, width: float, height: float, title: str, text: str, colour: str) -> None:
    """Draw a box with a title and a few lines."""
    style = "round,pad=0,rounding_size=0.08"
    ax.add_patch(
        FancyBboxPatch(
            (x - width / 2, y - height / 2), width, height, style, facecolor=PALE, edgecolor=colour, linewidth=1.3
        )
    )
    ax.text(x, y + height / 2 - 0.15, title, ha="center", va="center", fontsize=11.5, color=colour, fontweight="bold")
    ax.text(x, y - 0.11, text, ha="center", va="center", fontsize=8.6, color=SLATE, linespacing=1.25)


def purpose(package: str) -> str:
    """Return the first sentence of a package's docstring, without the package's own name in front."""
    text = ast.get_docstring(ast.parse((ROOT / package / "__init__.py").read_text())) or ""
    sentence = text.split("\n\n")[0].replace("\n", " ").split(". ")[0].replace("``", "").rstrip(".")
    name, _, rest = sentence.partition(": ")
    if name.lower() == package:
        sentence = rest[0].upper() + rest[1:]
    return textwrap.fill(sentence, 33)


def house() -> Figure:
    """Draw the house."""
    graph = imports()
    rows = floors(graph)
    packages = [list(row) for row in rows]
    arrows = sorted((a, b) for a in graph for b in graph[a] if not any(b in reached(graph, c) for c in graph[a]))
    paths = routes(rows, arrows)
    spots = places(rows, paths)
    half = max(abs(x) + WIDTH / 2 for name, (x, _) in spots.items() if " " not in name) + 0.12
    low, high = -HEIGHT / 2 - 1.15, (len(rows) - 1) * (HEIGHT + GAP) + HEIGHT / 2 + 0.08
    figure = Figure(figsize=(10, 10 * (high - low) / (2 * half)))
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set(xlim=(-half, half), ylim=(low, high))
    ax.axis("off")
    for path in paths:
        arrow(ax, path, spots)
    for n, row in enumerate(packages):
        for package in row:
            box(ax, *spots[package], WIDTH, HEIGHT, package, purpose(package), PALETTE[n % len(PALETTE)])
    modules = sorted(file.stem for file in ROOT.glob("*.py") if not file.stem.startswith("__"))
    text = "imported by all: " + ", ".join(modules)
    box(ax, 0, low + 0.4, 2 * half - 0.24, 0.64, "root modules", text, GREY)
    return figure


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="?", type=Path, default=Path(__file__).with_name("architecture.svg"))
    path = parser.parse_args().file
    with rc_context({**STYLE, "svg.hashsalt": "architecture", "axes.grid": False}):
        house().savefig(path, dpi=100, metadata={"Date": None, "Creator": None})
    print(path)


if __name__ == "__main__":
    main()
