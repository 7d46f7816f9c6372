"""Commands that need no torch do not import it, nor loaders' workers what reads no image."""

import json
import shutil
import subprocess
import sys

from poserep.cli import COMMANDS
from poserep.runs.plan import Cell, remember
from poserep.runs.rundir import RunDir
from run_records import change_result

# Which command, or module, is the first to import what is heavy, all in one process.
PROGRAM = """
import importlib, sys
from poserep import cli
for command in sys.argv[1:]:
    code = importlib.import_module(command) and 0 if command.startswith("poserep.") else cli.main(command.split())
    names = ("torch", "torchvision", "timm", "lightning", *["matplotlib"] * command.endswith("--help"))
    heavy = [name for name in names if name in sys.modules]
    if heavy or code > 1:
        sys.exit(f"{command}: imports {heavy}, exit code {code}")
"""


def test_torch_is_not_imported(trained_once, synthetic, tmp_path):
    for seed in (0, 1):
        run_dir = RunDir(tmp_path / "runs" / "tiny" / f"seed-{seed}")
        shutil.copytree(trained_once("representation=simcc"), run_dir)
        change_result(run_dir, lambda result, seed=seed: result["config"].update(seed=seed))
        remember(tmp_path / "runs" / "tiny", run_dir.name, Cell((), ("a row",)))
    words = f"trainer=smoke data.prepare.train=8 data.prepare.val=6 data.root={synthetic}"
    runs = "runs/tiny/seed-0 runs/tiny/seed-1"
    # Drawing the figures of a page takes seconds.
    work = ["sweep status tiny", f"diff {runs}", f"compare {runs} --samples 20", f"data check {words}"]
    (val,) = synthetic.glob("easy-8-6-*/annotations/val.json")
    person = json.loads(val.read_text())["annotations"][0]
    (tmp_path / "results.json").write_text(json.dumps([{**person, "score": 1.0}]))
    work += [f"evaluate --results results.json {words}"]
    work += ["report tiny --format csv", "poserep.report.html"]
    commands = ["--help", *(f"{name} --help" for name in COMMANDS), *work]
    done = subprocess.run([sys.executable, "-c", PROGRAM, *commands], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_workers_that_are_spawned_import_what_they_use_alone():
    heavy = {"lightning", "hydra", "omegaconf", "scipy", "hotcoco", "torchvision", "timm", "matplotlib"}
    program = f"import sys, poserep.data.dataset, poserep.data.scenes; sys.exit(' '.join({heavy} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stderr.strip() == ""
