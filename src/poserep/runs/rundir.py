"""`RunDir`: the one class through which the files of a run are read and written."""

import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from poserep.errors import InputError
from poserep.files import write_json, write_npz, write_text
from poserep.runs.lease import holder
from poserep.runs.records import parse_config, read_npz, read_record

# What every result of this version holds; earlier versions wrote less.
RESULT_KEYS = ("config", "metrics", "protocol", "columns", "provenance")


class RunDir:
    """The directory of one run.

    ``config.yaml`` is the resolved configuration, ``status.json`` the state, ``metrics.jsonl`` the curves by epoch,
    ``checkpoints/`` the weights, ``result.json`` the result and ``predictions.npz`` the predictions that it scores.
    Later evaluations leave ``evaluation-ID.json`` and ``evaluation-ID.npz`` beside them, ``poserep calibrate`` a
    ``calibration.json``. Each file is written whole or not at all, so that other processes may read at any time. The
    directory need not exist.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.name = self.path.name
        self.config_file, self.status_file = self.path / "config.yaml", self.path / "status.json"
        self.curve_file, self.calibration_file = self.path / "metrics.jsonl", self.path / "calibration.json"

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    def __str__(self) -> str:
        return str(self.path)

    __fspath__ = __str__

    def result_file(self, evaluation: str = "") -> Path:
        """Return the file of the run's own result, or of the later evaluation with that id."""
        return self.path / (f"evaluation-{evaluation}.json" if evaluation else "result.json")

    def predictions_file(self, evaluation: str = "") -> Path:
        """Return the file of the predictions behind `result_file`."""
        return self.path / (f"evaluation-{evaluation}.npz" if evaluation else "predictions.npz")

    def checkpoint(self, name: str) -> Path:
        """Return the file of a checkpoint: ``last``, ``best``, ``calibrated`` or ``learnt``."""
        return self.path / "checkpoints" / f"{name}.ckpt"

    @property
    def finished(self) -> bool:
        """Whether the run has a result that can be read."""
        return self.result_file().is_file() and not self.damage

    @property
    def damage(self) -> str:
        """Why the run's own result cannot be read; empty if it can, or if there is none."""
        try:
            if self.result_file().is_file():
                read_record(self.result_file())
        except InputError as error:
            return str(error)
        return ""

    @property
    def twin(self) -> "RunDir | None":
        """The same run where another table has finished it, or this one; None if none has."""
        results = self.path.parent.parent.glob(f"*/{self.name}/result.json")
        return next((run for file in sorted(results) if (run := RunDir(file.parent)).finished), None)

    def config(self) -> dict[str, Any]:
        """Read the resolved configuration; it is an `InputError` if there is none, or the file is damaged."""
        if not self.config_file.is_file():
            raise InputError(f"{self} is not a run directory: it has no config.yaml")
        return read_record(self.config_file, parse=parse_config)

    def write_config(self, text: str) -> None:
        """Create the directory and write the resolved configuration, given as YAML."""
        write_text(self.config_file, text)

    def status(self) -> dict[str, Any]:
        """Read the recorded state.

        ``state`` is waiting, running, stopped, failed, imported or finished, ``since`` its Unix time, ``why`` the
        reason of a stop, ``error`` that of a failure, with ``input`` if what the run was given is at fault, and
        ``refused`` if nothing had begun. A process that was killed leaves ``running`` behind: see `observed_status`.
        """
        file = self.status_file
        try:
            status = read_record(file, "the run continues") if file.is_file() else {}
        except InputError as error:
            status = {"state": "stopped", "why": str(error)}
        if self.finished:
            return {**status, "state": "finished"}
        if status.get("state") == "finished":
            return {"state": "stopped", "why": self.damage or f"{self.result_file()} is gone"}
        return {"state": "waiting", **status}

    def observed_status(self) -> dict[str, Any]:
        """Return the state as an onlooker sees it: a run is running if a living process holds its lease (``by``)."""
        status = self.status()
        if status["state"] != "finished" and (by := holder(self.path)):
            return {"state": "running", "by": by}
        if status["state"] == "running":
            return {"state": "stopped", "why": "the process ended without reporting a cause"}
        return status

    def write_status(self, state: str, **record: Any) -> None:
        """Write the state, since now; see `status` for what may go with it."""
        write_json(self.status_file, {"state": state, **record, "since": time.time()})

    def result(self, evaluation: str = "") -> dict[str, Any]:
        """Read a result, the run's own or a later evaluation's; a missing, damaged or older one is an `InputError`."""
        file = self.result_file(evaluation)
        if not file.is_file():
            raise InputError(f"{self} has no result: {self._why_unfinished()}")
        result = read_record(file)
        if absent := [key for key in RESULT_KEYS if key not in result]:
            raise InputError(f"{file} is no result of this version: it has no {', '.join(absent)}; run it again")
        return result

    def _why_unfinished(self) -> str:
        if not self.path.is_dir():
            return "there is no such run directory"
        if not self.config_file.is_file():
            return f"{self.result_file()} does not exist, and it is not a run directory"
        status = self.observed_status()
        if status["state"] == "waiting":
            return f"it has not been started ({self.result_file()} does not exist)"
        return f"its state is {status['state']}" + (f", {status['error']}" if status.get("error") else "")

    def write_result(self, result: Mapping[str, Any], evaluation: str = "") -> Path:
        """Write the run's own result, or that of a later evaluation, and return the file."""
        file = self.result_file(evaluation)
        write_json(file, result)
        return file

    def predictions(self, evaluation: str = "") -> dict[str, np.ndarray]:
        """Read the arrays of predictions, by ``BOXES/NAME`` and ``BOXES/READOUT/NAME``."""
        file = self.predictions_file(evaluation)
        if not file.is_file():
            raise InputError(f"{file} does not exist; evaluate again with poserep evaluate {self}")
        return read_npz(file)

    def write_predictions(self, arrays: Mapping[str, Any], evaluation: str = "") -> None:
        """Write the arrays that `predictions` reads."""
        write_npz(self.predictions_file(evaluation), arrays)

    def curve(self) -> list[dict[str, Any]]:
        """Read the logged values by epoch; of a resumed run's repeated epochs the later values count."""
        epochs: dict[int, dict[str, Any]] = {}
        for line in self.curve_file.read_text().splitlines() if self.curve_file.is_file() else ():
            try:
                row = json.loads(line)
            except ValueError:
                # The last line of a process that was killed while it wrote.
                continue
            epochs.setdefault(row["epoch"], {}).update(row)
        return [epochs[epoch] for epoch in sorted(epochs)]


