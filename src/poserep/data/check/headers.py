"""The sizes of many image files, from their headers, several at a time."""

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import track

from poserep.data.images import decode, read_bytes
from poserep.errors import InputError

# How files begin whose end has a mark, which is not far from the last byte.
ENDS = {b"\xff\xd8": b"\xff\xd9", b"\x89P": b"IEND"}
TAIL = 4096
CHUNK = 64
ORIENTATION = 0x0112

Read = Callable[[Path], np.ndarray]
T = TypeVar("T")


class Header(NamedTuple):
    """What is known of an image file.

    Attributes:
        width: As stored, px; 0 if unknown.
        height: Likewise.
        fault: Why it cannot be used, or empty.
        missing: There is no such file.
    """

    width: int = 0
    height: int = 0
    fault: str = ""
    missing: bool = False


def header(path: Path) -> Header:
    """Size by the file's header; files that end too early are found without decoding them."""
    if not path.is_file():
        return Header(missing=True)
    try:
        with Image.open(path) as image:
            width, height = image.size
        if not _ends(path):
            # Something else may follow the image.
            decode(read_bytes(path), path)
    except InputError as error:
        return Header(fault=str(error))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        return Header(fault=f"{type(error).__name__}: {error}")
    return Header(width, height)


def decoded(path: Path, read: Read) -> Header:
    """Size by decoding all of the file, as training does."""
    if not path.is_file():
        return Header(missing=True)
    try:
        height, width = read(path).shape[:2]
    except InputError as error:
        return Header(fault=str(error))
    return Header(width, height)


def headers(paths: Iterable[Path], read: Read | None = None) -> dict[Path, Header]:
    """The header of every file, once; with ``read`` all of it is decoded."""
    unique = list(dict.fromkeys(paths))
    look = header if read is None else partial(decoded, read=read)
    return dict(zip(unique, spread(look, unique, "images"), strict=True))


def spread(function: Callable[[Path], T], paths: Sequence[Path], what: str) -> list[T]:
    """A function's results for many files, in order, by several threads; a bar on a terminal says how far it is."""
    chunks = [paths[i : i + CHUNK] for i in range(0, len(paths), CHUNK)]
    console = Console(stderr=True)
    with ThreadPoolExecutor(min(16, 2 * (os.cpu_count() or 1))) as pool:
        done = pool.map(lambda chunk: [function(path) for path in chunk], chunks)
        bar = track(done, what, len(chunks), console=console, transient=True, disable=not console.is_terminal)
        return [result for chunk in bar for result in chunk]


def orientation(path: Path) -> int:
    """By EXIF, how a viewer turns the image; 1 if not at all, 5 and more exchange width and height."""
    with Image.open(path) as image:
        return int(image.getexif().get(ORIENTATION, 1))


def _ends(path: Path) -> bool:
    with path.open("rb", buffering=0) as file:
        mark = ENDS.get(file.read(2))
        file.seek(-min(TAIL, path.stat().st_size), os.SEEK_END)
        return mark is None or mark in file.read()
