"""Photographs and videos as one stream of pictures, read ahead of whoever uses them, and drawn videos."""

import os
import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

import cv2
import numpy as np

from poserep.data.image_files import write_jpeg
from poserep.errors import InputError
from poserep.files import replacing

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm")
VIDEO_ENDINGS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".ts", ".mts", ".3gp")
# Those that say how many frames they have; of others it is estimated from how long they last.
COUNTED = (".mp4", ".avi", ".mov", ".m4v", ".3gp")
# Frames a second of videos that do not say how many.
USUAL_RATE = 25.0
# The share of the frames, and for formats without a number of them the seconds, that may be missing at the end.
SHARE, SECONDS = 0.01, 1.0
_T = TypeVar("_T")

# FFmpeg, and below OpenCV, would print what they think of damaged files beside our own line.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")


class Frame(NamedTuple):
    """A picture to look at.

    Attributes:
        path: The photograph, or the video that it belongs to.
        image: (H, W, 3) uint8, RGB, or (H, W) float32, a depth in metres.
        number: Number of a video's frame, from 0 on; None for a photograph.
        rate: Frames of the video a second.
        turned: Degrees by which the frame was turned, as the video says that its camera was held.
    """

    path: Path
    image: np.ndarray
    number: int | None = None
    rate: float = 0.0
    turned: int = 0


def is_video(path: Path) -> bool:
    """Tell whether a file is a video by its name."""
    return path.suffix.lower() in VIDEO_ENDINGS


def media_given(given: Sequence[Path]) -> list[Path]:
    """Return photographs and videos, those of folders in the order of their names; anything else is an `InputError`."""
    files: list[Path] = []
    for path in given:
        text = str(path)
        if path.is_dir():
            inside = [
                file for file in sorted(path.iterdir()) if file.suffix.lower() in (*IMAGE_ENDINGS, *VIDEO_ENDINGS)
            ]
            if not inside:
                images, videos = ", ".join(IMAGE_ENDINGS), ", ".join(VIDEO_ENDINGS)
                raise InputError(f"folder {path} holds no image ({images}) and no video ({videos})")
            files += inside
        # A path has one slash where an address has two.
        elif re.match(r"\w+:/", text) and not path.exists():
            raise InputError(f"{text}: addresses are not read; fetch the file and give its path")
        elif (text.isdigit() and not path.exists()) or text.startswith("/dev/video"):
            raise InputError(f"{text}: cameras are not read; give photographs, or a video that was recorded")
        else:
            files.append(path)
    return files


def frames_of(path: Path, read: Callable[[Path], np.ndarray]) -> Iterator[Frame]:
    """Yield a photograph as ``read`` reads it, or the frames of a video.

    Files that cannot be read raise an `InputError`, a video that ends too early after its last frame.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist; give photographs, videos, or folders of them")
    if not is_video(path):
        yield Frame(path, read(path))
        return
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    video = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    try:
        video.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
        rate, promised = video.get(cv2.CAP_PROP_FPS), video.get(cv2.CAP_PROP_FRAME_COUNT)
        rate = rate if 0 < rate < 1000 else USUAL_RATE
        turned, number, last = int(video.get(cv2.CAP_PROP_ORIENTATION_META)), 0, 0.0
        while (frame := video.read())[0]:
            pixels = cv2.cvtColor(frame[1], cv2.COLOR_BGR2RGB)
            yield Frame(path, pixels, number, rate, turned)
            number, last = number + 1, video.get(cv2.CAP_PROP_POS_MSEC) / 1000
        counted = path.suffix.lower() in COUNTED
        lacking = promised - number if counted else promised - rate * (last + SECONDS)
    finally:
        video.release()
    if not number:
        raise InputError(
            f"{path} ({path.stat().st_size} bytes) cannot be read as a video; copy it again, or convert it "
            f"(ffmpeg -i {path.name} {path.stem}-converted.mp4)"
        )
    if lacking > SHARE * promised:
        raise InputError(f"{path} ends after {number} of {promised:.0f} frames: it is cut short; what was read is kept")


def read_ahead(items: Iterator[_T], most: int) -> Iterator[_T]:
    """Yield items that another thread takes from an iterator, up to ``most`` before they are asked for."""
    end = object()
    with ThreadPoolExecutor(1) as pool:
        coming = deque(pool.submit(next, items, end) for _ in range(most))
        while (item := coming.popleft().result()) is not end:
            coming.append(pool.submit(next, items, end))
            yield item  # type: ignore[misc]


@contextmanager
def drawing_to(path: Path, rate: float, width: int, height: int) -> Iterator[Callable[[np.ndarray], object]]:
    """Give a function that writes an RGB picture (H, W, 3) as JPEG, or appends it to an MP4 file of that size.

    A video appears when it is whole. Its codec needs even sides: the last column or row of others is cut off.
    """
    if not is_video(path):
        yield lambda picture: write_jpeg(path, picture)
        return
    width, height = width - width % 2, height - height % 2
    with replacing(path) as partial:
        writer = cv2.VideoWriter(str(partial), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mp4v"), rate, (width, height))
        try:
            if not writer.isOpened():
                raise InputError(f"{path}: no video of {width}x{height} px can be written there")
            yield lambda picture: writer.write(cv2.cvtColor(picture[:height, :width], cv2.COLOR_RGB2BGR))
        finally:
            writer.release()
