"""What pages show of a study that has run: its table with intervals, and the picture of it."""

import csv
import re
from pathlib import Path

from matplotlib.figure import Figure

from poserep.drawing import PALETTE
from poserep.report.claims import kept_interval

COLOURS = {"controlled": PALETTE[0], "published": PALETTE[3]}


def read(path: Path) -> list[dict[str, str]]:
    """The lines of a report's table that have a number."""
    with path.open(newline="") as file:
        return [line for line in csv.DictReader(file) if line["ours_AP"]]


def table(lines: list[dict[str, str]]) -> str:
    """AP of every row, mean and standard deviation over seeds, and its difference to the baseline, as Markdown."""
    rows = list(dict.fromkeys((line["row"], line["size"]) for line in lines))
    found = {(line["mode"], line["row"], line["size"]): line for line in lines}
    modes = [mode for mode in COLOURS if any(line["mode"] == mode for line in lines)]
    head = ["", "size", *(text for mode in modes for text in (f"{mode}: AP", "seeds", "- baseline [95 %]"))]
    text = [f"| {' | '.join(head)} |", "| --- | --- |" + " ---: | ---: | ---: |" * len(modes)]
    for row, size in rows:
        cells = [row, size]
        for mode in modes:
            if line := found.get((mode, row, size)):
                spread = f" ± {float(line['sd_AP']):.1f}" if line["sd_AP"] else ""
                cells += [f"{float(line['ours_AP']):.1f}{spread}", line["seeds"], difference(line, lines)]
            else:
                cells += ["not run", "", ""]
        text.append(f"| {' | '.join(cells)} |")
    return "\n".join(text) + "\n"


def difference(line: dict[str, str], lines: list[dict[str, str]]) -> str:
    """Difference of a row of a table to its baseline, with its interval."""
    if not line["difference"]:
        return ""
    low, high = kept_interval(line, lines)
    return f"{float(line['difference']):+.1f} [{low:+.1f}, {high:+.1f}]"


def draw(lines: list[dict[str, str]], people: str = "annotated boxes") -> Figure:
    """AP of every row, mean and standard deviation over seeds, and its difference to the baseline with interval."""
    names = list(dict.fromkeys((line["row"], line["size"]) for line in lines))
    several = len({size for _, size in names}) > 1
    modes = [mode for mode in COLOURS if any(line["mode"] == mode for line in lines)]
    figure = Figure(figsize=(8, 0.36 * len(names) + 1.5))
    left, right = figure.subplots(1, 2, sharey=True)
    for number, mode in enumerate(modes):
        offset = 0.24 * (number - (len(modes) - 1) / 2)
        options = {"color": COLOURS[mode], "fmt": "o", "markersize": 5, "capsize": 2.5, "linewidth": 1.3}
        for line in (line for line in lines if line["mode"] == mode):
            y = names.index((line["row"], line["size"])) + offset
            left.errorbar(float(line["ours_AP"]), y, xerr=float(line["sd_AP"] or 0), **options)
            if line["difference"]:
                (low, high), middle = kept_interval(line, lines), float(line["difference"])
                right.errorbar(middle, y, xerr=[[middle - low], [high - middle]], **options)
        left.plot([], [], "o", color=COLOURS[mode], label=mode)
    left.set_yticks(range(len(names)), [f"{row}, {size}" if several else row for row, size in names])
    left.set(ylim=(len(names) - 0.4, -0.6), xlim=(0, None), xlabel=f"AP, {people}")
    left.set_title("AP ± sd over seeds")
    right.axvline(0, color="#94a3b8", linewidth=1)
    right.set(xlabel="AP above the row's baseline")
    right.set_title("Difference, 95 % interval")
    if len(modes) > 1:
        figure.legend(*left.get_legend_handles_labels(), loc="lower right", ncols=2)
    figure.tight_layout(rect=(0, 0.03 if len(modes) > 1 else 0, 1, 1))
    return figure


def written(text: str, name: str, table: str) -> str:
    """A page with one of its tables replaced."""
    return re.sub(rf"(<!-- table: {name} -->\n\n)(?:\|.*\n)*\n?", lambda found: f"{found[1]}{table}\n", text)
