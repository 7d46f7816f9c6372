"""Sweeps of tiny runs for tests: a sweep file, and the commands on it."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from poserep.sweeps.command import show_status

# What goes wrong in a cell, as schedules that a row names: they are made when training begins.
MISHAPS = """
import os, signal
from pathlib import Path
import torch

def raises(optimizer, **_):
    raise RuntimeError("a bug of the cell")

def exhausts(optimizer, **_):
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 80.00 GiB")

def is_killed(optimizer, **_):
    os.kill(os.getpid(), signal.SIGKILL)

def diverges(optimizer, **_):
    optimizer.param_groups[0]["params"][0].data.fill_(float("nan"))
    return torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)

def fails_once(optimizer, **_):
    if not Path("tried").exists():
        Path("tried").touch()
        raise RuntimeError("not today")
    return torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)
"""


class Sweep:
    """A sweep file of rows in a folder of its own, run with real commands."""

    def __init__(self, folder: Path, data: Path, rows: list[str], name: str = "tiny", trainer: str = "") -> None:
        self.folder, self.name = folder, name
        (folder / "sweeps").mkdir(exist_ok=True)
        (folder / "mishaps.py").write_text(MISHAPS)
        lines = "\n".join(f"    - {{name: row {i}, overrides: [{row}]}}" for i, row in enumerate(rows))
        (folder / "sweeps" / f"{name}.yaml").write_text(
            f"# Tiny.\ndefaults: [config, override trainer: smoke, override hydra/sweeper: rows, _self_]\n"
            f"study: {name}\nboxes: [gt]\nflip_test: false\nreadouts: [argmax]\n"
            f"data: {{root: {data}, prepare: {{train: 8, val: 6}}}}\n"
            f"trainer: {{limit: null, {trainer}}}\ntable:\n  title: Tiny\n  rows:\n{lines}\nhydra: {{mode: MULTIRUN}}\n"
        )
        self.study = folder / "runs" / name
        path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
        self.environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}

    def command(self, *arguments: str) -> list[str]:
        start = [sys.executable, "-m", "poserep", "train", "--config-dir", str(self.folder / "sweeps")]
        return [*start, "--config-name", self.name, *arguments]

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
        )

    def begin(self, *arguments: str, **environment: str) -> subprocess.Popen:
        return subprocess.Popen(
            self.command(*arguments),
            cwd=self.folder,
            env={**self.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def status(self) -> tuple[int, str]:
        """How many cells have failed, and what the command prints."""
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            failed = show_status(self.study)
        return failed, said.getvalue()

    def results(self) -> dict[str, dict]:
        """By the name of the run directory."""
        return {p.parent.name: json.loads(p.read_text()) for p in sorted(self.study.glob("*/result.json"))}

    def states(self) -> dict[str, dict]:
        return {p.parent.name: json.loads(p.read_text()) for p in sorted(self.study.glob("*/status.json"))}

    def predictions(self) -> dict[str, bytes]:
        return {p.parent.name: p.read_bytes() for p in sorted(self.study.glob("*/predictions.npz"))}


def kill(process: subprocess.Popen) -> str:
    """The launcher and the cells that it has begun, all at once; what they had said."""
    os.killpg(process.pid, signal.SIGKILL)
    said = process.communicate()[0]
    # What has closed its pipe has not quite ended.
    time.sleep(0.5)
    return said


def until(process: subprocess.Popen, text: str) -> None:
    """Wait for a line that holds the text."""
    assert process.stdout is not None
    for line in process.stdout:
        if text in line:
            return
