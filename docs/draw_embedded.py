"""Put the numbers of the embedded benchmark into embedded.md: its table, and its picture embedded.png.

``python docs/draw_embedded.py`` reads results/embedded.csv; ``python docs/draw_embedded.py runs/embedded/table.csv``
keeps the table of a report there first.
"""

import csv
import re
import shutil
import sys
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

from poserep.figures.style import PALETTE, STYLE

HERE = Path(__file__).parent
KEPT, PAGE = HERE.parent / "results" / "embedded.csv", HERE / "embedded.md"
TABLE = re.compile(r"(<!-- table: results -->\n\n)(?:\|.*\n)*\n?")
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
        cells = [cell for mode in modes for cell in _cells(found.get((mode, row, size)))]
        text.append(f"| {' | '.join([row, size, *cells])} |")
    return "\n".join(text) + "\n"


def _cells(line: dict[str, str] | None) -> tuple[str, str, str]:
    if line is None:
        return "not run", "", ""
    spread = f" ± {float(line['sd_AP']):.1f}" if line["sd_AP"] else ""
    low, middle, high = (float(line[key] or "nan") for key in ("low", "difference", "high"))
    difference = f"{middle:+.1f} [{low:+.1f}, {high:+.1f}]" if line["difference"] else ""
    return f"{float(line['ours_AP']):.1f}{spread}", line["seeds"], difference


def draw(lines: list[dict[str, str]]) -> Figure:
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
                low, middle, high = (float(line[key]) for key in ("low", "difference", "high"))
                right.errorbar(middle, y, xerr=[[middle - low], [high - middle]], **options)
        left.plot([], [], "o", color=COLOURS[mode], label=mode)
    left.set_yticks(range(len(names)), [f"{row}, {size}" if several else row for row, size in names])
    left.set(ylim=(len(names) - 0.4, -0.6), xlim=(0, None), xlabel="AP, annotated boxes")
    left.set_title("AP ± sd over seeds")
    right.axvline(0, color="#94a3b8", linewidth=1)
    right.set(xlabel="AP above the baseline of its mode")
    right.set_title("Difference, 95 % interval")
    if len(modes) > 1:
        figure.legend(*left.get_legend_handles_labels(), loc="lower right", ncols=2)
    figure.tight_layout(rect=(0, 0.03 if len(modes) > 1 else 0, 1, 1))
    return figure


def main() -> None:
    """Command line."""
    if sys.argv[1:]:
        shutil.copyfile(sys.argv[1], KEPT)
    lines = read(KEPT)
    PAGE.write_text(TABLE.sub(lambda found: f"{found[1]}{table(lines)}\n", PAGE.read_text()))
    with rc_context(STYLE):
        draw(lines).savefig(HERE / "embedded.png", dpi=110, metadata={"Software": None})
    print(f"written: {PAGE}, {HERE / 'embedded.png'}")


if __name__ == "__main__":
    main()
