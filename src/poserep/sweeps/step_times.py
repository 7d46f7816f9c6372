"""Seconds of training per image, from the steps that ``benchmarks/training.py --steps-of`` measured."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poserep.config import DictConfig, OmegaConf, as_dict, compose
from poserep.data.from_config import skeleton_of
from poserep.errors import InputError
from poserep.geometry import Size
from poserep.models.cost import macs
from poserep.overrides import CONF
from poserep.training.network import build_network, reads_multiscale

RESULTS = CONF.parent / "benchmarks" / "results"
# The variant of a record that runs in full and in half precision correspond to.
VARIANTS = {False: "channels_last", True: "channels_last, bf16"}


@dataclass(frozen=True)
class MeasuredNetwork:
    """A network whose training steps were timed.

    ``name`` is backbone and input size, ``backbone`` the backbone's configuration without weights, ``macs`` the true
    multiply-accumulates for one image, ``seconds`` those of training per image, by whether it was in half precision.
    """

    name: str
    backbone: Any
    macs: int
    seconds: dict[bool, float]


@dataclass(frozen=True)
class DeviceRecord:
    """The networks (at least one) that were timed on one device."""

    device: str
    gpu: bool
    networks: tuple[MeasuredNetwork, ...]


def read_records(folder: Path = RESULTS) -> list[DeviceRecord]:
    """Read all records of training steps, by device; one without rows is an `InputError`."""
    records: dict[str, DeviceRecord] = {}
    for path in sorted(folder.glob("training-steps-*.json")):
        data = json.loads(path.read_text())
        if not data["rows"]:
            raise InputError(f"{path} has no rows; measure again with benchmarks/training.py --steps-of ... --record")
        device = data["device"].removeprefix("steps ")
        networks = tuple(_measured(row) for row in data["rows"])
        known = records[device].networks if device in records else ()
        records[device] = DeviceRecord(device, device != data["processor"], known + networks)
    return list(records.values())


def _measured(row: dict[str, Any]) -> MeasuredNetwork:
    cfg = compose([f"{key}={row[key]}" for key in ("backbone", "representation", "size")]).cfg
    seconds = {half: row[name]["ms"] / 1000 / row["batch"] for half, name in VARIANTS.items()}
    return MeasuredNetwork(f"{row['backbone']} {row['size']}", backbone_of(cfg), macs_of(cfg), seconds)


def backbone_of(cfg: DictConfig) -> dict[str, Any]:
    """Return the backbone's configuration without its weights, with ``multiscale`` if the head reads several maps."""
    multiscale = {"multiscale": True} if reads_multiscale(cfg) else {}
    return {key: value for key, value in as_dict(cfg.backbone).items() if key != "weights"} | multiscale


# The multiply-accumulates of networks, by all that decides them: the tables have many runs of few networks.
_MACS: dict[str, int] = {}
DECIDES = ("input_size", "align", "backbone", "representation.head", "representation.codec", "data.skeleton")


def macs_of(cfg: DictConfig) -> int:
    """Count the true multiply-accumulates of a configuration's network for one image, once for each network."""
    cfg = cfg.copy()
    if cfg.backbone.get("weights"):
        cfg.backbone.weights = None
    parts = (OmegaConf.select(cfg, key) for key in (*DECIDES, "data.pixels"))
    key = str([OmegaConf.to_container(part, resolve=True) if OmegaConf.is_config(part) else part for part in parts])
    if key not in _MACS:
        net, _ = build_network(cfg, skeleton_of(cfg))
        _MACS[key] = macs(net, *Size.parse(cfg.input_size))
    return _MACS[key]


def seconds_per_image(
    networks: Sequence[MeasuredNetwork], cfg: DictConfig, count: int
) -> tuple[float, MeasuredNetwork, bool]:
    """Estimate the seconds of training per image from the nearest network that was measured.

    That is one with the same backbone, or else with the nearest cost; time is scaled by multiply-accumulates, of which
    the configuration to train has ``count`` for one image. The network, and whether the time is scaled, are returned
    too.
    """
    backbone = backbone_of(cfg)
    same = [network for network in networks if network.backbone == backbone] or list(networks)
    nearest = min(same, key=lambda network: abs(math.log(network.macs / count)))
    scaled = nearest.backbone != backbone or nearest.macs != count
    return nearest.seconds["bf16" in str(cfg.trainer.precision)] * count / nearest.macs, nearest, scaled
