"""Sizes and defects of many image files, from their headers or by decoding them, several at a time."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from PIL import ExifTags, Image
from rich.console import Console
from rich.progress import track

from poserep.data.image_files import JPEG_END, decode_image, read_bytes
from poserep.errors import InputError

# The mark in the last bytes of a whole file, by Pillow's name of its format.
END_MARKS = {"JPEG": JPEG_END, "MPO": JPEG_END, "PNG": b"IEND"}
TAIL, CHUNK = 4096, 64

ImageReader = Callable[[Path], np.ndarray]
_T = TypeVar("_T")


class ImageHeader(NamedTuple):
    """An image file: size as stored, px, 0 if unknown; why it cannot be read, or empty; and whether there is none."""

    width: int = 0
    height: int = 0
    fault: str = ""
    missing: bool = False


def read_header(path: Path, read: ImageReader | None = None) -> ImageHeader:
    """Return the facts of an image file; with ``read`` all of it is decoded, else its header and end are looked at."""
    if not path.is_file():
        return ImageHeader(missing=True)
    try:
        if read:
            height, width = read(path).shape[:2]
        else:
            with Image.open(path) as image:
                width, height = image.size
                mark = END_MARKS.get(image.format or "", b"")
            with path.open("rb") as file:
                file.seek(-min(TAIL, path.stat().st_size), os.SEEK_END)
                whole = mark in file.read()
            if not whole:
                # The end is missing, or something else follows the image.
                decode_image(read_bytes(path), path)
    except InputError as error:
        return ImageHeader(fault=str(error))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        return ImageHeader(fault=f"{type(error).__name__}: {error}")
    return ImageHeader(width, height)


def each_image(function: Callable[[Path], _T], paths: Iterable[Path]) -> dict[Path, _T]:
    """Return a function's results for image files, each once, by several threads; a terminal shows the progress."""
    unique = list(dict.fromkeys(paths))
    chunks = [unique[i : i + CHUNK] for i in range(0, len(unique), CHUNK)]
    console = Console(stderr=True)
    with ThreadPoolExecutor(min(16, 2 * (os.cpu_count() or 1))) as pool:
        done = pool.map(lambda chunk: [function(path) for path in chunk], chunks)
        bar = track(done, "images", len(chunks), console=console, transient=True, disable=not console.is_terminal)
        return dict(zip(unique, (result for chunk in bar for result in chunk), strict=True))


def orientation(path: Path) -> int:
    """Return the EXIF orientation by which viewers turn an image: 1 for none; 5 to 8 exchange width and height."""
    with Image.open(path) as image:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
