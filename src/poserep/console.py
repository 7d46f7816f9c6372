"""What commands have in common: how they print tables and read their arguments."""

import argparse
from pathlib import Path

from rich.console import Console


def wide_console() -> Console:
    """A console that does not squeeze tables on a narrow terminal or in a file; long lines wrap or scroll there."""
    return Console(width=max(Console().width, 160))


def parser_of(command: str, about: str | None) -> argparse.ArgumentParser:
    """A parser for the arguments of ``poserep COMMAND``; ``about`` is shown as it is written."""
    formatter = argparse.RawDescriptionHelpFormatter
    return argparse.ArgumentParser(prog=f"poserep {command}", description=about, formatter_class=formatter)


def add_origin(parser: argparse.ArgumentParser) -> None:
    """Add the options that say from which file a configuration starts, for `poserep.config.compose`."""
    parser.add_argument("--config-dir", type=Path, metavar="DIR", help="folder of the file to start from (conf)")
    parser.add_argument("--config-name", default="config", metavar="NAME", help="the file, without .yaml (config)")
