"""Dashboards of a study as code: a workspace with its charts, and a report that compares its schemes, for W&B.

Reads RUNS/STUDY (RUNS is runs/ unless given), whose runs poserep wandb push sends. --json writes what would be saved,
without a network; --save saves it, in the place of what was saved before. Otherwise the charts are listed.

example: poserep wandb dashboard simcc-table1 --save
"""

import os
from collections.abc import Sequence
from pathlib import Path

from poserep.cli import parser_of
from poserep.files import write_json
from poserep.report.dashboards.charts import charts, read_study
from poserep.report.dashboards.panels import save_dashboards, specification
from poserep.runs.wandb.target import arguments


def main(words: Sequence[str]) -> None:
    """Run the command ``poserep wandb dashboard``."""
    parser = parser_of("wandb dashboard", __doc__)
    arguments(parser)
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--save", action="store_true")
    how.add_argument("--json", type=Path, metavar="FILE")
    given = parser.parse_args(words)
    os.environ.setdefault("WANDB_SILENT", "true")
    folder = given.runs / given.study
    study = read_study(folder)
    if given.save:
        for name, address in save_dashboards(study, folder, given.project, given.entity).items():
            print(f"{name}: {address}")
    elif given.json:
        write_json(given.json, specification(study, given.project, given.entity or ""))
        print(f"specification: {given.json}")
    else:
        for name, members in charts(study).items():
            print("\n".join([name, *(f"  {chart.title}" for chart in members)]))
