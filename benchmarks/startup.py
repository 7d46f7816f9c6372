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

# The table has 19 cells a seed.
TABLE = ["ladder", "size=64x64", "data.level=easy", "data.prepare.train=8", "data.prepare.val=6", "data.root=drawn"]
SEEDS = 9
# Plans a table and runs nothing.
PLAN = """
import sys
from poserep.sweeps import command, sweeper
sweeper.RowSweeper._run = lambda *_: {}
sys.argv.pop(0)
command.run(sys.argv)
"""
TINY = ["trainer=smoke", "data.prepare.train=8", "data.prepare.val=6", "data.root=drawn", "boxes=[gt]"]
# The most that each may take; a run of smoke trains one epoch of two steps.
LIMITS = {
    "--help": 0.2,
    "report --help": 1.0,
    "diff --help": 1.0,
    "sweep status tiny": 1.0,
    "data check {words}": 1.5,
    "compare {a} {b}": 2.0,
    "train {words} study=again-{n}": 8.0,
}
PLANNED, FINISHED = "sweep run ladder, 171 cells to plan", "sweep run ladder, a cell that has finished"
TABLE_LIMITS = {PLANNED: 10.0, FINISHED: 0.02}
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


def table_seconds(folder: str, runs: int) -> dict[str, float]:
    """Return the CPU seconds of planning a table for the first time, and of a further cell that has finished."""

    def arguments(seeds: int, name: str) -> list[str]:
        return [*TABLE, f"seed={','.join(map(str, range(seeds)))}", f"runs={name}"]

    planned = [cpu_seconds(["-c", PLAN, *arguments(SEEDS, f"planned-{n}")], folder) for n in range(runs)]
    cells = [path.parent for path in Path(folder, "planned-0", "ladder").glob("*/config.yaml")]
    for cell in cells:
        write_json(cell / "result.json", {})
    whole, part = (
        statistics.median(
            cpu_seconds(["-m", "poserep", "sweep", "run", *arguments(seeds, "planned-0")], folder) for _ in range(runs)
        )
        for seeds in (SEEDS, 1)
    )
    others = len(cells) * (SEEDS - 1) / SEEDS
    bare = statistics.median(cpu_seconds(["-c", "pass"], folder) for _ in range(runs))
    return {PLANNED: round(statistics.median(planned) - bare, 2), FINISHED: round((whole - part) / others, 4)}


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
        for name, found in table_seconds(folder, options.runs).items():
            seconds[name] = found
            print(f"{name:<20} {found:6.3f} s of CPU, at most {TABLE_LIMITS[name]:g}", flush=True)
    if options.record:
        limits = {command.split("{")[0].strip(): limit for command, limit in LIMITS.items()} | TABLE_LIMITS
        record = {
            "limits": limits,
            "device": processor(),
            "runs": options.runs,
            "seconds": seconds,
            "provenance": provenance(),
        }
        RESULT.parent.mkdir(exist_ok=True)
        write_json(RESULT, record)
        print(json.dumps(seconds))


if __name__ == "__main__":
    main()
