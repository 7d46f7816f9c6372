"""Put the numbers of the embedded benchmark into embedded.md: its tables, and its picture embedded.png.

``python docs/draw_embedded.py`` reads results/embedded*.csv; with ``runs/embedded``, reported before, it takes them
from there first, and with a second folder also those of the same study on photographs.
"""

import csv
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from kept_results import difference, draw, made, read, table, written
from matplotlib import rc_context

from poserep.drawing import STYLE
from poserep.report.compare.command import compare_sides
from poserep.report.compare.stored import StoredEvaluation, read_side, rebuild

HERE = Path(__file__).parent
RESULTS, PAGE = HERE.parent / "results", HERE / "embedded.md"
# Numbers of drawn people and of photographs, AP over the threshold, and what the runs were made with.
KEPT, PHOTOGRAPHS = RESULTS / "embedded.csv", RESULTS / "embedded-lspet.csv"
SCORES, MADE = RESULTS / "embedded-thresholds.csv", RESULTS / "embedded-provenance.json"
THRESHOLDS = (0, 0.05, 0.1, 0.2, 0.3, 0.5)


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
        text.append(f"| {' | '.join([line['row'], *values, difference(line)])} |")
    return "\n".join(text) + "\n"


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
