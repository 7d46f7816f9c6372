"""Files that are whole or absent, their hashes, and where results come from."""

import hashlib
import json
import math
import os
import platform
import subprocess
from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

PACKAGES = ("torch", "lightning", "timm", "numpy", "opencv-python-headless", "pycocotools", "albumentations")


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
