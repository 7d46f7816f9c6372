"""What a run leaves behind: identity, provenance and results, as files that are whole or absent."""

import json
from pathlib import Path
from typing import Any

from poserep.errors import InputError


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
