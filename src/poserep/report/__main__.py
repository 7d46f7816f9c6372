"""Collect the runs of a study into tables: on the terminal, as text to paste, and as one self-contained HTML page.

``python -m poserep.report TABLE [RUNS] [--format terminal|markdown|latex|csv]``
``python -m poserep.report diff RUN_A RUN_B [--all] [--json FILE]``: what differs between two runs.
"""

import argparse
import sys
from pathlib import Path

from poserep.errors import InputError
from poserep.report import diff_command
from poserep.report.collect import read, report
from poserep.report.outputs import latex, markdown


def main() -> None:
    """Command line."""
    if sys.argv[1:2] == ["diff"]:
        diff_command.main(sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", help="name of a sweep, or of any folder of runs")
    parser.add_argument("runs", nargs="?", type=Path, default=Path("runs"), help="folder that holds it (runs)")
    formats = ("terminal", "markdown", "latex", "csv")
    parser.add_argument("--format", choices=formats, help="only print the table, so")
    options = parser.parse_args()
    study = options.runs / options.table
    try:
        if options.format is None:
            report(study)
            return
        found = read(study)
    except InputError as error:
        sys.exit(f"error: {error}")
    if options.format == "terminal":
        found.show()
    elif options.format == "csv":
        print(found.csv(), end="")
    else:
        print({"markdown": markdown, "latex": latex}[options.format](found.sheets), end="")


if __name__ == "__main__":
    main()
