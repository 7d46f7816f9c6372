"""Batched codecs against loops over samples and joints, on noise too; and the benchmark that times one by the other.

To 1e-5 everywhere. `test_readouts.py` has the pooled search, which the benchmark of searches times.
"""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from rivals import JOBS, Job

from poserep.codecs import DARK, CentreOfMass, QuarterShift, SoftArgmax
from reference import loops


def maps(h: int, w: int, seed: int = 0) -> torch.Tensor:
    """Peaks of every height, near the border too, in noise; noise alone; nothing positive at all."""
    rng = np.random.default_rng(seed)
    x, y, sigma = rng.uniform(-2, w + 2, 170), rng.uniform(-2, h + 2, 170), rng.uniform(0.7, 3, 170)
    rows, columns = np.mgrid[:h, :w]
    squares = (columns - x[:, None, None]) ** 2 + (rows - y[:, None, None]) ** 2
    found = rng.uniform(0, 1.2, 170)[:, None, None] * np.exp(-squares / (2 * sigma**2)[:, None, None])
    found += rng.choice([0.3, 0.02, 1e-4], 170)[:, None, None] * rng.normal(size=found.shape)
    found[::17] = rng.normal(size=found[::17].shape)
    found[1::17] = -np.abs(found[1::17]) - 0.1
    return torch.from_numpy(found.reshape(10, 17, h, w))


READOUTS = {
    "quarter": (QuarterShift(), loops.quarter_shift),
    "dark11": (DARK(11), lambda m: loops.dark(m, 11, 1.0)),
    "dark3": (DARK(3, 0.5), lambda m: loops.dark(m, 3, 0.5)),
    "dark11-unbounded": (DARK(11, None), lambda m: loops.dark(m, 11)),
    "dark-sigma": (DARK(5, max_step=None, sigma=1), lambda m: loops.dark(m, 5, None, 1.0)),
    # ViTPose's code, whose kernel of 11 has a sigma of 2.0, and Hugging Face's.
    "dark-vitpose": (DARK(11, None, sigma=2.0), lambda m: loops.dark(m, 11)),
    "dark-hub": (DARK(11, None, sigma=0.8), lambda m: loops.dark(m, 11, None, 0.8)),
    "dark-study": (DARK(5, None, sigma=1, border="reflect"), lambda m: loops.dark(m, 5, None, 1.0, True)),
    "soft": (SoftArgmax(20.0), lambda m: loops.soft_argmax(m, 20.0)),
    "com": (CentreOfMass(), loops.centre_of_mass),
}


def benchmark(*words: str) -> None:
    # Not by its name, which is that of a module of Python's.
    runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "codecs.py"))["main"](words)


@pytest.mark.parametrize("name", READOUTS)
def test_readouts(name):
    readout, loop = READOUTS[name]
    for side, seed in (((64, 48), 0), ((64, 48), 1), ((64, 48), 2), ((40, 80), 3), ((9, 7), 4)):
        given = maps(*side, seed)
        for ours, theirs in zip(readout(given), loop(given.numpy()), strict=True):
            torch.testing.assert_close(ours.double(), torch.as_tensor(theirs).double(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("job", JOBS)
def test_what_the_benchmark_times_gives_what_loops_give(job):
    made = JOBS[job](2)
    made.check()
    with pytest.raises(AssertionError):
        Job(made.fast, lambda: tuple(torch.as_tensor(t) + 1e-3 for t in made.slow())).check()


@pytest.mark.long
def test_the_benchmark_reports_time_memory_and_goals(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["codecs.py"])
    benchmark("--batch", "2", "--rounds", "2", "--calls", "1", "--only", "targets")
    printed = capsys.readouterr().out
    assert "SRPose targets" in printed and "heatmap targets" in printed and "1000 MB" in printed


@pytest.mark.long
def test_shares_of_a_training_step():
    from shares import shares

    found = shares("cpu", "resnet18_s8", "64x64", batch=2, warmup=1, calls=2)
    rows = {(row["representation"], row["readout"]): row for row in found["rows"]}
    assert {("heatmap", "dark"), ("simcc", "argmax"), ("srpose", "shift"), ("rle", "point")} <= set(rows)
    assert found["step_ms"] > 0 and all(row["share"] > 0 for row in rows.values())


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_shares_are_refused_without_a_gpu():
    with pytest.raises(SystemExit, match="torch sees none here"):
        benchmark("--cuda")
