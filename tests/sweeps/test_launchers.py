"""One table on every launcher, and with several processes for each cell."""

import pytest
from sweeping import Sweep, schedule


@pytest.mark.parametrize("launcher", ["joblib", "submitit_local"])
def test_launchers_run_the_same_table(sweep, launcher):
    several = "hydra.launcher.n_jobs=2" if launcher == "joblib" else "hydra.launcher.timeout_min=10"
    tiny = sweep("representation=simcc", schedule("refuses"))
    code, output = tiny.run(f"hydra/launcher={launcher}", several)
    assert code == 1 and "1 of 2 cells failed" in output and "multiple of 8" in output
    assert len(tiny.results()) == 1 and ": 1 finished, 1 failed\n" in output, output


@pytest.mark.long
def test_ray_runs_the_same_table(sweep):
    pytest.importorskip("ray", reason="ray is an extra: pip install -e .[ray]")
    pytest.importorskip("hydra_plugins.hydra_ray_launcher")
    tiny = sweep("representation=heatmap", "representation=simcc")
    code, output = tiny.run("hydra/launcher=ray")
    assert code == 0 and len(tiny.results()) == 2, output


@pytest.mark.long
def test_two_ranks_in_each_of_three_jobs_make_three_records(synthetic, tmp_path):
    tiny = Sweep(tmp_path, ["representation=simcc"], data=synthetic)
    code, output = tiny.run("trainer.devices=2", "seed=0,1,2")
    assert code == 0, output
    folders = [path for path in tiny.study.iterdir() if path.name != "cells"]
    assert len(folders) == 3 and len(tiny.results()) == 3 and len(list(tiny.study.glob("cells/*.json"))) == 3
    assert [r["devices"] for r in tiny.results().values()] == [2, 2, 2]
    assert sorted(r["config"]["seed"] for r in tiny.results().values()) == [0, 1, 2]
    assert output.count("batch 4 on 2 cpu") == 3, "each cell is begun once, whatever the number of processes"
