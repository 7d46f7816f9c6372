"""Dashboards of a study as code: a workspace with its charts, and a report that compares its schemes, for W&B.

Reads RUNS/STUDY (RUNS is runs/ unless options), whose runs poserep wandb push sends. --json writes what would be saved,
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
from poserep.runs.wandb.target import add_target


def main(arguments: Sequence[str]) -> None:
    """Run the command ``poserep wandb dashboard``."""
    parser = parser_of("wandb dashboard", __doc__)
    add_target(parser)
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--save", action="store_true")
    how.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(arguments)
    os.environ.setdefault("WANDB_SILENT", "true")
    folder = options.runs / options.study
    study = read_study(folder)
    if options.save:
        for name, address in save_dashboards(study, folder, options.project, options.entity).items():
            print(f"{name}: {address}")
    elif options.json:
        write_json(options.json, specification(study, options.project, options.entity or ""))
        print(f"specification: {options.json}")
    else:
        for name, members in charts(study).items():
            print("\n".join([name, *(f"  {chart.title}" for chart in members)]))
