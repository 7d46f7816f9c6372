"""Write findings.md and its pictures from findings.md.j2 and the numbers of results/: ``python docs/draw_findings.py``.

``docs/keep_study.py`` keeps the records of a study there. The template asks for numbers by study and row, so that each
one of the page is that of a record.
"""

import csv
import re
from collections import defaultdict
from functools import cache
from pathlib import Path

import jinja2
import numpy as np
from kept_results import difference, draw, read
from matplotlib import rc_context
from matplotlib.figure import Figure

from poserep.drawing import PALETTE, STYLE
from poserep.metrics.seed_interval import planned_error, power
from poserep.report.claims import HALF

HERE = Path(__file__).parent
RESULTS, PAGE = HERE.parent / "results", HERE / "findings.md"
# Rows begin with the name of their family.
COLOURS = {"Heatmap": PALETTE[0], "Unbiased": PALETTE[0], "UDP": PALETTE[5], "SimCC": PALETTE[1], "RTMCC": PALETTE[1]}
COLOURS |= {"SR": PALETTE[2], "Debiased": PALETTE[3], "RLE": PALETTE[4], "Gaussian": PALETTE[4]}
# The row of the learning curves that belongs to both axes: so many steps with so many people.
SHARED = 2000
# What a reader with COCO and a GPU runs first, and what it settles.
FIRST = {
    "repro-table2": "whether your machine gives a published number, on HUMAN4D",
    "dark-table3": "what exact encoding adds to DARK's decoding, HRNet-W32 at 128x96",
    "simcc-table5": "equal, Gaussian and Laplace labels of SimCC",
    "rtmpose": "what RTMPose's head gains beside linear classifiers, from two initialisations",
    "simcc-table1": "SimCC beside heatmaps at three sizes",
    "initialisation": "which representations need a heatmap network to begin with",
}


