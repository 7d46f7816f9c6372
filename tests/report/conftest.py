"""Two tiny runs, trained once for all tests of reports."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from poserep.report.compare.stored import read_side, rebuild
from poserep.runs.rundir import RunDir
from run_records import change_result, score_again


@pytest.fixture(scope="session")
def trained(trained_once: Callable[..., Path]) -> dict[str, Path]:
    """Run directories of a heatmap and a SimCC run, by scheme, to be copied before a change."""
    return {scheme: trained_once(f"representation={scheme}") for scheme in ("heatmap", "simcc")}


@pytest.fixture
def copied(trained: dict[str, Path], tmp_path: Path) -> Callable[..., Path]:
    """Copy a trained run under another name, with another seed if given and every joint off by some noise, px."""

    def make(scheme: str, name: str, seed: int | None = None, noise: float | None = None) -> Path:
        run_dir = RunDir(tmp_path / "runs" / name)
        shutil.copytree(trained[scheme], run_dir)
        if seed is not None:
            change_result(run_dir, lambda result: result["config"].update(seed=seed))
        if noise is not None:
            rng = np.random.default_rng(seed)
            (side,) = read_side(str(run_dir), "gt")
            scorer, predictions = rebuild(side)
            xy = scorer.truth.instances.keypoints[predictions.index]
            moved = (xy + rng.normal(0, noise, xy.shape)).astype(np.float32)
            score = rng.uniform(0.5, 1, xy.shape[:2]).astype(np.float32)
            arrays = {f"gt/{side.readout}/xy": moved, f"gt/{side.readout}/score": score}
            run_dir.write_predictions({**run_dir.predictions(), **arrays})
            values = score_again(side)
            change_result(run_dir, lambda result: result["metrics"]["gt"].update({side.readout: values}))
        return run_dir.path

    return make
