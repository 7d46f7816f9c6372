"""Put the numbers of the embedded benchmark into embedded.md: its tables, and its picture embedded.png.

``python docs/draw_embedded.py`` reads results/embedded*.csv; with ``runs/embedded``, reported before, it takes them
from there first, and with a second folder also those of the same study on photographs.
"""

import csv
import json
import re
import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from poserep.drawing import PALETTE, STYLE
from poserep.report.compare.command import compare_sides
from poserep.report.compare.stored import StoredEvaluation, read_side, rebuild

HERE = Path(__file__).parent
RESULTS, PAGE = HERE.parent / "results", HERE / "embedded.md"
# Numbers of drawn people and of photographs, AP over the threshold, and what the runs were made with.
KEPT, PHOTOGRAPHS = RESULTS / "embedded.csv", RESULTS / "embedded-lspet.csv"
SCORES, MADE = RESULTS / "embedded-thresholds.csv", RESULTS / "embedded-provenance.json"
COLOURS = {"controlled": PALETTE[0], "published": PALETTE[3]}
THRESHOLDS = (0, 0.05, 0.1, 0.2, 0.3, 0.5)


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
                cells += [f"{float(line['ours_AP']):.1f}{spread}", line["seeds"], _difference(line)]
            else:
                cells += ["not run", "", ""]
        text.append(f"| {' | '.join(cells)} |")
    return "\n".join(text) + "\n"


def _difference(line: dict[str, str]) -> str:
    if not line["difference"]:
        return ""
    low, middle, high = (float(line[key]) for key in ("low", "difference", "high"))
    return f"{middle:+.1f} [{low:+.1f}, {high:+.1f}]"


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


def above(study: Path, lines: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """AP by the threshold above which joints count, mean over seeds, and the difference to the baseline if all do.

    From stored predictions, as a threshold decides only how persons are ranked.
    """

    def side_of(line: dict[str, str]) -> list[StoredEvaluation]:
        runs = ",".join(str(study / run) for run in line["runs"].split())
        return read_side(f"{runs}:{line['readout']}", "gt")

    def by_threshold(run: StoredEvaluation) -> list[float]:
        scored = (rebuild(run, threshold) for threshold in THRESHOLDS)
        return [scorer(predictions).values["AP"] for scorer, predictions in scored]

    sides = {(line["mode"], line["row"], line["size"]): side_of(line) for line in lines}
    found = []
    for line in lines:
        side, base = (sides.get((line["mode"], line[key], line["size"])) for key in ("row", "baseline"))
        by_seed = np.array([by_threshold(run) for run in side])
        means = by_seed.mean(0)
        row = {key: line[key] for key in ("mode", "row", "size", "readout", "seeds")}
        row |= {f"AP_{threshold:g}": f"{value:.4f}" for threshold, value in zip(THRESHOLDS, means, strict=True)}
        row["sd_0"] = f"{by_seed[:, 0].std(ddof=1):.4f}" if len(side) > 1 else ""
        gap = dict.fromkeys(("difference", "low", "high"), "")
        if base:
            record = compare_sides(side, base, "AP", score_threshold=0)
            gap = {key: f"{record[key]:.4f}" for key in gap}
        found.append({**row, **gap})
    return found


def scores(lines: Sequence[dict[str, str]], mode: str = "controlled") -> str:
    """`above` of a mode as Markdown."""
    text = [f"| AP of joints above | {' | '.join(f'{t:g}' for t in THRESHOLDS)} | all joints: - baseline [95 %] |"]
    text.append("| --- |" + " ---: |" * (len(THRESHOLDS) + 1))
    for line in (line for line in lines if line["mode"] == mode):
        values = [f"{float(line[f'AP_{threshold:g}']):.1f}" for threshold in THRESHOLDS]
        values[0] += f" ± {float(line['sd_0']):.1f}" if line["sd_0"] else ""
        text.append(f"| {' | '.join([line['row'], *values, _difference(line)])} |")
    return "\n".join(text) + "\n"


def made(study: Path, lines: Sequence[dict[str, str]]) -> dict[str, dict[str, int]]:
    """What the runs of a table were made with: how many by each."""
    runs = sorted({run for line in lines for run in line["runs"].split()})
    results = [json.loads((study / run / "result.json").read_text()) for run in runs]
    found = [result["provenance"] for result in results]
    said = {
        "device": [result["device"] for result in results],
        "commit": [f"{p['commit']}{' with changes' if p['dirty'] else ''}" for p in found],
        "python": [p["python"] for p in found],
        **{name: [p["packages"][name] for p in found] for name in found[0]["packages"]},
    }
    return {key: dict(sorted(Counter(values).items())) for key, values in said.items()}


def written(text: str, name: str, table: str) -> str:
    """A page with one of its tables replaced."""
    return re.sub(rf"(<!-- table: {name} -->\n\n)(?:\|.*\n)*\n?", lambda found: f"{found[1]}{table}\n", text)


def keep(study: Path, photographs: Path | None) -> None:
    """Take the numbers of a study into results/."""
    shutil.copyfile(study / "table.csv", KEPT)
    provenance = {"drawn people": made(study, read(KEPT))}
    with SCORES.open("w", newline="") as file:
        rows = above(study, read(KEPT))
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    if photographs:
        shutil.copyfile(photographs / "table.csv", PHOTOGRAPHS)
        provenance["photographs"] = made(photographs, read(PHOTOGRAPHS))
    MADE.write_text(json.dumps(provenance, indent=2) + "\n")


def main() -> None:
    """Command line."""
    if sys.argv[1:]:
        keep(Path(sys.argv[1]), Path(sys.argv[2]) if sys.argv[2:] else None)
    lines = read(KEPT)
    with SCORES.open(newline="") as file:
        page = written(PAGE.read_text(), "thresholds", scores(list(csv.DictReader(file))))
    page = written(page, "results", table(lines))
    PAGE.write_text(written(page, "photographs", table(read(PHOTOGRAPHS))))
    with rc_context(STYLE):
        draw(lines).savefig(HERE / "embedded.png", dpi=110, metadata={"Software": None})
    print(f"written: {PAGE}, {HERE / 'embedded.png'}")


if __name__ == "__main__":
    main()
