"""Dashboards of a study as code: a workspace with its charts, and a report that compares its schemes, for W&B.

``python -m poserep.dashboards STUDY [RUNS] [--project P] [--entity E] [--save | --json FILE]``

Reads RUNS/STUDY (RUNS is ``runs`` unless given), whose runs `poserep.publish` shows. --json writes what would be saved,
without a network; --save saves it, in the place of what was saved before. Otherwise the charts are listed.
"""

import argparse
import os
import sys
from pathlib import Path

from poserep.dashboards.charts import charts, read_study
from poserep.dashboards.panels import save, specification
from poserep.dashboards.target import arguments
from poserep.errors import InputError
from poserep.results import write_json


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m poserep.dashboards", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments(parser)
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--save", action="store_true")
    how.add_argument("--json", type=Path, metavar="FILE")
    given = parser.parse_args()
    os.environ.setdefault("WANDB_SILENT", "true")
    folder = given.runs / given.study
    try:
        study = read_study(folder)
        if given.save:
            for name, address in save(study, folder, given.project, given.entity).items():
                print(f"{name}: {address}")
        elif given.json:
            write_json(given.json, specification(study, given.project, given.entity or ""))
            print(f"specification: {given.json}")
        else:
            for name, members in charts(study).items():
                print("\n".join([name, *(f"  {chart.title}" for chart in members)]))
    except InputError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
