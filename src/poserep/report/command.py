"""Collect the runs of a study into tables: on the terminal, as text to paste, and as one self-contained HTML page.

example: poserep report demo
         poserep report simcc-table1 --format latex > table1.tex
"""

from collections.abc import Sequence
from pathlib import Path

from poserep.cli import parser_of
from poserep.report.collect import read, report
from poserep.report.outputs import latex, markdown


def main(arguments: Sequence[str]) -> None:
    """The command ``poserep report``."""
    parser = parser_of("report", __doc__)
    parser.add_argument("table", help="name of a sweep, or of any folder of runs")
    parser.add_argument("runs", nargs="?", type=Path, default=Path("runs"), help="folder that holds it (runs)")
    formats = ("terminal", "markdown", "latex", "csv")
    parser.add_argument("--format", choices=formats, help="only print the table, so")
    options = parser.parse_args(arguments)
    study = options.runs / options.table
    if options.format is None:
        report(study)
        return
    found = read(study)
    if options.format == "terminal":
        found.show()
    elif options.format == "csv":
        print(found.csv(), end="")
    else:
        print({"markdown": markdown, "latex": latex}[options.format](found.sheets), end="")
