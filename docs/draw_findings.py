"""Put the numbers of the study on faces into findings.md: its tables, and its picture faces.png.

``python docs/draw_findings.py`` reads results/faces.csv, which ``docs/keep_study.py`` keeps.
"""

import csv
from collections import defaultdict
from pathlib import Path

from kept_results import difference, read, written
from matplotlib import rc_context
from matplotlib.figure import Figure

from poserep.drawing import PALETTE, STYLE

HERE = Path(__file__).parent
RESULTS, PAGE = HERE.parent / "results", HERE / "findings.md"
STUDY = "faces"
# Rows begin with the name of their family.
COLOURS = {"Heatmap": PALETTE[0], "Unbiased": PALETTE[0], "UDP": PALETTE[5], "SimCC": PALETTE[1], "RTMCC": PALETTE[1]}
COLOURS |= {"SR": PALETTE[2], "Debiased": PALETTE[3], "RLE": PALETTE[4], "Gaussian": PALETTE[4]}
# What a reader with COCO and a GPU runs first, and what it settles.
FIRST = {
    "repro-table2": "whether your machine gives a published number, on HUMAN4D",
    "dark-table3": "what exact encoding adds to DARK's decoding, HRNet-W32 at 128x96",
    "simcc-table5": "equal, Gaussian and Laplace labels of SimCC",
    "rtmpose": "what RTMPose's head gains beside linear classifiers, from two initialisations",
    "simcc-table1": "SimCC beside heatmaps at three sizes",
    "initialisation": "which representations need a heatmap network to begin with",
}


def faces_table(lines: list[dict[str, str]]) -> str:
    """AP and NME of every row, and its difference to its baseline, as Markdown; rows with a second baseline follow."""
    text = ["| | AP | NME, % | seeds | baseline | AP - baseline [95 %] |", "| --- | ---: | ---: | ---: | --- | ---: |"]
    for line in lines:
        values = [
            f"{float(line[f'ours_{name}']):.{places}f}"
            + (f" ± {float(line[f'sd_{name}']):.{places}f}" if line[f"sd_{name}"] else "")
            for name, places in (("AP", 1), ("NME", 2))
        ]
        text.append(f"| {' | '.join([line['row'], *values, line['seeds'], line['baseline'], difference(line)])} |")
    return "\n".join(text) + "\n"


def rates_table(path: Path) -> str:
    """AP of every representation by the learning rate, of its default readout, as Markdown."""
    found: dict[str, dict[float, float]] = defaultdict(dict)
    with path.open(newline="") as file:
        for line in csv.DictReader(file):
            rate = float(line["setting"].rpartition("=")[2])
            # The default readout of a scheme stands first.
            found[line["scheme"]].setdefault(rate, float(line["AP"]))
    rates = sorted({rate for by in found.values() for rate in by})
    text = [f"| learning rate | {' | '.join(f'{rate:g}' for rate in rates)} |", "| --- |" + " ---: |" * len(rates)]
    for scheme, by in found.items():
        best = max(by.values())
        cells = [f"**{by[rate]:.1f}**" if by[rate] == best else f"{by[rate]:.1f}" for rate in rates]
        text.append(f"| {scheme.rstrip(' †')} | {' | '.join(cells)} |")
    return "\n".join(text) + "\n"


def costs_table(path: Path) -> str:
    """What to run first, with its runs and hours, as Markdown."""
    with path.open(newline="") as file:
        budget = {line["table"]: line for line in csv.DictReader(file)}
    text = ["| sweep | what it settles | runs | GPU hours |", "| --- | --- | ---: | ---: |"]
    for name, what in FIRST.items():
        line = budget[name]
        text.append(f"| `make reproduce-{name}` | {what} | {line['runs']} | {float(line['gpu_hours']):.0f} |")
    return "\n".join(text) + "\n"


def risen(path: Path) -> str:
    """AP of each readout at each validation of each run, as Markdown."""
    values: dict[tuple[str, str], list[tuple[int, float]]] = defaultdict(list)
    with path.open(newline="") as file:
        lines = list(csv.DictReader(file))
    # The evaluation at the end stands behind the last epoch, and repeats it.
    trained = {line["epoch"] for line in lines if line["value"] == "train/loss"}
    for line in lines:
        if line["value"].endswith("/AP_gt") and line["epoch"] in trained:
            values[line["run"], line["value"]].append((int(line["epoch"]), float(line["is"])))
    text = ["| run | AP |", "| --- | --- |"]
    rows: dict[str, list[str]] = defaultdict(list)
    for (run, value), curve in sorted(values.items()):
        numbers = " → ".join(f"{ap:.1f}" for _, ap in sorted(curve))
        rows[f"{run.partition('-resnet')[0]}, {value.split('/')[1]}"].append(numbers)
    text += [f"| {name} | {'; '.join(numbers)} |" for name, numbers in rows.items()]
    return "\n".join(text) + "\n"


def picture(lines: list[dict[str, str]]) -> Figure:
    """AP of every row, with the standard deviation over seeds."""
    figure = Figure(figsize=(7.5, 0.3 * len(lines) + 0.9))
    axes = figure.subplots()
    for y, line in enumerate(lines):
        value, sd = float(line["ours_AP"]), float(line["sd_AP"] or 0)
        colour = next(colour for name, colour in COLOURS.items() if line["row"].startswith(name))
        axes.barh(y, value, xerr=sd, height=0.62, color=colour, ecolor="#0f172a", capsize=2)
        axes.text(value + 1, y, f"{value:.1f}", va="center", fontsize=9)
    axes.set_yticks(range(len(lines)), [line["row"] for line in lines])
    axes.set(ylim=(len(lines) - 0.4, -0.6), xlim=(0, 80), xlabel="AP on real faces at 64x64, mean and sd over seeds")
    axes.grid(visible=False, axis="y")
    figure.tight_layout()
    return figure


def main() -> None:
    """Command line."""
    lines = read(RESULTS / f"{STUDY}.csv")
    page = written(PAGE.read_text(), "faces", faces_table(lines))
    page = written(page, "rates", rates_table(RESULTS / f"{STUDY}-search.csv"))
    page = written(page, "costs", costs_table(RESULTS / "budget.csv"))
    PAGE.write_text(written(page, "curves", risen(RESULTS / f"{STUDY}-curves.csv")))
    with rc_context(STYLE):
        shown = [line for line in lines if " against " not in line["row"]]
        picture(shown).savefig(HERE / "faces.png", dpi=110, metadata={"Software": None})
    print(f"written: {PAGE}, {HERE / 'faces.png'}")


if __name__ == "__main__":
    main()
