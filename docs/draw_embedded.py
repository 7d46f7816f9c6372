"""Draw the picture of embedded.md from results/embedded.csv.

``python docs/draw_embedded.py [CSV [FOLDER]]`` writes embedded.png into the folder, by default the one of this file.
"""

import csv
import sys
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

from poserep.figures.style import PALETTE, STYLE

HERE = Path(__file__).parent
COLOURS = {"controlled": PALETTE[0], "published": PALETTE[3]}


def read(path: Path) -> list[dict[str, str]]:
    """The lines of a report's table that have a number."""
    with path.open(newline="") as file:
        return [line for line in csv.DictReader(file) if line["ours_AP"]]


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
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE.parent / "results" / "embedded.csv"
    folder = Path(sys.argv[2]) if len(sys.argv) > 2 else HERE
    with rc_context(STYLE):
        draw(read(path)).savefig(folder / "embedded.png", dpi=110, metadata={"Software": None})
    print(f"written: {folder / 'embedded.png'}")


if __name__ == "__main__":
    main()
