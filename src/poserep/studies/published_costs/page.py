"""The costs as sheets and as one self-contained HTML page."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from poserep.drawing import PALETTE, STYLE
from poserep.files import provenance
from poserep.report.figures.page_figures import encode_figure
from poserep.report.html import render
from poserep.runs.sheet import Sheet, numbers, texts
from poserep.studies.published_costs.cells import GOOD, KEYS, PrintedCell
from poserep.studies.published_costs.speed import Speed

NAMES = dict(zip(KEYS, ("parameters", "parameters of the backbone", "other parameters", "GFLOPs"), strict=True))
PAPERS = {"simcc": "SimCC", "simdr": "SimDR", "dark": "DARK", "srpose": "SRPose"}
VERDICTS = (*GOOD, "differs", "not built")


def verdict_counts(cells: Sequence[PrintedCell]) -> dict[str, Counter[str]]:
    """Count how often each verdict was given, by kind of number."""
    verdicts = [cell.verdicts() for cell in cells]
    counts = {name: Counter(v[key] for v in verdicts if key in v) for key, name in NAMES.items()}
    return {name: counter for name, counter in counts.items() if counter}


def excuses(cells: Sequence[PrintedCell]) -> list[str]:
    """List why numbers differ, once for each network and reason, or that nothing explains it; and which are cut off."""
    lines: dict[str, None] = {}
    for cell in cells:
        for key, verdict in cell.verdicts().items():
            if verdict == "truncates":
                cut = f"{cell.printed[key]} is {cell.ours()[key]:.3f} cut off, not rounded"
                lines[f"{cell.network} at {cell.size}, {NAMES[key]}: {cut}"] = None
            if verdict not in GOOD:
                reason = cell.excuses.get("all") or cell.excuses.get(key) or "unexplained"
                which = "" if "all" in cell.excuses else f", {NAMES[key]}"
                lines[f"{cell.network} at {cell.size}{which}: {reason}"] = None
    return list(lines)


def by_table(cells: Sequence[PrintedCell]) -> dict[str, list[PrintedCell]]:
    """Return the cells by table, in the order of the sweep file."""
    return {table: [cell for cell in cells if cell.table == table] for table in dict.fromkeys(c.table for c in cells)}


def merged(cells: Sequence[PrintedCell]) -> list[tuple[PrintedCell, list[str]]]:
    """Return neighbouring cells that differ in their row's name alone as one, with all names."""
    groups = (list(group) for _, group in groupby(cells, lambda cell: replace(cell, row="")))
    return [(group[0], [cell.row for cell in group]) for group in groups]


def heading(table: str) -> str:
    """Return the title of a table: ``simcc-1`` is "SimCC, table 1"."""
    paper, number = table.split("-")
    return f"{PAPERS[paper]}, table {number}"


def table_sheet(table: str, cells: Sequence[PrintedCell]) -> Sheet:
    """Return one printed table beside our counts."""
    counts = numbers("params M printed", "ours", "GFLOPs printed", "ours", "true GMACs")
    rows = []
    for cell in cells:
        cost, verdicts = cell.cost, cell.verdicts()
        printed, ours = cell.shown()
        agreement = ", ".join(dict.fromkeys(verdicts.values()))
        if set(verdicts.values()) - set(GOOD) and not cell.unexplained():
            agreement += " (known)"
        operations = [f"{cost.gflops:.3f}", f"{cost.gmacs:.3f}"] if cost else ["-"] * 2
        about = cell.network, cell.row, cell.size, printed, ours or "-"
        rows.append([*about, cell.printed.get("gflops", ""), *operations, cell.counting, agreement])
    return Sheet(heading(table), [*texts("network", "row", "size"), *counts, *texts("counting", "agreement")], rows)


def cells_sheet(cells: Sequence[PrintedCell]) -> Sheet:
    """Return all printed rows as one table, for a file."""
    kinds = [f"{key}_{what}" for key in NAMES for what in ("printed", "ours", "verdict")]
    rows = []
    for cell in cells:
        verdicts = cell.verdicts()
        ours = {key: f"{value:.{4 if key == 'gflops' else 6}f}" for key, value in cell.ours().items()}
        each = [(cell.printed[k], ours.get(k, ""), verdicts[k]) if k in cell.printed else [""] * 3 for k in NAMES]
        true = f"{cell.cost.gmacs:.4f}" if cell.cost else ""
        about = cell.table, cell.network, cell.row, cell.size, cell.counting
        rows.append([*about, *(text for three in each for text in three), true, "; ".join(cell.excuses.values())])
    heads = "table", "network", "row", "size", "counting", *kinds, "true_gmacs", "reason"
    return Sheet("", texts(*heads), rows)


def speeds_sheet(speeds: Sequence[Speed]) -> Sheet:
    """Return the timings as one table, for a file: a row per size and number of threads."""
    heads = "size", "threads", "fps_heatmap", "fps_simcc", "ratio", "ratio_p25", "ratio_p75", "ratio_printed"
    rows = [
        [
            *(s.size, str(s.threads), f"{s.fps.first:.2f}", f"{s.fps.second:.2f}"),
            *(f"{n:.3f}" for n in (s.fps.ratio, s.fps.low, s.fps.high, s.printed_ratio, s.saved_counted, s.saved)),
            *(str(s.fps.turns), s.machine),
        ]
        for s in speeds
    ]
    return Sheet("", texts(*heads, "saved_counted", "saved_true", "turns", "machine"), rows)


def speed_figure(speeds: Sequence[Speed]) -> Figure:
    """Draw the ratios with their middle half beside the printed ones."""
    sizes = list(dict.fromkeys(s.size for s in speeds))
    threads = list(dict.fromkeys(s.threads for s in speeds))
    figure, axes = plt.subplots(figsize=(7, 2.9))
    width = 0.8 / (len(threads) + 1)
    for i, count in enumerate(threads):
        measured = {s.size: s.fps for s in speeds if s.threads == count}
        at = [sizes.index(size) + (i - len(threads) / 2) * width for size in measured]
        gain = [100 * (fps.ratio - 1) for fps in measured.values()]
        below = [100 * (fps.ratio - fps.low) for fps in measured.values()]
        above = [100 * (fps.high - fps.ratio) for fps in measured.values()]
        label = f"here, {count} thread{'s' if count > 1 else ''}"
        style: dict[str, Any] = {"color": PALETTE[i], "ecolor": "#0f172a", "capsize": 3}
        axes.bar(at, gain, width * 0.92, yerr=[below, above], label=label, **style)
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


def page(title: str, cells: Sequence[PrintedCell], speeds: Sequence[Speed]) -> str:
    """Return the page, with everything that it shows inside it."""
    with plt.rc_context(STYLE):
        figure = encode_figure(speed_figure(speeds), vector=True) if speeds else None
    return render(
        "costs.html.j2",
        title=title,
        cells=cells,
        tables={heading(table): merged(rows) for table, rows in by_table(cells).items()},
        summary=verdict_counts(cells),
        verdicts=VERDICTS,
        excuses=excuses(cells),
        speeds=speeds,
        machine=speeds[0].machine if speeds else "",
        figure=figure,
        provenance=provenance(),
    )
