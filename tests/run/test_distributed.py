"""Two processes (gloo) find what one finds."""

import json
import os
import subprocess
import sys

import pytest

from poserep.runs.create import prepare
from poserep.training.fit import fit

# A sum over several threads differs in its last bit from one over one thread, which is all that ranks get.
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "poserep.training.fit"]


def evaluate(run_dir, devices):
    command = [sys.executable, "-m", "poserep", "evaluate", str(run_dir), f"trainer.devices={devices}"]
    done = subprocess.run(command, capture_output=True, text=True, env=ONE_THREAD)
    assert done.returncode == 0, done.stderr
    (path,) = run_dir.path.glob("evaluation-*.json")
    predictions = path.with_suffix(".npz").read_bytes()
    record = json.loads(path.read_text())
    path.unlink()
    return {key: record[key] for key in ("metrics", "calibration", "errors")}, predictions


def train_on_two(run_dir):
    done = subprocess.run([sys.executable, *TORCHRUN, str(run_dir)], capture_output=True, text=True, env=ONE_THREAD)
    assert done.returncode == 0, done.stderr
    result = run_dir.result()
    assert result["devices"] == 2
    return done, result


@pytest.mark.slow
def test_two_and_three_processes_evaluate_as_one(configure):
    # Eleven persons in batches of four, four and three: with two processes one batch is repeated, and must count once.
    run_dir = prepare(configure("representation=heatmap", "data.prepare.val=11"), "backbone")
    fit(run_dir)
    one, a = evaluate(run_dir, 1)
    for devices in (2, 3):
        several, b = evaluate(run_dir, devices)
        assert one == several
        assert a == b, "the files of predictions, byte for byte"


@pytest.mark.slow
def test_two_processes_train_and_leave_one_result(configure):
    run_dir = prepare(configure("representation=simcc", "trainer.epochs=2", "trainer.devices=2"), "backbone")
    done, result = train_on_two(run_dir)
    assert result["metrics"]["gt"]["argmax"]["AP"] >= 0
    assert list(run_dir.predictions()["gt/index"]) == list(range(6))
    assert done.stdout.count("batch 4 on 2 cpu") == 1, "only the first process speaks"


@pytest.mark.long
@pytest.mark.parametrize(
    ("backbone", "representation"),
    [("hrnet_w32", "heatmap"), ("hg4", "heatmap"), ("resnet18", "srpose"), ("tokenpose_s", "simcc")],
)
def test_no_parameter_is_left_without_gradient_in_two_processes(configure, backbone, representation):
    # A parameter that a step leaves out stops the next one, unless Lightning is told to look for such.
    overrides = ["trainer.epochs=2", "trainer.devices=2", "boxes=[gt]", "flip_test=false"]
    run_dir = prepare(configure(f"backbone={backbone}", f"representation={representation}", *overrides), backbone)
    done, _ = train_on_two(run_dir)
    assert "find_unused_parameters" not in done.stderr