@cache
def kept(name: str) -> list[dict[str, str]]:
    """The lines of a file of results/."""
    with (RESULTS / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def line_of(study: str, row: str, mode: str = "controlled") -> dict[str, str]:
    """The line of a row of a study; there must be one, with a number."""
    (line,) = (line for line in kept(study) if line["row"] == row and line["mode"] == mode and line["ours_AP"])
    return line


def value(study: str, row: str, places: int = 0, mode: str = "controlled") -> str:
    """AP of a row."""
    return f"{float(line_of(study, row, mode)['ours_AP']):.{places}f}"


def gap(study: str, row: str, mode: str = "controlled") -> str:
    """Difference of a row to its baseline, with its interval."""
    return difference(line_of(study, row, mode), kept(study))


def gain(study: str, row: str, mode: str = "controlled") -> str:
    """Size of the difference of a row to its baseline, in whole points."""
    return f"{abs(float(line_of(study, row, mode)['difference'])):.0f}"


def seen(study: str, difference: float, seeds: int) -> str:
    """How probably a study tells a true difference from none, in percent, by the median scatter of its rows."""
    lines = [line for line in kept(study) if line["difference"] and line["seeds_low"]]
    (boxes,) = {re.search(r"(\d+) gt boxes", line["protocol"])[1] for line in lines}
    seed_sd = float(np.median([float(line["sd_AP"]) for line in lines]))
    half_widths = [(float(line["high"]) - float(line["low"])) / 2 for line in lines]
    image_sd = float(np.median(half_widths)) / HALF * int(boxes) ** 0.5
    return f"{power(difference, *planned_error(seeds, int(boxes), seed_sd, image_sd)):.0%}".replace("%", " %")


def faces_table() -> str:
    """AP and NME of every row, and its difference to its baseline, as Markdown; rows with a second baseline follow."""
    text = ["| | AP | NME, % | seeds | baseline | AP - baseline [95 %] |", "| --- | ---: | ---: | ---: | --- | ---: |"]
    for line in (line for line in kept("faces") if line["ours_AP"]):
        values = [
            f"{float(line[f'ours_{name}']):.{places}f}"
            + (f" ± {float(line[f'sd_{name}']):.{places}f}" if line[f"sd_{name}"] else "")
            for name, places in (("AP", 1), ("NME", 2))
        ]
        cells = [line["row"], *values, line["seeds"], line["baseline"], difference(line, kept("faces"))]
        text.append(f"| {' | '.join(cells)} |")
    return "\n".join(text)


def rates_table() -> str:
    """AP of every representation by the learning rate, of its default readout, as Markdown."""
    found: dict[str, dict[float, float]] = defaultdict(dict)
    for line in kept("faces-search"):
        rate = float(re.search(r"optim\.lr=([\d.e-]+)", line["setting"])[1])
        # The default readout of a scheme stands first.
        found[line["scheme"]].setdefault(rate, float(line["AP"]))
    rates = sorted({rate for by in found.values() for rate in by})
    text = [f"| learning rate | {' | '.join(f'{rate:g}' for rate in rates)} |", "| --- |" + " ---: |" * len(rates)]
    for scheme, by in found.items():
        best = max(by.values())
        cells = ["" if rate not in by else f"{by[rate]:.1f}" for rate in rates]
        cells = [f"**{cell}**" if cell == f"{best:.1f}" else cell for cell in cells]
        text.append(f"| {scheme.rstrip(' †')} | {' | '.join(cells)} |")
    return "\n".join(text)


def costs_table() -> str:
    """What to run first, with its runs and hours, as Markdown."""
    budget = {line["table"]: line for line in kept("budget")}
    text = ["| sweep | what it settles | runs | GPU hours |", "| --- | --- | ---: | ---: |"]
    for name, what in FIRST.items():
        line = budget[name]
        text.append(f"| `make reproduce-{name}` | {what} | {line['runs']} | {float(line['gpu_hours']):.0f} |")
    return "\n".join(text)


def risen() -> dict[tuple[str, str], dict[int, list[float]]]:
    """AP of every seed by representation and readout, and by epoch of the validation, on faces."""
    lines = kept("faces-curves")
    # The evaluation at the end stands behind the last epoch, and repeats it.
    trained = {line["epoch"] for line in lines if line["value"] == "train/loss"}
    found: dict[tuple[str, str], dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for line in lines:
        if line["value"].endswith("/AP_gt") and line["epoch"] in trained:
            name = line["run"].partition("-resnet")[0], line["value"].split("/")[1]
            found[name][int(line["epoch"])].append(float(line["is"]))
    return found


def curves_table() -> str:
    """`risen`, means over seeds, as Markdown."""
    found = risen()
    epochs = sorted({epoch for by in found.values() for epoch in by})
    text = [f"| representation | readout | {' | '.join(f'epoch {epoch}' for epoch in epochs)} |"]
    text.append("| --- | --- |" + " ---: |" * len(epochs))
    for (name, readout), by in sorted(found.items()):
        text.append(f"| {name} | {readout} | {' | '.join(f'{sum(by[e]) / len(by[e]):.1f}' for e in epochs)} |")
    return "\n".join(text)


def rise(*representations: str) -> str:
    """What the last stretch of training adds to AP on faces, from the least to the most of some representations."""
    by_epoch = [by for (name, _), by in risen().items() if name.startswith(representations)]
    last = [sorted(by.items())[-2:] for by in by_epoch]
    gains = [sum(end) / len(end) - sum(before) / len(before) for (_, before), (_, end) in last]
    return " to ".join(dict.fromkeys(f"{gain:.0f}" for gain in (min(gains), max(gains))))


def above(row: str, threshold: float) -> float:
    """AP of a row on drawn people if joints above a score count, in the controlled mode."""
    (line,) = (each for each in kept("embedded-thresholds") if (each["mode"], each["row"]) == ("controlled", row))
    return float(line[f"AP_{threshold:g}"])


def thresholds_table(rows: list[str]) -> str:
    """AP of some rows on drawn people, controlled mode, by the score above which joints count, as Markdown."""
    lines = [line for line in kept("embedded-thresholds") if line["mode"] == "controlled" and line["row"] in rows]
    columns = [name for name in lines[0] if name.startswith("AP_")]
    text = [f"| AP of joints above | {' | '.join(name.removeprefix('AP_') for name in columns)} |"]
    text.append("| --- |" + " ---: |" * len(columns))
    text += [f"| {line['row']} | {' | '.join(f'{float(line[c]):.1f}' for c in columns)} |" for line in lines]
    return "\n".join(text)


def learning() -> dict[str, dict[str, dict[int, dict[str, str]]]]:
    """Rows of the learning curves by axis (steps or people), representation and place on it; each run stands once."""
    found: dict[str, dict[str, dict[int, dict[str, str]]]] = {"steps": defaultdict(dict), "people": defaultdict(dict)}
    for line in (line for line in kept("learning-curves") if line["ours_AP"]):
        name, _, setting = line["row"].rpartition(", ")
        if " against " in name:
            continue
        number, axis = setting.split()
        found[axis][name][int(number)] = line
        if axis == "steps" and int(number) == SHARED:
            found["people"][name][SHARED] = line
    return found


def learning_table(axis: str) -> str:
    """AP of every representation by the length of training or the number of people, as Markdown."""
    by_name = learning()[axis]
    places = sorted({place for by in by_name.values() for place in by})
    text = [f"| {axis} | {' | '.join(f'{place:,}' for place in places)} |", "| --- |" + " ---: |" * len(places)]
    for name, by in by_name.items():
        cells = []
        for place in places:
            line = by.get(place)
            cells.append(f"{float(line['ours_AP']):.1f} ± {float(line['sd_AP']):.1f}" if line else "not run")
        text.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(text)


def learning_picture() -> Figure:
    """AP over the length of training and over the number of people, with the standard deviation over seeds."""
    figure = Figure(figsize=(7.5, 3.4))
    panels = figure.subplots(1, 2, sharey=True)
    for axes, (axis, by_name) in zip(panels, learning().items(), strict=True):
        for name, by in by_name.items():
            colour = next(colour for family, colour in COLOURS.items() if name.startswith(family))
            # Two of a family share its colour.
            dashes = "--" if name.startswith(("RTMCC", "Heatmap")) else "-"
            x = sorted(by)
            y, sd = ([float(by[place][key]) for place in x] for key in ("ours_AP", "sd_AP"))
            axes.errorbar(
                x, y, yerr=sd, color=colour, linestyle=dashes, marker="o", markersize=4, capsize=2, label=name
            )
        axes.set_xscale("log", base=2)
        axes.set_xticks(ticks := sorted({place for by in by_name.values() for place in by}), [f"{n:,}" for n in ticks])
        axes.minorticks_off()
        axes.set_xlabel("steps, with 2,000 people" if axis == "steps" else "people, in 2,000 steps")
    panels[0].set_ylabel("AP on drawn people, mean and sd")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="lower center", ncols=3, fontsize=8)
    figure.tight_layout(rect=(0, 0.13, 1, 1))
    return figure


def picture(lines: list[dict[str, str]]) -> Figure:
    """AP of every row, with the standard deviation over seeds."""
    figure = Figure(figsize=(7.5, 0.3 * len(lines) + 0.9))
    axes = figure.subplots()
    for y, line in enumerate(lines):
        ap, sd = float(line["ours_AP"]), float(line["sd_AP"] or 0)
        colour = next(colour for name, colour in COLOURS.items() if line["row"].startswith(name))
        axes.barh(y, ap, xerr=sd, height=0.62, color=colour, ecolor="#0f172a", capsize=2)
        axes.text(ap + 1, y, f"{ap:.1f}", va="center", fontsize=9)
    axes.set_yticks(range(len(lines)), [line["row"] for line in lines])
    axes.set(ylim=(len(lines) - 0.4, -0.6), xlim=(0, 80), xlabel="AP on real faces at 64x64, mean and sd over seeds")
    axes.grid(visible=False, axis="y")
    figure.tight_layout()
    return figure


def page() -> str:
    """The page."""
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    given = {"value": value, "gap": gap, "gain": gain, "thresholds": thresholds_table, "rates": rates_table()}
    given |= {"bins": [value("embedded", f"SimDR, equal smoothing, k = {k}", 1) for k in (1, 2, 3, 4)]}
    given |= {"above": above, "rise": rise, "seen": seen, "learning_table": learning_table}
    given |= {"faces": faces_table(), "costs": costs_table(), "curves": curves_table()}
    text = environment.from_string((HERE / "findings.md.j2").read_text()).render(given)
    return text.rstrip("\n") + "\n"


def main() -> None:
    """Command line."""
    PAGE.write_text(page())
    with rc_context(STYLE):
        rows = [line for line in read(RESULTS / "faces.csv") if " against " not in line["row"]]
        picture(rows).savefig(HERE / "faces.png", dpi=110, metadata={"Software": None})
        learning_picture().savefig(HERE / "learning-curves.png", dpi=110, metadata={"Software": None})
        draw(read(RESULTS / "embedded.csv")).savefig(HERE / "embedded.png", dpi=110, metadata={"Software": None})
    print(f"written: {PAGE}, {HERE / 'faces.png'}, {HERE / 'embedded.png'}")


if __name__ == "__main__":
    main()
