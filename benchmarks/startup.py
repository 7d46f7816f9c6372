"""CPU seconds that commands take to start, beyond those of ``python -c pass``: the median of several runs.

``python benchmarks/startup.py`` draws a small set in a temporary folder, trains a tiny run there, and prints a line for
each command with the seconds that it may take. With ``--record`` the numbers are kept in benchmarks/results.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from machine import processor

from poserep.files import provenance, write_json

TINY = ["trainer=smoke", "data.prepare.train=8", "data.prepare.val=6", "data.root=drawn", "boxes=[gt]"]
# The most that each may take; a run of smoke trains one epoch of two steps.
LIMITS = {
    "--help": 0.2,
    "report --help": 1.0,
    "diff --help": 1.0,
    "sweep status tiny": 1.0,
    "data check {words}": 1.5,
    "compare {a} {b}": 2.0,
    "train {words} study=again-{n}": 12.0,
}
RESULT = Path(__file__).parent / "results" / "startup.json"


def cpu_seconds(command: list[str], folder: str) -> float:
    """Run a command and return the CPU seconds of it and its children."""
    before = os.times()
    done = subprocess.run([sys.executable, *command], cwd=folder, capture_output=True, text=True)
    after = os.times()
    if done.returncode not in (0, 1):
        sys.exit(f"{' '.join(command)} ended with {done.returncode}: {done.stderr}")
    return after.children_user + after.children_system - before.children_user - before.children_system


def prepared(folder: str) -> dict[str, str]:
    """Train two tiny runs in a folder and return what commands need to know of them."""
    for seed in (0, 1):
        command = ["-m", "poserep", "train", *TINY, "study=tiny", f"seed={seed}", "representation=simcc"]
        subprocess.run([sys.executable, *command], cwd=folder, check=True, capture_output=True)
    runs = sorted(Path(folder, "runs", "tiny").glob("*/result.json"))
    cells = Path(folder, "runs", "tiny", "cells")
    cells.mkdir()
    for path in runs:
        use = {"mode": "published", "rows": ["tiny"], "arguments": []}
        write_json(cells / f"{path.parent.name}.json", {"name": path.parent.name, "overrides": [], "uses": [use]})
    a, b = (str(path.parent) for path in runs)
    return {"a": a, "b": b, "words": " ".join(TINY)}


def main() -> None:
    """Measure, print, and with ``--record`` keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="runs of each command (5)")
    parser.add_argument("--record", action="store_true", help="write benchmarks/results/startup.json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        facts = prepared(folder)
        bare = statistics.median(cpu_seconds(["-c", "pass"], folder) for _ in range(options.runs))
        seconds = {}
        for command, limit in LIMITS.items():
            name = command.split("{")[0].strip()
            words = [["-m", "poserep", *command.format(**facts, n=n).split()] for n in range(options.runs)]
            seconds[name] = round(statistics.median(cpu_seconds(w, folder) for w in words) - bare, 2)
            print(f"{name:<20} {seconds[name]:6.2f} s of CPU, at most {limit:g}", flush=True)
    if options.record:
        record = {"device": processor(), "runs": options.runs, "seconds": seconds, "provenance": provenance()}
        RESULT.parent.mkdir(exist_ok=True)
        write_json(RESULT, record)
        print(json.dumps(seconds))


if __name__ == "__main__":
    main()
