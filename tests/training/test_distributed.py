"""Two and three processes (gloo) find what one finds."""

import os
import subprocess
import sys

import pytest

from poserep.runs.create import prepare
from poserep.training.evaluate import configure as reconfigure
from poserep.training.evaluate import reevaluate

# A sum over several threads differs in its last bit from one over one thread, which is all that ranks get.
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}


def python(*arguments):
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=ONE_THREAD)
    assert done.returncode == 0, done.stderr
    return done


def train_on_two(run_dir):
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "poserep.training.fit"]
    done = python(*torchrun, str(run_dir))
    assert run_dir.result()["devices"] == 2
    return done


@pytest.mark.slow
def test_two_processes_train_and_two_and_three_evaluate_as_one(configure):
    # Eleven persons in batches of four, four and three: with two processes one batch is repeated, and must count once.
    cfg = configure("representation=heatmap", "data.prepare.val=11", "trainer.epochs=2", "trainer.devices=2")
    run_dir = prepare(cfg, "backbone")
    assert train_on_two(run_dir).stdout.count("batch 4 on 2 cpu") == 1, "only the first process speaks"
    two = run_dir.result()
    assert two["metrics"]["gt"]["argmax"]["AP"] >= 0
    assert list(run_dir.predictions()["gt/index"]) == list(range(11))
    one = reevaluate(run_dir, reconfigure(run_dir, ["trainer.devices=1"]))["id"]
    first, file = run_dir.result(one), run_dir.predictions_file(one)
    predictions = file.read_bytes()
    file.unlink()
    python("-m", "poserep", "evaluate", str(run_dir), "trainer.devices=3")
    # Devices are no part of what is evaluated, so the id is the same.
    for several in (two, run_dir.result(one)):
        for key in ("metrics", "calibration", "errors"):
            assert several[key] == first[key]
    for several in (run_dir.predictions_file(), file):
        assert several.read_bytes() == predictions, "the files of predictions, byte for byte"


@pytest.mark.long
@pytest.mark.parametrize(
    ("backbone", "representation"),
    [("hrnet_w32", "heatmap"), ("hg4", "heatmap"), ("resnet18", "srpose"), ("tokenpose_s", "simcc")],
)
def test_no_parameter_is_left_without_gradient_in_two_processes(configure, backbone, representation):
    # A parameter that a step leaves out stops the next one, unless Lightning is told to look for such.
    overrides = ["trainer.epochs=2", "trainer.devices=2", "boxes=[gt]", "flip_test=false"]
    run_dir = prepare(configure(f"backbone={backbone}", f"representation={representation}", *overrides), backbone)
    assert "find_unused_parameters" not in train_on_two(run_dir).stderr
