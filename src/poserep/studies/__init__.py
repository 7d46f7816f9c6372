"""Studies that are measured, not trained, and the arguments that they take: a sweep file and overrides."""

import argparse
from pathlib import Path

from poserep.overrides import SWEEPS


def study_parser(program: str, about: str | None, sweep: str) -> argparse.ArgumentParser:
    """Return the parser of a program that is called as ``python PROGRAM``, by default for sweeps/SWEEP.yaml."""
    parser = argparse.ArgumentParser(prog=f"python {program}", description=about)
    parser.add_argument("--config-dir", type=Path, default=SWEEPS, help="folder of the sweep file")
    parser.add_argument("--config-name", default=sweep, help="the sweep file, without .yaml")
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    return parser
