"""Commands that need no torch do not import it."""

import subprocess
import sys

import pytest

from poserep.runs.plan import Cell, remember

PROGRAM = """
import sys
from poserep import cli
code = cli.main(sys.argv[1:])
heavy = [name for name in ("torch", "torchvision", "timm", "lightning", "torchmetrics") if name in sys.modules]
sys.exit(f"imports {heavy}, exit code {code}" if heavy or code > 1 else 0)
"""


@pytest.fixture(scope="module")
def runs(trained_once):
    """Two finished runs of one table."""
    words = "representation=simcc", "study=tiny", "boxes=[gt]"
    runs = [trained_once(*words, f"seed={seed}") for seed in (0, 1)]
    for run_dir in runs:
        remember(run_dir.parent, run_dir.name, Cell((), ("a row",)))
    return runs


@pytest.mark.parametrize(
    "command",
    [
        "--help",
        "train --help",
        "evaluate --help",
        "calibrate --help",
        "import --help",
        "export --help",
        "sweep status tiny",
        "report tiny",
        "diff {a} {b}",
        "compare {a} {b}",
        "data check {words}",
    ],
)
def test_torch_is_not_imported(command, runs, synthetic):
    words = f"trainer=smoke data.prepare.train=8 data.prepare.val=6 data.root={synthetic}"
    arguments = command.format(a=runs[0], b=runs[1], words=words).split()
    folder = runs[0].parents[2]
    done = subprocess.run([sys.executable, "-c", PROGRAM, *arguments], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
