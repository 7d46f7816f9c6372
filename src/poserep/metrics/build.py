"""From a configuration to the metric that scores a run."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from poserep.config import make
from poserep.geometry import Size
from poserep.metrics import PoseMetric
from poserep.skeleton import Skeleton


def metric_of(
    cfg: DictConfig, instances: Any, skeleton: Skeleton, root: Path, score_threshold: float = 0.0
) -> PoseMetric:
    """The metric of a data set for persons of its validation split."""
    return make(
        cfg.data.metric,
        instances=instances,
        annotations=root / cfg.data.val.annotations,
        skeleton=skeleton,
        size=Size.parse(cfg.input_size),
        score_threshold=score_threshold,
        padding=(cfg.data.get("crop") or {}).get("padding", 1.25),
    )
