"""What a run leaves behind: identity, provenance and results, as files that are whole or absent."""

import hashlib
import json
import math
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from importlib.metadata import version
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np

from poserep.errors import InputError

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
PACKAGES = ("torch", "lightning", "timm", "numpy", "opencv-python-headless", "pycocotools", "albumentations")


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


def scheme(result: Mapping[str, Any]) -> tuple[str, str]:
    """Title of the representation, and input size."""
    return result["config"]["representation"]["title"], result["config"]["input_size"]


def columns(result: Mapping[str, Any]) -> tuple[str, ...]:
    """The values that tables show, the chief one first."""
    return tuple(result["columns"])


def calibration(result: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """How well scores follow OKS on annotated boxes, by readout; empty for results from before this was recorded."""
    return result.get("calibration", {}).get("gt", {})


def settings(results: Sequence[Mapping[str, Any]]) -> list[str]:
    """For each run what sets it apart from others of its scheme and size, seeds aside; empty if nothing does.

    It is named by the rows of the table that it stands for, which a result may hold as ``rows`` with ``of`` (their mode
    and the like) behind them, as far as these tell runs apart, or else by keys as ``key=value``.
    """
    differ = _differing(results)
    of = [(scheme(result), text) for result, text in zip(results, differ, strict=True)]
    found = list(differ)
    alike = {where: {text for other, text in of if other == where} for where, _ in of}
    # Sizes are told beside the setting, and curves over size join what is called the same.
    rows = [[row.replace(f" {scheme(r)[1]}", "") for row in r.get("rows", ())] for r in results]
    # The longer names first, so that the shorter ones have the last word.
    for name in (" | ".join, _beginning):
        names = [f"{name(mine)}{r['of']}" if mine else "" for mine, r in zip(rows, results, strict=True)]
        meant: dict[tuple[Any, str], set[Any]] = {}
        for one, about in zip(names, of, strict=True):
            meant.setdefault((about[0], one), set()).add(about)
        for i, one in enumerate(names):
            if one and len(alike[of[i][0]]) > 1 and len(meant[of[i][0], one]) == 1:
                found[i] = one
    return found


def _beginning(rows: Sequence[str]) -> str:
    """What the names of several rows begin with: those of readouts of a run do not differ before its end."""
    same = takewhile(lambda letters: len(set(letters)) == 1, zip(*rows, strict=False))
    common = "".join(letters[0] for letters in same).rstrip(" ,+|(-")
    return common if len(common) > 2 else rows[0]


def _differing(results: Sequence[Mapping[str, Any]]) -> list[str]:
    flat = [flatten(r["config"]) for r in results]
    lines = []
    for i, result in enumerate(results):
        members = [j for j, other in enumerate(results) if scheme(other) == scheme(result)]
        keys = sorted({key for j in members for key in flat[j]} - {"seed"})
        keys = [k for k in keys if not beneath(k, ELSEWHERE)]
        differ = [k for k in keys if len({json.dumps(flat[j].get(k)) for j in members}) > 1]
        if "data.name" in differ:
            # Another data set: that all of its entries are others needs no saying.
            differ = ["data.name", *(k for k in differ if k.split(".")[0] not in ("data", "contents"))]
        # A key that only other runs have says nothing about this one.
        lines.append(", ".join(_named(k, flat[i][k]) for k in differ if k in flat[i]))
    return lines


def _named(key: str, value: Any) -> str:
    if key.endswith("._target_"):
        return f"{key.removesuffix('._target_')}={str(value).split('.')[-1]}"
    return f"{key}={value}"


def write_json(path: Path, data: Any) -> None:
    """Write a file that other processes see either whole or not at all; numbers that are none become null."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(json.dumps(_finite(data), indent=1, allow_nan=False) + "\n")
    partial.replace(path)


def _finite(data: Any) -> Any:
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if isinstance(data, Mapping):
        return {key: _finite(value) for key, value in data.items()}
    return [_finite(value) for value in data] if isinstance(data, list | tuple) else data


def write_npz(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write arrays, compressed, whole or not at all."""
    partial = path.with_name(f".{os.getpid()}.{path.name}")
    np.savez_compressed(partial, **dict(arrays))
    partial.replace(path)


def file_hash(path: Path) -> str:
    """First 12 hex digits of a file's SHA-256."""
    about = path.stat()
    return _hash(path.absolute(), about.st_size, about.st_mtime_ns)


@lru_cache(1000)
def _hash(path: Path, size: int, changed: int) -> str:
    """Of a file as it is at a time; the cells of a table name the same large files again and again."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]


def provenance() -> dict[str, Any]:
    """Versions, machine and the state of the source."""

    def git(*arguments: str) -> str:
        try:
            command = ["git", "-C", str(Path(__file__).parent), *arguments]
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            return ""

    return {
        "poserep": version("poserep"),
        "commit": git("rev-parse", "--short=12", "HEAD"),
        "dirty": bool(git("status", "--porcelain")),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
    }


def finished(run_dir: Path) -> bool:
    """Whether the run there has a result."""
    return (run_dir / "result.json").is_file()


def load_results(study: Path) -> list[dict[str, Any]]:
    """All results of a study, each with its folder under ``path``, sorted by folder.

    Raises:
        InputError: If one is not of this version's form.
    """
    found = []
    for path in sorted(study.glob("*/result.json")):
        result = json.loads(path.read_text())
        if "columns" not in result:
            raise InputError(f"{path} was written by an earlier version; run it again, or move its folder elsewhere")
        found.append({**result, "path": path.parent})
    return found


def read_curve(run_dir: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl by epoch; of a resumed run's repeated epochs the later ones count."""
    path = run_dir / "metrics.jsonl"
    epochs: dict[int, dict[str, Any]] = {}
    for line in path.read_text().splitlines() if path.is_file() else ():
        try:
            row = json.loads(line)
        except ValueError:
            # A run that was killed while it wrote.
            continue
        epochs.setdefault(row["epoch"], {}).update(row)
    return [epochs[epoch] for epoch in sorted(epochs)]
