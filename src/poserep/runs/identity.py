"""What makes two runs the same, and what a run is called."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from poserep.files import file_hash

# Where a run happens and what watches it change nothing about what it is. Files count by content, see `contents`.
ELSEWHERE = (
    "runs",
    "study",
    "table",
    "names",
    "logger",
    "data.root",
    "data.prepare.root",
    "backbone.weights",
    "trainer.pretrained",
    "trainer.accelerator",
    "trainer.devices",
    "trainer.workers",
    "trainer.cache",
    "trainer.cache_gb",
    "trainer.compile",
    "trainer.channels_last",
)


def identity(config: Mapping[Any, Any]) -> str:
    """Eight hex digits of the resolved configuration without paths and hardware."""
    kept = json.loads(json.dumps(config))
    for dotted in ELSEWHERE:
        *parents, last = dotted.split(".")
        node = kept
        for parent in parents:
            node = node.get(parent) or {}
        node.pop(last, None)
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:8]


def files_of(config: Mapping[Any, Any]) -> dict[str, Path]:
    """The files that a resolved configuration names, by what they are; data that a run prepares itself are none."""
    data, weights = config["data"], config["backbone"].get("weights")
    files = {"weights": Path(weights)} if weights else {}
    if not data["prepare"]:
        root = Path(data["root"])
        files |= {split: root / data[split]["annotations"] for split in ("train", "val")}
        heads = {f"{split} heads": data[split].get("heads") for split in ("train", "val")}
        files |= {name: root / file for name, file in heads.items() if file}
        files |= {"detections": root / data["detections"]} if data["detections"] else {}
    if isinstance(data["skeleton"], str):
        files["skeleton"] = Path(data["skeleton"])
    return files


def contents(config: Mapping[Any, Any]) -> dict[str, str]:
    """Hashes of the files that a resolved configuration names, so that they are part of its identity.

    Data that the run prepares itself follow from its configuration. Missing files are left to those who read them, but
    initial weights that are missing are not the same as none.
    """
    files = files_of(config)
    found = {name: file_hash(path) for name, path in files.items() if path.is_file()}
    return {**found, "weights": "missing"} if "weights" in files and "weights" not in found else found


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted keys of a configuration; lists stay values."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def beneath(key: str, parents: Iterable[str]) -> bool:
    """Whether a dotted key is one of the parents, or within one."""
    return any(key == parent or key.startswith(f"{parent}.") for parent in parents)


def name_of(config: dict[str, Any]) -> str:
    """The name of a run's directory, of its resolved configuration."""
    about = [config["representation"]["name"], config["names"]["backbone"], config["data"]["name"]]
    return "-".join([*about, str(config["input_size"]), f"s{config['seed']}", identity(config)])
