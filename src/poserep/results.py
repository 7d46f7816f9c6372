"""What a run leaves behind: identity, provenance and results, as files that are whole or absent."""

import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

# Where a run happens and what watches it change nothing about what it is.
ELSEWHERE = (
    "runs",
    "study",
    "table",
    "logger",
    "data.root",
    "data.prepare.root",
    "trainer.accelerator",
    "trainer.devices",
    "trainer.workers",
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


def write_json(path: Path, data: Any) -> None:
    """Write a file that other processes see either whole or not at all."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(json.dumps(data, indent=1) + "\n")
    partial.replace(path)


def file_hash(path: Path) -> str:
    """First 12 hex digits of a file's SHA-256."""
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
    """All results of a study, each with its folder under ``path``, sorted by folder."""
    found = []
    for path in sorted(study.glob("*/result.json")):
        found.append({**json.loads(path.read_text()), "path": path.parent})
    return found


def read_curve(run_dir: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl by epoch; of a resumed run's repeated epochs the later ones count."""
    path = run_dir / "metrics.jsonl"
    epochs: dict[int, dict[str, Any]] = {}
    for line in path.read_text().splitlines() if path.is_file() else ():
        row = json.loads(line)
        epochs.setdefault(row["epoch"], {}).update(row)
    return [epochs[epoch] for epoch in sorted(epochs)]
