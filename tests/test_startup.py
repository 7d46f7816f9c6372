"""Commands that need no torch do not import it."""

import subprocess
import sys

import pytest

PROGRAM = """
import sys
from poserep import cli
code = cli.main(sys.argv[1:])
heavy = [name for name in ("torch", "torchvision", "timm", "lightning", "torchmetrics") if name in sys.modules]
sys.exit(f"imports {heavy}, exit code {code}" if heavy or code > 1 else 0)
"""


@pytest.fixture(scope="module")
def runs(synthetic, tmp_path_factory):
    """Two finished runs of one table, made in this process."""
    from poserep.config import compose
    from poserep.runs.create import prepare
    from poserep.runs.plan import Cell, remember
    from poserep.training.fit import fit
    from tiny import TINY

    folder = tmp_path_factory.mktemp("startup")
    for seed in (0, 1):
        words = [*TINY, f"data.root={synthetic}", f"runs={folder}/runs", "study=tiny", "boxes=[gt]", f"seed={seed}"]
        run_dir = prepare(compose([*words, "representation=simcc"]).cfg, "resnet18_s8")
        fit(run_dir)
        remember(run_dir.path.parent, run_dir.name, Cell((), ("a row",)))
    return sorted(path.parent for path in folder.glob("runs/tiny/*/result.json"))


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
