"""Collect the runs of a study into tables: on the terminal, as text to paste, and as one self-contained HTML page.

example: poserep report demo
         poserep report simcc-table1 --format latex > table1.tex
"""

from collections.abc import Sequence
from pathlib import Path

from poserep.cli import parser_of
from poserep.errors import InputError


def main(arguments: Sequence[str]) -> None:
    """Run the command ``poserep report``."""
    parser = parser_of("report", __doc__)
    parser.add_argument("table", metavar="STUDY", help="name of a sweep, or of any folder of runs")
    parser.add_argument("runs", nargs="?", type=Path, default=Path("runs"), metavar="RUNS", help="its folder (runs)")
    parser.add_argument("--config-dir", type=Path, metavar="DIR", help="folder of the table's file (sweeps)")
    formats = ("terminal", "markdown", "latex", "csv")
    parser.add_argument("--format", choices=formats, help="print the table in this format and write nothing")
    options = parser.parse_args(arguments)
    # Nothing has to have run yet, but a folder that is named is there.
    if options.runs != Path("runs") and not options.runs.is_dir():
        raise InputError(f"{options.runs} is no folder; RUNS is the path of the one that holds {options.table}/")
    # Help needs none of the modules that read runs.
    from poserep.report.study import read_report, write_report

    study, sweeps = options.runs / options.table, options.config_dir
    if options.format is None:
        write_report(study, sweeps)
    elif options.format == "terminal":
        for sheet in read_report(study, sweeps).sheets:
            sheet.show()
    else:
        print(read_report(study, sweeps).text(options.format), end="")
