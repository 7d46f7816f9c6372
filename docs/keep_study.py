"""Keep the records of a study that has run: ``python docs/keep_study.py runs/faces``, after ``poserep report faces``.

``results/STUDY.csv`` is the report's table, ``STUDY-curves.csv`` the loss of every epoch and AP and NME of every
validation of every run, ``STUDY-provenance.json`` what the runs were made with: commits, versions, seeds, and hashes
of their data. A study may run in parts: rows and runs that are not in the folder stay as they were kept.
"""

import csv
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from operator import itemgetter
from pathlib import Path
from typing import Any

from poserep.runs.rundir import RunDir, load_results

RESULTS = Path(__file__).parent.parent / "results"


def lines_of(path: Path) -> list[dict[str, str]]:
    """The lines of a CSV file, none if it is absent."""
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def write(path: Path, lines: Iterable[Mapping[str, str]], columns: Iterable[str]) -> None:
    """Write a CSV file."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(columns), restval="", extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)


def merged(new: list[dict[str, str]], kept: list[dict[str, str]]) -> list[dict[str, str]]:
    """The rows of a table, with those that have not run here as they were kept."""
    keys = ("row", "mode", "size", "setting")
    numbers = {tuple(line.get(key, "") for key in keys): line for line in kept if line.get("runs")}
    return [line if line.get("runs") else numbers.get(tuple(line.get(key, "") for key in keys), line) for line in new]


def curves(run: RunDir) -> Iterator[dict[str, str]]:
    """Yield the loss of each epoch, and the AP and NME of each validation, of a run."""
    for row in run.curve():
        for key in (key for key in row if re.fullmatch(r"train/loss|val/\w+/(AP|NME)_\w+", key)):
            yield {"run": run.name, "epoch": str(row["epoch"] + 1), "value": key, "is": f"{row[key]:.4g}"}


def made(run: RunDir, result: Mapping[str, Any]) -> dict[str, Any]:
    """What a run was made with, in the words of its provenance."""
    said = result["provenance"]
    return {
        "commit": f"{said['commit']}{' with changes' if said['dirty'] else ''}",
        "device": result["device"],
        "python": said["python"],
        "packages": said["packages"],
        "data": run.config()["contents"],
    }


def grouped(runs: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Runs that were made with the same, together."""
    groups: dict[str, list[str]] = {}
    for name, by in sorted(runs.items()):
        groups.setdefault(json.dumps(by, sort_keys=True), []).append(name)
    return [{**json.loads(by), "runs": names} for by, names in groups.items()]


def main() -> None:
    """Command line."""
    study = Path(sys.argv[1])
    results = load_results(study)
    runs = [RunDir(result["path"]) for result in results]
    names = {run.name for run in runs}

    table = RESULTS / f"{study.name}.csv"
    new = lines_of(study / ("table.csv" if (study / "table.csv").is_file() else "comparison.csv"))
    write(table, merged(new, lines_of(table)), new[0])

    file = RESULTS / f"{study.name}-curves.csv"
    old = [line for line in lines_of(file) if line["run"] not in names]
    every = sorted(old + [line for run in runs for line in curves(run)], key=itemgetter("run"))
    write(file, every, ["run", "epoch", "value", "is"])

    file = RESULTS / f"{study.name}-provenance.json"
    kept = json.loads(file.read_text()) if file.is_file() else []
    by_run = {name: {key: by[key] for key in by if key != "runs"} for by in kept for name in by["runs"]}
    by_run |= {run.name: made(run, result) for run, result in zip(runs, results, strict=True)}
    file.write_text(json.dumps(grouped(by_run), indent=2) + "\n")
    print(f"written: results/{study.name}.csv, -curves.csv, -provenance.json, of {len(runs)} runs")


if __name__ == "__main__":
    main()
