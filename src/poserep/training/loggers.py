"""Loggers: curves go to a local file always, which a process of its own shows on Weights & Biases if asked."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from poserep.files import naming_full_disk
from poserep.runs.wandb.follow import FOLLOW_END, push_remedy, warn
from poserep.runs.wandb.publish import default_mode, training_target

# Seconds that a finished run waits until it is shown in full: with a network, and offline, where nothing can hang.
PATIENCE = {"online": FOLLOW_END + 2, "offline": 60.0}


class _RunLogger(Logger):
    """The part of Lightning's interface that the loggers below share: other files hold configuration and curves."""

    name, version = "poserep", 0

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Do nothing: metrics.jsonl has them."""

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: config.yaml has them."""


class JsonlLogger(_RunLogger):
    """Appends one JSON object per logged set of metrics to a file."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Append a line."""
        row = {"step": step, **{k: int(v) if k == "epoch" else float(v) for k, v in metrics.items()}}
        with naming_full_disk(self.path), self.path.open("a+b") as file:
            # What a process wrote that was killed meanwhile is left a line of its own.
            file.seek(max(0, file.tell() - 1))
            torn = file.read(1) not in (b"", b"\n")
            file.write(b"\n" * torn + json.dumps(row).encode() + b"\n")


class Dashboard(_RunLogger):
    """Shows a run on Weights & Biases through a process that follows the run's files, see `poserep.runs.wandb.follow`.

    Whatever happens to the network or in the package neither stops, slows nor changes the training. ``save_dir`` is the
    run directory; ``project`` is W&B's, offline unless a key is set, and ``entity`` its owner, that of the key if None.
    """

    def __init__(self, save_dir: Path, project: str, entity: str | None = None) -> None:
        super().__init__()
        self._remedy = push_remedy(save_dir, training_target(project, entity))
        command = [sys.executable, "-m", "poserep.runs.wandb.follow", str(save_dir), f"--project={project}"]
        command += [f"--entity={entity}"] if entity else []
        self._child: subprocess.Popen | None = None
        try:
            # In a session of its own, signals that interrupt the training let it end in order.
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"},
                start_new_session=True,
            )
        except OSError as error:
            warn(f"not started: {error}. {self._remedy}")

    def finish(self) -> None:
        """Give the process some seconds to send the rest."""
        if self._child is None:
            return
        try:
            # Closing the pipe alone is not enough: loader processes may hold it as well.
            self._child.communicate(b"end\n", PATIENCE.get(default_mode(), PATIENCE["online"]))
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
            warn(f"not everything was sent in time. {self._remedy}")


# The name in conf/logger and in the configurations of earlier runs.
wandb_logger = Dashboard