def checkpoint_of(run_dir: str | os.PathLike[str], name: str) -> Path:
    """Return the file of a run's checkpoint; it is an `InputError` if the run has none of that name."""
    path = RunDir(run_dir).checkpoint(name)
    if not path.is_file():
        existing = sorted(other.stem for other in path.parent.glob("*.ckpt"))
        makers = {"calibrated": "calibrate", "learnt": "learn-scores"}
        remedy = f"; poserep {makers[name]} {run_dir} makes it" if name in makers else ""
        raise InputError(f"checkpoint={name}: {run_dir} has {', '.join(existing) or 'no checkpoint yet'}{remedy}")
    return path


def run_of(checkpoint: Path) -> RunDir | None:
    """Return the run that a checkpoint lies in; None if it is a file of its own."""
    run_dir = RunDir(checkpoint.parent.parent)
    return run_dir if checkpoint.parent.name == "checkpoints" and run_dir.config_file.is_file() else None


def runs_in(study: Path) -> Iterator[RunDir]:
    """Yield the run directories of a study, by name."""
    yield from (RunDir(file.parent) for file in sorted(study.glob("*/config.yaml")))


def finished_in(study: Path) -> Iterator[RunDir]:
    """Yield the run directories of a study that have a result, by name."""
    yield from (RunDir(file.parent) for file in sorted(study.glob("*/result.json")))


def load_results(study: Path, damaged: dict[str, str] | None = None) -> list[dict[str, Any]]:
    """Read all results of a study, each with its directory under ``path``, sorted by directory.

    With ``damaged`` results that cannot be read are left out, and it is filled with the reasons by run.
    """
    results = []
    for run_dir in finished_in(study):
        try:
            results.append({**run_dir.result(), "path": run_dir.path})
        except InputError as error:
            if damaged is None:
                raise
            damaged[run_dir.name] = str(error)
    return results


def is_result(path: Path) -> bool:
    """Tell whether a path is that of a run's result file or of a later evaluation's."""
    mine = path.stem == "result" or path.stem.startswith("evaluation-")
    return path.suffix == ".json" and mine and RunDir(path.parent).config_file.is_file()


def named_result(path: Path) -> tuple[RunDir, str]:
    """Return the run and the id of the evaluation that a path names: a run directory, or a result file in one."""
    if path.suffix != ".json":
        return RunDir(path), ""
    return RunDir(path.parent), path.stem.removeprefix("evaluation-") if path.stem != "result" else ""
