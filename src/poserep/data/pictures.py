"""What the files of many pictures say of themselves, read by several threads and remembered on disk."""

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from PIL import ExifTags, Image
from rich.console import Console
from rich.progress import track

from poserep.data.image_files import JPEG_END, Orientation, PhotographReader, read_bytes
from poserep.errors import InputError
from poserep.files import write_text

# The mark in the last bytes of a whole file, by Pillow's name of its format.
END_MARKS = {"JPEG": JPEG_END, "MPO": JPEG_END, "PNG": b"IEND"}
TAIL, CHUNK = 4096, 64
# Counts up when the facts of a picture change.
INDEX_VERSION = 1
# Number of pictures from which on it is said that they are read, as that takes a while.
MANY = 2000
BITS_PER_SAMPLE = 258
# The most bytes of a file in which all pixels may be the same, and more of them per pixel.
BLANK_BYTES, BLANK_BYTES_PER_PIXEL = 4096, 0.05
_ANY = PhotographReader(range=(0, 1))

ImageReader = Callable[[Path], np.ndarray]
_T = TypeVar("_T")


class Picture(NamedTuple):
    """What an image file says of itself.

    Attributes:
        width: Px as stored, 0 if unknown, as ``height``.
        fault: Why it cannot be read, or empty.
        missing: Whether there is no such file.
        orientation: EXIF orientation, 1 if there is none; 5 to 8 exchange width and height.
        bits: Bits of a value.
        digest: Hash of its bytes.
        blank: Whether all its pixels are the same, as far as they have been looked at.
    """

    width: int = 0
    height: int = 0
    fault: str = ""
    missing: bool = False
    orientation: int = 1
    bits: int = 8
    digest: str = ""
    blank: bool = False

    def size(self, orientation: Orientation) -> tuple[int, int]:
        """Return width and height, px, as a reader of photographs gives them."""
        turned = orientation == "upright" and self.orientation >= 5
        return (self.height, self.width) if turned else (self.width, self.height)


def read_picture(path: Path) -> Picture:
    """Return the facts of an image file, of which all bytes are read but no more than header and end are looked at."""
    if not path.is_file():
        return Picture(missing=True)
    digest = ""
    try:
        data = read_bytes(path)
        digest = hashlib.blake2b(data, digest_size=12).hexdigest()
        with Image.open(BytesIO(data)) as image:
            (width, height), kind = image.size, image.format or ""
            picture = Picture(width, height, "", False, _orientation(image, data), _bits(image, data), digest)
        if END_MARKS.get(kind, b"") not in data[-TAIL:]:
            # The end is missing, or something else follows the image.
            _ANY.decode(data, path)
        return picture
    except InputError as error:
        return Picture(fault=str(error), digest=digest)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        return Picture(fault=f"{type(error).__name__}: {error}", digest=digest)


def may_be_blank(path: Path, picture: Picture) -> bool:
    """Tell whether a readable file is so small that all its pixels may be the same."""
    most = BLANK_BYTES + BLANK_BYTES_PER_PIXEL * picture.width * picture.height
    return picture.width > 0 and path.stat().st_size <= most


def examine(path: Path, picture: Picture, read: ImageReader) -> Picture:
    """Decode a picture by its reader, to know whether all its pixels are the same."""
    if picture.missing:
        return picture
    try:
        image = read(path)
    except InputError as error:
        return picture._replace(fault=picture.fault or str(error))
    picture = picture._replace(blank=bool((image == image[:1, :1]).all()))
    if isinstance(read, PhotographReader):
        return picture
    # Other readers may cut what they read, or read what Pillow does not.
    return picture._replace(width=image.shape[1], height=len(image), fault="")


def _orientation(image: Image.Image, data: bytes) -> int:
    # OpenCV turns TIFF files whatever it is told, and Pillow gives the turned size.
    if image.format == "TIFF":
        return 1
    if "exif" not in image.info and b"eXIf" in data:
        # Behind the pixels of a PNG.
        image.load()
    exif = Image.Exif()
    exif.load(image.info.get("exif", b""))
    return int(exif.get(ExifTags.Base.Orientation, 1))


def _bits(image: Image.Image, data: bytes) -> int:
    # Pillow tells of grey pictures only.
    if image.format == "PNG":
        return max(8, data[24])
    if image.format == "TIFF":
        return max(8, *image.tag_v2.get(BITS_PER_SAMPLE, (8,)))  # type: ignore[attr-defined]
    return 32 if image.mode == "F" else 16 if image.mode.startswith("I") else 8


def each_image(function: Callable[[Path], _T], paths: Iterable[Path]) -> dict[Path, _T]:
    """Return a function's results for image files, each once, by several threads; a terminal shows the progress."""
    unique = list(dict.fromkeys(paths))
    chunks = [unique[i : i + CHUNK] for i in range(0, len(unique), CHUNK)]
    console = Console(stderr=True)
    with ThreadPoolExecutor(min(16, 2 * (os.cpu_count() or 1))) as pool:
        done = pool.map(lambda chunk: [function(path) for path in chunk], chunks)
        bar = track(done, "images", len(chunks), console=console, transient=True, disable=not console.is_terminal)
        return dict(zip(unique, (result for chunk in bar for result in chunk), strict=True))


def known_pictures(folder: Path, paths: Iterable[Path]) -> dict[Path, Picture]:
    """Return the facts of pictures below a folder; those whose size and time are the same as before are not read again.

    They are remembered in the user's cache folder (``$XDG_CACHE_HOME``, else ``~/.cache``), below ``poserep/pictures``.
    """
    place = folder.absolute()
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    file = caches / "poserep/pictures" / f"{hashlib.sha256(str(place).encode()).hexdigest()[:16]}.json"
    known = _remembered(file)
    unique = list(dict.fromkeys(paths))
    states = {path: _state(path) for path in unique}
    names = {path: os.path.relpath(path.absolute(), place) for path in unique}
    fresh = [path for path in unique if known.get(names[path], (None,))[0] != states[path]]
    if len(fresh) >= MANY:
        print(f"reading {len(fresh)} pictures of {folder}, to know them again", file=sys.stderr, flush=True)
    read = each_image(read_picture, fresh)
    if read:
        # A missing file has no state.
        known |= {names[path]: [states[path], picture] for path, picture in read.items() if states[path]}
        content = {"version": INDEX_VERSION, "folder": str(place), "pictures": known}
        try:
            write_text(file, json.dumps(content, separators=(",", ":")))
        except OSError as error:
            print(f"note: {file} cannot be written ({error.strerror}): pictures are read again", file=sys.stderr)
    return {path: read[path] if path in read else Picture(*known[names[path]][1]) for path in unique}


def _state(path: Path) -> list[int]:
    try:
        stat = path.stat()
    except OSError:
        return []
    return [stat.st_size, stat.st_mtime_ns]


def _remembered(file: Path) -> dict[str, list]:
    try:
        content = json.loads(file.read_text())
        return content["pictures"] if content["version"] == INDEX_VERSION else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def digest_of(folder: Path, pictures: Mapping[Path, Picture]) -> str:
    """Return the hash of the existing pictures, by name below the folder and by content; empty if there are none."""
    lines = sorted(f"{os.path.relpath(path, folder)} {picture.digest}" for path, picture in pictures.items())
    there = "\n".join(line for line in lines if not line.endswith(" "))
    return hashlib.sha256(there.encode()).hexdigest()[:12] if there else ""
