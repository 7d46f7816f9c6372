"""What makes two runs the same, and how a run is named."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from poserep.files import file_and_entry, file_hash

# Keys that say where a run happens or what watches it, and change no number. Files count by content: see `contents`.
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
    """Return eight hex digits of the hash of a resolved configuration without paths and hardware."""
    kept = json.loads(json.dumps(config))
    for dotted in ELSEWHERE:
        *parents, last = dotted.split(".")
        node = kept
        for parent in parents:
            node = node.get(parent) or {}
        node.pop(last, None)
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:8]


def files_of(config: Mapping[Any, Any]) -> dict[str, Path]:
    """Return the files that a resolved configuration names, by role; data that the run draws itself are left out."""
    data, weights = config["data"], config["backbone"].get("weights")
    files = {"weights": file_and_entry(weights)[0]} if weights else {}
    if not data["prepare"]:
        root = Path(data["root"])
        for split in ("train", "val"):
            given = data[split]["annotations"]
            names = [given] if isinstance(given, str) else given
            files |= {split if n == 1 else f"{split} {n}": root / name for n, name in enumerate(names, 1)}
        heads = {f"{split} heads": data[split].get("heads") for split in ("train", "val")}
        files |= {name: root / file for name, file in heads.items() if file}
        files |= {"detections": root / data["detections"]} if data["detections"] else {}
    if isinstance(data["skeleton"], str):
        files["skeleton"] = Path(data["skeleton"])
    return files


def contents(config: Mapping[Any, Any]) -> dict[str, str]:
    """Return the hashes of the existing files that a resolved configuration names, as part of its identity."""
    files = files_of(config)
    hashes = {name: file_hash(path) for name, path in files.items() if path.is_file()}
    if "weights" in files:
        # Missing initial weights differ from none, and one entry of a file from another.
        entry = file_and_entry(config["backbone"]["weights"])[1]
        hashes["weights"] = hashes.get("weights", "missing") + (f"#{entry}" if entry else "")
    return hashes


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a configuration's values by dotted key; lists are values."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def beneath(key: str, parents: Iterable[str]) -> bool:
    """Return whether a dotted key is one of the parents or lies below one."""
    return any(key == parent or key.startswith(f"{parent}.") for parent in parents)


def name_of(config: dict[str, Any]) -> str:
    """Return the name of a run's directory: what it is in words, and its identity."""
    words = [config["representation"]["name"], config["names"]["backbone"], config["data"]["name"]]
    return "-".join([*words, str(config["input_size"]), f"s{config['seed']}", identity(config)])
