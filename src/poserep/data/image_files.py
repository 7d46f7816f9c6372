"""Photographs in files: decoded to pixels, a JPEG only down to the last row that is needed, and written."""

from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from math import isfinite
from pathlib import Path
from typing import Literal, get_args

import cv2
import numpy as np

from poserep.errors import InputError, check_choice
from poserep.files import replacing

Orientation = Literal["refuse", "stored", "upright"]
_FLAGS = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_ANYDEPTH
TIFF_STARTS = (b"II*\0", b"MM\0*")
# First bytes of PNG and WebP, the formats beside JPEG and TIFF that OpenCV turns.
TURNED_STARTS = (b"\x89PNG", b"RIFF")
# What stands before the EXIF data of a JPEG.
EXIF = b"Exif\0\0"
JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"
# Markers of a JPEG file: frames whose rows are coded in order, start of scan, restart interval, application data 2.
SEQUENTIAL, SCAN, RESTARTS, APP2 = (0xC0, 0xC1), 0xDA, 0xDD, 0xE2
# Rows: at the end of a shortened image, where interpolated chroma can differ for want of the rows below; and in the
# tallest block that is coded together.
MARGIN, BLOCK = 8, 32


@dataclass(frozen=True)
class PhotographReader:
    """Reads photographs as (H, W, 3) uint8, RGB.

    Attributes:
        orientation: ``upright`` turns pixels as the EXIF orientation says; ``stored`` ignores it, as COCO's annotations
            do, and so does ``refuse``, with which files of another orientation than 1 are refused before they are read.
        range: The values that become 0 and 255 of files with more than 8 bits, such as (0, 4095) of a 12-bit camera;
            those beyond are clipped. None refuses such files. Files of 8 bits stay as they are.

    Another orientation, and a range that is not two increasing numbers, are an `InputError`.
    """

    orientation: Orientation = "refuse"
    range: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        check_choice("data.orientation", self.orientation, get_args(Orientation))
        if self.range is None:
            return
        try:
            low, high = map(float, self.range)
        except (TypeError, ValueError):
            low, high = 0.0, 0.0
        if not (low < high and isfinite(high - low)):
            raise InputError(
                f"data.range={self.range} is not two increasing numbers, the values that become black and white, as in "
                "data.range=[0,4095]"
            )
        object.__setattr__(self, "range", (low, high))

    def __call__(self, path: Path) -> np.ndarray:
        """Read an image file; one that is missing, damaged or refused raises an `InputError`."""
        return self.decode(read_bytes(path), path)

    def decode(self, data: bytes, path: Path, rows: int | None = None) -> np.ndarray:
        """Decode the bytes of an image, or at least its first ``rows`` rows if that is given.

        A JPEG is coded from top to bottom, so that what lies below a person need not be decoded; the rows above are the
        same to the last bit. Bytes that are no image, or are cut short, raise an `InputError` that names ``path``.
        """
        # OpenCV silently fills what is missing of a JPEG with grey. A whole file has its end mark behind the start of
        # its last scan.
        if data[:2] == JPEG_START and data[-2:] != JPEG_END and data.rfind(JPEG_END) < data.rfind(bytes((0xFF, SCAN))):
            raise InputError(f"image {path} is cut short ({len(data)} bytes, no end mark); copy it again")
        upright = self.orientation == "upright"
        # OpenCV cannot make colours of a grey TIFF of single precision.
        tiff = data[:4] in TIFF_STARTS
        flags = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH if tiff else _FLAGS
        flags |= 0 if upright else cv2.IMREAD_IGNORE_ORIENTATION
        # The upper rows of a turned picture are not those of its file.
        short = shorten_jpeg(data, rows + MARGIN) if rows is not None and not (upright and EXIF in data) else None
        image = cv2.imdecode(np.frombuffer(short, np.uint8), flags) if short else None
        if image is None and data:
            image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
        if image is None:
            raise InputError(f"image {path} is not a readable image ({len(data)} bytes)")
        if tiff:
            image = np.ascontiguousarray(image[..., ::-1] if image.ndim == 3 else np.dstack([image] * 3))
        elif upright and data[:4] not in TURNED_STARTS and data[:2] != JPEG_START:
            image = _turned(data, image)
        return image if image.dtype == np.uint8 else self._bytes(image, path)

    def _bytes(self, image: np.ndarray, path: Path) -> np.ndarray:
        if self.range is None:
            low, high = image.min(), image.max()
            raise InputError(
                f"image {path} has {8 * image.itemsize} bits, here with values from {low:g} to {high:g}; say which "
                "become black and white: data.range=[0,4095] for 12 bits (of predict: --range 0,4095)"
            )
        low, high = self.range
        return np.clip(np.rint((image.astype(np.float64) - low) * (255 / (high - low))), 0, 255).astype(np.uint8)


def _turned(data: bytes, image: np.ndarray) -> np.ndarray:
    """Return the pixels of a file whose format OpenCV does not turn, AVIF among them, as its EXIF orientation says."""
    from PIL import ExifTags, Image, ImageOps  # here, as hardly any file needs it

    with suppress(OSError, ValueError, SyntaxError), Image.open(BytesIO(data)) as opened:
        if opened.getexif().get(ExifTags.Base.Orientation, 1) != 1:
            return np.asarray(ImageOps.exif_transpose(opened).convert("RGB"))
    return image


read_image = PhotographReader()


def read_bytes(path: Path) -> bytes:
    """Return the bytes of an image file, or raise an `InputError` if it cannot be read."""
    try:
        # Unbuffered takes half the time of Path.read_bytes.
        with path.open("rb", buffering=0) as file:
            return file.read()
    except OSError as error:
        raise InputError(f"image {path} cannot be read ({error.strerror}); check its name and folder") from error


def shorten_jpeg(data: bytes, rows: int) -> bytearray | None:
    """Return a JPEG whose header says that it has ``rows`` rows, or None if that saves nothing or is not possible.

    The end mark is dropped, since decoders warn about data that they find before it. It is not possible for files with
    several scans (progressive), with restart marks, or with further pictures behind the first.
    """
    if data[:2] != JPEG_START or data[-2:] != JPEG_END:
        return None
    at, height_at, parts = 2, 0, 0
    while at + 9 < len(data) and data[at] == 0xFF:
        mark, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4])
        if mark in SEQUENTIAL:
            height_at, parts = at + 5, data[at + 9]
        elif mark == RESTARTS or (mark == APP2 and data[at + 4 : at + 8] == b"MPF\0"):
            return None
        elif mark == SCAN:
            break
        at += 2 + length
    else:
        return None
    height = int.from_bytes(data[height_at : height_at + 2])
    if not height_at or data[at + 4] != parts or rows + BLOCK > height:
        return None
    short = bytearray(memoryview(data)[:-2])
    short[height_at : height_at + 2] = rows.to_bytes(2)
    return short


def write_jpeg(path: Path, image: np.ndarray, quality: int = 93) -> None:
    """Write an RGB image (H, W, 3) as JPEG."""
    _, code = cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, quality])
    with replacing(path) as partial:
        partial.write_bytes(code.tobytes())
