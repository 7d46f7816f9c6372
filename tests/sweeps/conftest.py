"""Sweeps in a folder of their own, with stub workers unless told otherwise."""

from pathlib import Path

import pytest
from sweeping import Sweep


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Make a sweep; commands in this process stand in its folder, and its workers find the stub."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=":")
    return lambda *rows, **options: Sweep(tmp_path, list(rows), **options)


@pytest.fixture
def status(sweep, capfd):
    """What ``poserep sweep status`` prints of a sweep: exit code and lines."""

    def show(made: Sweep) -> tuple[int, list[str]]:
        from poserep import cli

        capfd.readouterr()
        code = cli.main(["sweep", "status", made.name])
        return code, capfd.readouterr().out.splitlines()

    return show
