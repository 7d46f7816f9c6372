"""Atomic writing, YAML, hashes of files, and the provenance of results."""

import errno
import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from poserep.errors import Failed

PACKAGES = ("torch", "lightning", "timm", "numpy", "opencv-python-headless", "pycocotools", "hotcoco", "albumentations")


@contextmanager
def naming_full_disk(path: Path) -> Iterator[None]:
    """Raise `Failed` with the path and what to do if the block fails because the disk, or a quota of it, is full."""
    try:
        yield
    except Exception as error:
        # Libraries raise errors of their own while they handle the system's.
        cause: BaseException | None = error
        while cause:
            if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
                remedy = "make room there, then run the same command again"
                raise Failed(f"{path} cannot be written ({os.strerror(cause.errno)}): {remedy}") from error
            cause = cause.__context__
        raise


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path`` that replaces it at the end, so that readers see all of it or none.

    The folder is made if missing. If the block raises, ``path`` stays as it was and the temporary file is deleted; a
    full disk is `Failed`.
    """
    with naming_full_disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{os.getpid()}.{path.name}")
        try:
            yield partial
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with replacing(path) as partial:
        partial.write_text(text)


def write_json(path: Path, data: Any) -> None:
    """Write a JSON file atomically; NaN and infinities become null."""
    try:
        text = json.dumps(data, indent=1, allow_nan=False)
    except ValueError:
        # NaN and infinities are what parse_constant is called for.
        text = json.dumps(json.loads(json.dumps(data), parse_constant=lambda _: None), indent=1)
    write_text(path, text + "\n")


def write_npz(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write compressed arrays atomically."""
    with replacing(path) as partial:
        np.savez_compressed(partial, **dict(arrays))


def load_yaml(text: str) -> Any:
    """Parse YAML by the C library where it is installed, ten times as fast; errors are `yaml.YAMLError`."""
    return yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def file_and_entry(path: str | Path) -> tuple[Path, str]:
    """Split ``FILE#entry``; a file whose own name has a # is taken as it is."""
    whole = Path(path)
    name, _, entry = str(whole).rpartition("#")
    return (Path(name), entry) if name and not whole.exists() else (whole, "")


def file_hash(path: Path) -> str:
    """Return the first 12 hex digits of a file's SHA-256."""
    stat = path.stat()
    return _hash(path.absolute(), stat.st_size, stat.st_mtime_ns)


@lru_cache(1000)
def _hash(path: Path, size: int, mtime_ns: int) -> str:
    # The cells of a table name the same large files again and again: size and mtime decide whether to read them anew.
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]


def provenance() -> dict[str, Any]:
    """Return the versions of poserep and its main packages, and the commit of the source."""

    def git(*arguments: str) -> str:
        try:
            command = ["git", "-C", str(Path(__file__).parent), *arguments]
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            return ""

    return {
        "poserep": version("poserep"),
        "commit": git("rev-parse", "--short=12", "HEAD"),
        "dirty": bool(git("status", "--porcelain", "--untracked-files=no")),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
    }
