"""The costs as sheets and as one self-contained HTML page."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from poserep.drawing import PALETTE, STYLE
from poserep.files import provenance
from poserep.report.figures.page_figures import encode_figure
from poserep.report.html import render
from poserep.runs.sheet import Sheet, SheetCell, numbers, texts
from poserep.studies.published_costs.cells import GOOD, KEYS, PrintedCell
from poserep.studies.published_costs.speed import Speed

NAMES = dict(zip(KEYS, ("parameters", "parameters of the backbone", "other parameters", "GFLOPs"), strict=True))
PAPERS = {"simcc": "SimCC", "simdr": "SimDR", "dark": "DARK", "srpose": "SRPose"}
VERDICTS = (*GOOD, "differs", "not built")


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
        for key in cell.stale():
            lines[f"{cell.network} at {cell.size}, {NAMES[key]}: agrees, no excuse needed"] = None
    return list(lines)


def agreement_sheet(cells: Sequence[PrintedCell]) -> Sheet:
    """Return how often numbers of each kind agree, with the reasons of those that do not."""
    verdicts = [cell.verdicts() for cell in cells]
    counts = {name: Counter(v[key] for v in verdicts if key in v) for key, name in NAMES.items()}
    rows = [[name, str(c.total()), *(str(c[verdict]) for verdict in VERDICTS)] for name, c in counts.items() if c]
    columns = (*texts("number"), *numbers("printed", *VERDICTS))
    return Sheet("Do the printed numbers hold?", columns, rows, notes=excuses(cells))


def table_sheets(cells: Sequence[PrintedCell]) -> Iterator[Sheet]:
    """Yield each printed table beside our counts; rows that differ in their name alone share a line."""
    counts = numbers("params M printed", "ours", "GFLOPs printed", "ours", "true GMACs")
    columns = [*texts("network", "row", "size"), *counts, *texts("counting", "agreement")]
    for table in dict.fromkeys(cell.table for cell in cells):
        rows: list[list[SheetCell | str]] = []
        for _, group in groupby((c for c in cells if c.table == table), lambda cell: replace(cell, row="")):
            same = list(group)
            cell, verdicts = same[0], same[0].verdicts()
            differing = {key for key, verdict in verdicts.items() if verdict == "differs"}
            agreement = ", ".join(dict.fromkeys(verdicts.values()))
            if set(verdicts.values()) - set(GOOD) and not cell.unexplained():
                agreement += " (known)"
            printed, ours = cell.shown()
            gflops, gmacs = (f"{cell.cost.gflops:.3f}", f"{cell.cost.gmacs:.3f}") if cell.cost else ("-", "-")
            params = SheetCell(ours or "-", style="bad" if differing - {"gflops"} else "")
            operations = SheetCell(gflops, style="bad" if "gflops" in differing else "")
            about = cell.network, ", ".join(c.row for c in same), cell.size, printed, params
            rows.append([*about, cell.printed.get("gflops", ""), operations, gmacs, cell.counting, agreement])
        paper, number = table.split("-")
        yield Sheet(f"{PAPERS[paper]}, table {number}", columns, rows)


def timings_sheet(speeds: Sequence[Speed]) -> Sheet:
    """Return the timings for readers: frames per second, the ratio beside the printed one, and what is saved."""
    heads = ("FPS heatmap", "FPS SimCC", "faster by", "middle half", "printed", "printed GFLOPs saved", "MACs saved")
    rows = []
    for s in speeds:
        faster, low, high, printed = (f"{100 * (r - 1):+.0f} %" for r in (s.ratio, s.low, s.high, s.printed_ratio))
        printed += f" ({s.printed_fps[0]} to {s.printed_fps[1]})"
        saved = (f"{100 * share:.0f} %" for share in (s.saved_counted, s.saved))
        fps = f"{s.first:.1f}", f"{s.second:.1f}"
        rows.append([s.size, str(s.threads), *fps, faster, f"{low} to {high}", printed, *saved])
    return Sheet("What leaving out the deconvolutions saves", (*texts("size", "threads"), *numbers(*heads)), rows)


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
            *(s.size, str(s.threads), f"{s.first:.2f}", f"{s.second:.2f}"),
            *(f"{n:.3f}" for n in (s.ratio, s.low, s.high, s.printed_ratio, s.saved_counted, s.saved)),
            *(str(s.turns), s.machine),
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
        measured = {s.size: s for s in speeds if s.threads == count}
        at = [sizes.index(size) + (i - len(threads) / 2) * width for size in measured]
        gain = [100 * (s.ratio - 1) for s in measured.values()]
        below = [100 * (s.ratio - s.low) for s in measured.values()]
        above = [100 * (s.high - s.ratio) for s in measured.values()]
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
        count=len(cells),
        agreement=agreement_sheet(cells),
        tables=list(table_sheets(cells)),
        timings=timings_sheet(speeds) if speeds else None,
        machine=speeds[0].machine if speeds else "",
        figure=figure,
        provenance=provenance(),
    )
