"""One table on every launcher, and with several processes for each cell."""

import subprocess
import sys

import pytest
from sweeping import Sweep

ROWS = ["representation=heatmap", "representation=simcc"]


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["joblib", "submitit_local"])
def test_launchers_run_the_same_table(synthetic, tmp_path, launcher):
    several = "hydra.launcher.n_jobs=2" if launcher == "joblib" else "hydra.launcher.timeout_min=10"
    tiny = Sweep(tmp_path, synthetic, ["representation=simcc", "input_size=60x60"])
    done = tiny.run(f"hydra/launcher={launcher}", several)
    assert done.returncode == 1 and "1 of 2 cells failed" in done.stderr and "multiple of 8" in done.stderr
    assert len(tiny.results()) == 1 and done.stdout.endswith(": 1 finished, 1 failed\n"), done.stdout


@pytest.mark.long
def test_ray_runs_the_same_table(synthetic, tmp_path):
    pytest.importorskip("ray", reason="ray is an extra: pip install -e .[ray]")
    pytest.importorskip("hydra_plugins.hydra_ray_launcher")
    tiny = Sweep(tmp_path, synthetic, ROWS)
    done = tiny.run("hydra/launcher=ray")
    assert done.returncode == 0, done.stderr
    assert len(tiny.results()) == 2


@pytest.mark.slow
def test_two_processes_in_each_of_three_jobs_make_three_records(synthetic, tmp_path):
    tiny = Sweep(tmp_path, synthetic, ["representation=simcc"])
    done = tiny.run("trainer.devices=2", "seed=0,1,2")
    assert done.returncode == 0, done.stderr
    folders = [path for path in tiny.study.iterdir() if path.name != "cells"]
    assert len(folders) == 3 and len(tiny.results()) == 3 and len(list(tiny.study.glob("cells/*.json"))) == 3
    assert [r["devices"] for r in tiny.results().values()] == [2, 2, 2]
    assert sorted(r["config"]["seed"] for r in tiny.results().values()) == [0, 1, 2]
    assert done.stdout.count("batch 4 on 2 cpu") == 3, "each cell is begun once, whatever the number of processes"


@pytest.mark.long
def test_a_plain_multirun_makes_a_record_for_every_job_too(synthetic, tmp_path):
    command = [sys.executable, "-m", "poserep", "train", "-m", "trainer=smoke", "representation=simcc,sr", "boxes=[gt]"]
    command += ["data.prepare.train=8", "data.prepare.val=6", f"data.root={synthetic}", "study=plain"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "runs" / "plain").glob("*/result.json"))) == 2
