"""The costs as a terminal table, as CSV and as one self-contained HTML page."""

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import jinja2
import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from rich.table import Table

from poserep.drawing import PALETTE, STYLE
from poserep.files import provenance
from poserep.report.figures.page_figures import encode_figure
from poserep.studies.published_costs.cells import GOOD, Cell
from poserep.studies.published_costs.speed import Speed

NAMES = {
    "params": "parameters",
    "backbone": "parameters of the backbone",
    "other": "other parameters",
    "gflops": "GFLOPs",
}
PAPERS = {"simcc": "SimCC", "simdr": "SimDR", "dark": "DARK", "srpose": "SRPose"}
VERDICTS = (*GOOD, "differs", "not built")


def summary(cells: Sequence[Cell]) -> dict[str, Counter[str]]:
    """How often each verdict was given, by kind of number."""
    found: dict[str, Counter[str]] = {name: Counter() for name in NAMES.values()}
    for cell in cells:
        for key, verdict in cell.verdicts().items():
            found[NAMES[key]][verdict] += 1
    return {name: counts for name, counts in found.items() if counts}


def excuses(cells: Sequence[Cell]) -> list[str]:
    """Why numbers differ, once for each network and reason; those without a reason say so. And which are cut off."""
    lines: dict[str, None] = {}
    for cell in cells:
        for key, verdict in cell.verdicts().items():
            if verdict == "truncates":
                cut = f"{cell.printed[key]} is {cell.ours()[key]:.3f} cut off, not rounded"
                lines[f"{cell.network} at {cell.size}, {NAMES[key]}: {cut}"] = None
            if verdict in GOOD:
                continue
            reason = cell.excuses.get("all") or cell.excuses.get(key) or "unexplained"
            which = "" if "all" in cell.excuses else f", {NAMES[key]}"
            lines[f"{cell.network} at {cell.size}{which}: {reason}"] = None
    return list(lines)


def grouped(cells: Sequence[Cell]) -> dict[str, list[Cell]]:
    """Cells by table, in the order of the sweep file."""
    tables: dict[str, list[Cell]] = {}
    for cell in cells:
        tables.setdefault(cell.table, []).append(cell)
    return tables


@dataclass
class Group:
    """Rows of a table that print the same network.

    Attributes:
        cell: The first of them.
        rows: What the table calls them.
    """

    cell: Cell
    rows: list[str]


def merged(cells: Sequence[Cell]) -> list[Group]:
    """One group for neighbouring cells that differ in their row's name alone."""
    groups: list[Group] = []
    for cell in cells:
        if groups and replace(cell, row=groups[-1].cell.row) == groups[-1].cell:
            groups[-1].rows.append(cell.row)
        else:
            groups.append(Group(cell, [cell.row]))
    return groups


def heading(table: str) -> str:
    """``simcc-1`` as "SimCC, table 1"."""
    paper, number = table.split("-")
    return f"{PAPERS[paper]}, table {number}"


def terminal(table: str, cells: Sequence[Cell]) -> Table:
    """One printed table beside ours."""
    shown = Table(title=heading(table), title_justify="left")
    for name in ("network", "row", "size"):
        shown.add_column(name)
    for name in ("params M printed", "ours", "GFLOPs printed", "ours", "true GMACs"):
        shown.add_column(name, justify="right")
    for name in ("counting", "agreement"):
        shown.add_column(name)
    for cell in cells:
        cost, verdicts = cell.cost, cell.verdicts()
        printed, ours = cell.shown()
        numbers = [f"{cost.gflops:.3f}", f"{cost.gmacs:.3f}"] if cost else ["-"] * 2
        said = ", ".join(dict.fromkeys(verdicts.values()))
        if set(verdicts.values()) - set(GOOD) and not cell.unexplained():
            said += " (known)"
        about = (cell.network, cell.row, cell.size, printed, ours or "-")
        shown.add_row(*about, cell.printed.get("gflops", ""), *numbers, cell.counting, said)
    return shown


