"""How long training an image takes, from what `benchmarks/training.py --steps-of` measured, scaled where it did not."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from poserep.config import CONF, compose
from poserep.data.build import skeleton_of
from poserep.errors import InputError
from poserep.geometry import Size
from poserep.models.cost import macs
from poserep.training.network import build_network, reads_multiscale

RESULTS = CONF.parent / "benchmarks" / "results"
# The variant of a record that a run's settings come to; tables neither compile nor leave out channels_last.
VARIANTS = {False: "channels_last", True: "channels_last, bf16"}


@dataclass(frozen=True)
class Measured:
    """A network whose steps were timed.

    Attributes:
        name: Backbone and input size.
        backbone: Its configuration, weights aside.
        macs: True multiply-accumulates for one image.
        seconds: Of training one image, by whether it was in half precision.
    """

    name: str
    backbone: Any
    macs: int
    seconds: dict[bool, float]


@dataclass(frozen=True)
class Record:
    """What was measured on one device.

    Attributes:
        device: As it calls itself.
        gpu: Whether it is one.
        networks: At least one.
    """

    device: str
    gpu: bool
    networks: tuple[Measured, ...]


def read_records(folder: Path = RESULTS) -> list[Record]:
    """All records of single steps, by device.

    Raises:
        InputError: If one has no rows.
    """
    found = []
    for path in sorted(folder.glob("training-steps-*.json")):
        data = json.loads(path.read_text())
        if not data["rows"]:
            raise InputError(f"{path} has no rows; measure again with benchmarks/training.py --steps-of ... --record")
        device = data["device"].removeprefix("steps ")
        networks = tuple(_measured(row) for row in data["rows"])
        found.append(Record(device, device != data["processor"], networks))
    return found


def _measured(row: dict[str, Any]) -> Measured:
    overrides = [f"{key}={row[key]}" for key in ("backbone", "representation", "size")]
    cfg = compose(overrides).cfg
    seconds = {half: row[name]["ms"] / 1000 / row["batch"] for half, name in VARIANTS.items()}
    return Measured(f"{row['backbone']} {row['size']}", backbone_of(cfg), macs_of(cfg), seconds)


def backbone_of(cfg: DictConfig) -> dict[str, Any]:
    """The backbone's configuration without its weights, and ``multiscale`` if the head reads several resolutions."""
    node = OmegaConf.to_container(cfg.backbone, resolve=True)
    assert isinstance(node, dict)
    multiscale = {"multiscale": True} if reads_multiscale(cfg) else {}
    return {str(key): value for key, value in node.items() if key != "weights"} | multiscale


def macs_of(cfg: DictConfig) -> int:
    """True multiply-accumulates of a configuration's network for one image."""
    cfg = cfg.copy()
    if cfg.backbone.get("weights"):
        cfg.backbone.weights = None
    net, _ = build_network(cfg, skeleton_of(cfg))
    return macs(net, *Size.parse(cfg.input_size), net.channels)


def seconds(records: Sequence[Measured], cfg: DictConfig, count: int) -> tuple[float, Measured, bool]:
    """Of training one image, by the nearest network that was measured: of the same backbone, else of the nearest cost.

    Args:
        records: To choose from.
        cfg: What is to be trained.
        count: Its multiply-accumulates for one image.

    Returns:
        Seconds, by whose measure, and whether that is scaled.
    """
    own = backbone_of(cfg)
    same = [m for m in records if m.backbone == own] or list(records)
    nearest = min(same, key=lambda m: abs(math.log(m.macs / count)))
    scaled = nearest.backbone != own or nearest.macs != count
    return nearest.seconds["bf16" in str(cfg.trainer.precision)] * count / nearest.macs, nearest, scaled
