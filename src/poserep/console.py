"""What commands have in common: how they print tables and read their arguments."""

import argparse

from rich.console import Console


def wide_console() -> Console:
    """A console that does not squeeze tables on a narrow terminal or in a file; long lines wrap or scroll there."""
    return Console(width=max(Console().width, 160))


def parser_of(command: str, about: str | None) -> argparse.ArgumentParser:
    """A parser for the arguments of ``poserep COMMAND``; ``about`` is shown as it is written."""
    formatter = argparse.RawDescriptionHelpFormatter
    return argparse.ArgumentParser(prog=f"poserep {command}", description=about, formatter_class=formatter)
