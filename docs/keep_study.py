"""Keep the records of a study that has run: ``python docs/keep_study.py runs/faces``, after ``poserep report faces``.

``results/STUDY.csv`` is the report's table, ``STUDY-curves.csv`` the loss of every epoch and AP and NME of every
validation of every run, ``STUDY-provenance.json`` what the runs were made with: commits, versions, seeds, and hashes of
their data.
"""

import csv
import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from kept_results import made

from poserep.runs.rundir import RunDir, load_results

RESULTS = Path(__file__).parent.parent / "results"


def curves(runs: list[RunDir]) -> Iterator[dict[str, str]]:
    """Yield the loss of each epoch, and the AP and NME of each validation, of each run."""
    for run in runs:
        for row in run.curve():
            for key in (key for key in row if re.fullmatch(r"train/loss|val/\w+/(AP|NME)_\w+", key)):
                yield {"run": run.name, "epoch": str(row["epoch"] + 1), "value": key, "is": f"{row[key]:.4g}"}


def main() -> None:
    """Command line."""
    study = Path(sys.argv[1])
    results = load_results(study)
    runs = [RunDir(result["path"]) for result in results]
    table = study / ("table.csv" if (study / "table.csv").is_file() else "comparison.csv")
    shutil.copyfile(table, RESULTS / f"{study.name}.csv")
    with (RESULTS / f"{study.name}-curves.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["run", "epoch", "value", "is"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(curves(runs))
    contents = {json.dumps(run.config()["contents"], sort_keys=True) for run in runs}
    record = {
        "made": made(study, [{"runs": run.name} for run in runs]),
        "seeds": sorted({result["config"]["seed"] for result in results}),
        "data": [json.loads(each) for each in sorted(contents)],
    }
    (RESULTS / f"{study.name}-provenance.json").write_text(json.dumps(record, indent=2) + "\n")
    print(f"written: results/{study.name}.csv, -curves.csv, -provenance.json, of {len(runs)} runs")


if __name__ == "__main__":
    main()
