"""Where runs write their curves: a local file always, Weights & Biases if asked."""

import json
import netrc
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only


class JsonlLogger(Logger):
    """Appends one JSON object per logged set of metrics to a file."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    @property
    def name(self) -> str:
        """Of the logger."""
        return "jsonl"

    @property
    def version(self) -> int:
        """There is one."""
        return 0

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Append a line."""
        row = {"step": step, **{k: int(v) if k == "epoch" else float(v) for k, v in metrics.items()}}
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")

    @rank_zero_only
    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """The configuration lies beside the file."""


def wandb_logger(
    project: str,
    save_dir: Path,
    name: str,
    run_id: str,
    group: str,
    tags: Sequence[str],
    config: Mapping[str, Any],
) -> Logger:
    """Lightning's W&B logger; offline unless a key is in the environment or the user's netrc file."""
    from lightning.pytorch.loggers import WandbLogger

    return WandbLogger(
        project=project,
        save_dir=save_dir,
        name=name,
        id=run_id,
        group=group,
        tags=list(tags),
        config=dict(config),
        offline=not _has_key(),
        resume="allow",
    )


def finish(logger: Logger) -> None:
    """End a dashboard's run: the next logger in this process would otherwise write into it."""
    from lightning.pytorch.loggers import WandbLogger

    if isinstance(logger, WandbLogger):
        logger.experiment.finish()


def _has_key() -> bool:
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        return any("wandb" in host for host in netrc.netrc().hosts)
    except (OSError, netrc.NetrcParseError):
        return False
