"""Files of generated data sets: a folder made once, all or nothing, by whichever process comes first."""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from poserep.data.synthetic.scene import Picture
from poserep.errors import InputError

VERSION = "v1"


_DONE = "done.json"


def once(root: str | Path, name: str, fill: Callable[[Path], Mapping[str, Any]]) -> Path:
    """Make a folder unless it is there.

    Args:
        root: Its parent, made if missing.
        name: Of the folder; must tell everything that its content depends on.
        fill: Writes the content into the folder it is given and returns what ``done.json`` shall say.

    Returns:
        The folder, which is whole: ``done.json`` in it was written last.
    """
    root = Path(root)
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
        done = fill(partial)
        (partial / _DONE).write_text(json.dumps(done, indent=2) + "\n", encoding="utf-8")
        partial.rename(final)
    return final


def check_counts(seed: int, **counts: int) -> None:
    """Refuse counts below 1 and seeds below 0.

    Raises:
        InputError: Naming the first such value.
    """
    for name, value in counts.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise InputError(f"{name}={value!r} is not a count: give a whole number of at least 1")
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise InputError(f"seed={seed!r} is no seed: give a whole number of at least 0")


def write_jpeg(path: Path, picture: Picture) -> None:
    """Store a picture with the quality it asks for."""
    done, code = cv2.imencode(
        ".jpg", np.ascontiguousarray(picture.image[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, picture.quality]
    )
    if not done:
        raise RuntimeError(f"could not encode {path.name}")
    path.write_bytes(code.tobytes())


def write_json(path: Path, content: Any) -> bytes:
    """Store JSON without blanks; returns what was written."""
    data = json.dumps(content, separators=(",", ":")).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return data


def rng_of(seed: int, name: str, *numbers: int) -> np.random.Generator:
    """Randomness that depends on nothing else than these."""
    return np.random.default_rng(np.random.SeedSequence([seed, *numbers, *name.encode()]))
