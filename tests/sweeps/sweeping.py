"""Sweeps of tiny runs for tests: a sweep file in a folder of its own, and the commands on it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from poserep import cli
from poserep.runs.rundir import RunDir, finished_in, runs_in

STUB = "hydra.sweeper.worker=stub_worker"


def schedule(name: str) -> str:
    """A row whose stub worker meets with a mishap, or with none."""
    return f"'optim.schedule={{_target_:mishaps.{name},_partial_:true}}'"


class Sweep:
    """A sweep file of rows ``row 0``, ``row 1``, ..., each with its overrides, beside the runs that it asks for.

    Workers are stubs unless ``data`` names the root of drawn people for real ones.
    """

    def __init__(
        self, folder: Path, rows: list[str], name: str = "tiny", trainer: str = "", data: Path | None = None
    ) -> None:
        self.folder, self.name, self.stub = folder, name, [] if data else [STUB]
        (folder / "sweeps").mkdir(exist_ok=True)
        lines = "\n".join(f"    - {{name: row {i}, overrides: [{row}]}}" for i, row in enumerate(rows))
        (folder / "sweeps" / f"{name}.yaml").write_text(
            f"# Tiny.\ndefaults: [config, override trainer: smoke, override hydra/sweeper: rows, _self_]\n"
            f"study: {name}\nboxes: [gt]\nflip_test: false\nreadouts: [argmax]\n"
            f"data: {{root: {data or 'drawn'}, prepare: {{train: 8, val: 6}}}}\n"
            f"trainer: {{limit: null, {trainer}}}\ntable:\n  title: Tiny\n  rows:\n{lines}\nhydra: {{mode: MULTIRUN}}\n"
        )
        self.study = folder / "runs" / name
        path = os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
        self.environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}

    def words(self, *arguments: str) -> list[str]:
        """The command line."""
        folder = str(self.folder / "sweeps")
        return ["train", "--config-dir", folder, "--config-name", self.name, *self.stub, *arguments]

    def main(self, *arguments: str) -> int:
        """Run the sweep in this process; the exit code."""
        return cli.main(self.words(*arguments))

    def begin(self, *arguments: str, until: str = "", **environment: str) -> subprocess.Popen:
        """Run it in a process of its own; with ``until``, wait for a line that holds the text."""
        command, both = [sys.executable, "-m", "poserep", *self.words(*arguments)], self.environment | environment
        read = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        process = subprocess.Popen(command, cwd=self.folder, env=both, start_new_session=True, **read)
        assert not until or any(until in line for line in process.stdout)
        return process

    def run(self, *arguments: str) -> tuple[int, str]:
        """Run it in a process of its own; exit code and output."""
        process = self.begin(*arguments)
        output = process.communicate()[0]
        return process.returncode, output

    def states(self) -> dict[str, dict]:
        """The recorded state of each run that has begun."""
        return {run.name: run.status() for run in runs_in(self.study) if run.status_file.is_file()}

    def results(self) -> dict[str, dict]:
        """The result of each run that has finished."""
        return {run.name: run.result() for run in finished_in(self.study)}

    def predictions(self) -> dict[str, bytes]:
        """The bytes of the predictions of each run."""
        return {run.name: run.predictions_file().read_bytes() for run in finished_in(self.study)}

    def only(self) -> RunDir:
        """The run directory of the only cell."""
        (run_dir,) = runs_in(self.study)
        return run_dir


def kill(process: subprocess.Popen) -> str:
    """Kill the launcher and the cells that it has begun, all at once; what they had printed."""
    os.killpg(process.pid, signal.SIGKILL)
    output = process.communicate()[0]
    # What has closed its pipe has not quite ended.
    time.sleep(0.5)
    return output
