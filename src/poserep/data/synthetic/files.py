"""Files of drawn data sets: folders that are made once, whole or not at all, by whichever process comes first."""

import fcntl
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2

# Part of a folder's name; counts up when what is drawn from a seed changes.
DRAWING_VERSION = "v1"
_DONE = "done.json"


def once(root: str | Path, name: str, fill: Callable[[Path], Mapping[str, Any]]) -> Path:
    """Make a folder unless it is there, and return it; it is whole, as ``done.json`` in it was written last.

    ``name``, without the version, must tell everything that its content depends on; ``root`` is made if missing.
    ``fill`` writes the content into the folder it is given, with one thread of OpenCV, and returns what ``done.json``
    shall hold.
    """
    root, name = Path(root), f"{name}-{DRAWING_VERSION}"
    final = root / name
    if (final / _DONE).is_file():
        return final
    root.mkdir(parents=True, exist_ok=True)
    with (root / f".{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Another process may have finished it while this one waited.
        if (final / _DONE).is_file():
            return final
        partial = root / f".{name}.partial"
        for leftover in (partial, final):
            if leftover.exists():
                shutil.rmtree(leftover)
        partial.mkdir()
        threads = cv2.getNumThreads()
        cv2.setNumThreads(1)
        try:
            done = fill(partial)
        finally:
            cv2.setNumThreads(threads)
        (partial / _DONE).write_text(json.dumps(done, indent=2) + "\n", encoding="utf-8")
        partial.rename(final)
    return final


def write_packed(path: Path, content: Any) -> bytes:
    """Store JSON without blanks and return what was written."""
    data = json.dumps(content, separators=(",", ":")).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return data
