"""The costs as sheets and as one HTML page."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from poserep.files import provenance
from poserep.report.html import render
from poserep.sheet import Sheet, SheetCell, numbers, texts
from poserep.studies.published_costs.cells import GOOD, KEYS, PrintedCell

NAMES = dict(zip(KEYS, ("parameters", "parameters of the backbone", "other parameters", "GFLOPs"), strict=True))
PAPERS = {"simcc": "SimCC", "simdr": "SimDR", "dark": "DARK", "srpose": "SRPose", "rtmpose": "RTMPose"}
VERDICTS = (*GOOD, "differs", "not built")


def excuses(cells: Sequence[PrintedCell]) -> list[str]:
    """List why numbers differ, once for each network and reason, or that nothing explains it; and which are cut off."""
    lines: dict[str, None] = {}
    for cell in cells:
        for key, verdict in cell.verdicts().items():
            if verdict == "truncates":
                cut = f"{cell.printed[key]} is {cell.ours[key]:.3f} cut off, not rounded"
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
            gflops, gmacs = (f"{cell.ours[key]:.3f}" if cell.ours else "-" for key in ("gflops", "gmacs"))
            params = SheetCell(ours or "-", style="bad" if differing - {"gflops"} else "")
            operations = SheetCell(gflops, style="bad" if "gflops" in differing else "")
            about = cell.network, ", ".join(c.row for c in same), cell.size, printed, params
            rows.append([*about, cell.printed.get("gflops", ""), operations, gmacs, cell.counting, agreement])
        paper, number = table.split("-")
        place = f"table {number}" if number.isdigit() else number
        yield Sheet(f"{PAPERS[paper]}, {place}", columns, rows)


def cells_sheet(cells: Sequence[PrintedCell]) -> Sheet:
    """Return all printed rows as one table, for a file."""
    kinds = [f"{key}_{what}" for key in NAMES for what in ("printed", "ours", "verdict")]
    rows = []
    for cell in cells:
        verdicts = cell.verdicts()
        ours = {key: f"{value:.{4 if key == 'gflops' else 6}f}" for key, value in cell.ours.items()}
        each = [(cell.printed[k], ours.get(k, ""), verdicts[k]) if k in cell.printed else [""] * 3 for k in NAMES]
        true = f"{cell.ours['gmacs']:.4f}" if cell.ours else ""
        about = cell.table, cell.network, cell.row, cell.size, cell.counting
        rows.append([*about, *(text for three in each for text in three), true, "; ".join(cell.excuses.values())])
    heads = "table", "network", "row", "size", "counting", *kinds, "true_gmacs", "reason"
    return Sheet("", texts(*heads), rows)


def page(title: str, cells: Sequence[PrintedCell]) -> str:
    """Return the page, with everything that it shows inside it."""
    tables = list(table_sheets(cells))
    agreement, facts = agreement_sheet(cells), provenance()
    return render("costs.html.j2", title=title, count=len(cells), agreement=agreement, tables=tables, provenance=facts)
