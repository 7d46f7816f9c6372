"""What makes two runs the same, and how a run is named."""

import glob
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from poserep.errors import InputError
from poserep.files import file_and_entry, file_hash
from poserep.runs.rundir import RunDir, run_of

# Keys that say where a run happens or what watches it, and change no number. Files count by content: see `contents`.
ELSEWHERE = (
    "runs",
    "study",
    "table",
    "names",
    "logger",
    "data.root",
    "data.prepare.root",
    "data.metric.matcher",
    "init",
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

# Runs that a new one is compared with, at most.
MOST_COMPARED = 300


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
    data = config["data"]
    files = {role: path for role, (path, _) in initial_files(config).items()}
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
    hashes = {name: file_hash(path) for name, path in files_of(config).items() if path.is_file()}
    # What a run has started from is a fact, whatever lies there when it is evaluated.
    recorded = config.get("contents") or {}
    return hashes | {role: recorded.get(role, now) for role, now in initial_hashes(config).items()}


def initial_files(config: Mapping[Any, Any]) -> dict[str, tuple[Path, str]]:
    """Return the files of initial weights that a configuration names, each with the entry to take of it, by role.

    A run directory stands for its last checkpoint, ``RUN#best`` for its best one.
    """
    given = {"weights": config["backbone"].get("weights"), "init": config.get("init")}
    files = {role: file_and_entry(path) for role, path in given.items() if path}
    if "init" in files and files["init"][0].is_dir():
        run, entry = files["init"]
        files["init"] = (RunDir(run).checkpoint(entry or "last"), "")
    return files


def initial_hashes(config: Mapping[Any, Any]) -> dict[str, str]:
    """Return the hashes of files of initial weights, by role: missing ones differ from none, and entries of a file.

    So do the checkpoints of runs, whose joints are known, from files of the same tensors.
    """
    hashes = {}
    for role, (path, entry) in initial_files(config).items():
        known = "#run" if role == "init" and run_of(path) else ""
        hashes[role] = (file_hash(path) if path.is_file() else "missing") + known + (f"#{entry}" if entry else "")
    return hashes


def earlier_run(config: dict[str, Any]) -> Path | None:
    """Return the finished run of a configuration that differs in fewer epochs alone; of several, the longest one."""
    epochs = {run_dir.path: other["trainer"]["epochs"] for run_dir, other in _alike(config, _but_epochs)}
    fewer = [path for path, n in epochs.items() if n < config["trainer"]["epochs"]]
    return max(fewer, key=lambda path: epochs[path], default=None)


def runs_of_other_pictures(config: dict[str, Any]) -> list[RunDir]:
    """Return the finished runs of a configuration that differs in its pictures alone."""
    return [run_dir for run_dir, _ in _alike(config, _but_pictures) if run_dir.name != name_of(config)]


def _alike(config: dict[str, Any], part: Callable[[Mapping[str, Any]], str]) -> Iterator[tuple[RunDir, dict[str, Any]]]:
    """Yield the finished runs of the study, with their configurations, that are equal in a part of theirs."""
    # Only runs that are called like this one, its identity aside; reading hundreds would be felt.
    pattern = f"{glob.escape(name_of(config).rpartition('-')[0])}-*/result.json"
    files = sorted((Path(config["runs"]) / config["study"]).glob(pattern))
    for run_dir in (RunDir(file.parent) for file in files if len(files) <= MOST_COMPARED):
        with suppress(InputError):
            other = run_dir.config()
            if part(other) == part(config):
                yield run_dir, other


def _but_epochs(config: Mapping[str, Any]) -> str:
    """Return the identity of a configuration whatever its number of epochs, and where the LR falls."""
    kept = json.loads(json.dumps(config))
    kept["trainer"].pop("epochs")
    (kept["optim"].get("schedule") or {}).pop("milestones", None)
    return identity(kept)


def _but_pictures(config: Mapping[str, Any]) -> str:
    """Return the identity of a configuration whatever its pictures hold."""
    contents = (config.get("contents") or {}).items()
    return identity({**config, "contents": {key: value for key, value in contents if not key.startswith("pictures ")}})


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