def write_csv(path: Path, cells: Sequence[Cell]) -> None:
    """One line per printed row."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        kinds = [f"{key}_{what}" for key in NAMES for what in ("printed", "ours", "verdict")]
        writer.writerow(["table", "network", "row", "size", "counting", *kinds, "true_gmacs", "reason"])
        for cell in cells:
            verdicts = cell.verdicts()
            ours = {key: f"{value:.{4 if key == 'gflops' else 6}f}" for key, value in cell.ours().items()}
            numbers = [
                text
                for key in NAMES
                for text in (
                    (cell.printed[key], ours.get(key, ""), verdicts[key]) if key in cell.printed else ("", "", "")
                )
            ]
            true = f"{cell.cost.gmacs:.4f}" if cell.cost else ""
            reason = "; ".join(cell.excuses.values())
            writer.writerow([cell.table, cell.network, cell.row, cell.size, cell.counting, *numbers, true, reason])


def write_speeds(path: Path, speeds: Sequence[Speed]) -> None:
    """One line per size and number of threads."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        head = ["size", "threads", "fps_heatmap", "fps_simcc", "ratio", "ratio_p25", "ratio_p75", "ratio_printed"]
        writer.writerow([*head, "saved_counted", "saved_true", "turns", "machine"])
        for s in speeds:
            numbers = [f"{s.first:.2f}", f"{s.second:.2f}", f"{s.ratio:.3f}", f"{s.low:.3f}", f"{s.high:.3f}"]
            saved = [f"{s.printed_ratio:.3f}", f"{s.saved_counted:.3f}", f"{s.saved:.3f}"]
            writer.writerow([s.size, s.threads, *numbers, *saved, s.turns, s.machine])


def speed_figure(speeds: Sequence[Speed]) -> Figure:
    """Ratios with their middle half beside the printed ones."""
    sizes = list(dict.fromkeys(s.size for s in speeds))
    threads = list(dict.fromkeys(s.threads for s in speeds))
    figure, axes = plt.subplots(figsize=(7, 2.9))
    width = 0.8 / (len(threads) + 1)
    for i, count in enumerate(threads):
        found = {s.size: s for s in speeds if s.threads == count}
        at = [sizes.index(size) + (i - len(threads) / 2) * width for size in found]
        gain = [100 * (s.ratio - 1) for s in found.values()]
        spread = [[100 * (s.ratio - s.low) for s in found.values()], [100 * (s.high - s.ratio) for s in found.values()]]
        label = f"here, {count} thread{'s' if count > 1 else ''}"
        axes.bar(at, gain, width * 0.92, yerr=spread, color=PALETTE[i], label=label, ecolor="#0f172a", capsize=3)
    printed = {s.size: 100 * (s.printed_ratio - 1) for s in speeds}
    at = [i + len(threads) / 2 * width for i in range(len(sizes))]
    axes.bar(at, [printed[size] for size in sizes], width * 0.92, color="#cbd5e1", label="printed (SimDR, table 4)")
    axes.set_xticks(range(len(sizes)), sizes)
    axes.grid(axis="x", visible=False)
    axes.axhline(0, color="#475569", linewidth=0.8)
    axes.set_ylabel("faster by, %")
    axes.set_title("SimCC without deconvolutions against heatmaps, ResNet-50, one image at a time")
    axes.legend(ncols=len(threads) + 1, loc="upper center", bbox_to_anchor=(0.5, -0.12))
    return figure


def page(title: str, cells: Sequence[Cell], speeds: Sequence[Speed]) -> str:
    """The page, everything inside it."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("poserep.report", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    with plt.rc_context(STYLE):
        figure = encode_figure(speed_figure(speeds), vector=True) if speeds else None
    return environment.get_template("costs.html.j2").render(
        title=title,
        cells=cells,
        tables={heading(table): merged(found) for table, found in grouped(cells).items()},
        summary=summary(cells),
        verdicts=VERDICTS,
        excuses=excuses(cells),
        speeds=speeds,
        machine=speeds[0].machine if speeds else "",
        figure=figure,
        provenance=provenance(),
    )
