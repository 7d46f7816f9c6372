"""A cache of decoded photographs on disk, from which crops are cut without decoding again."""

import hashlib
import os
import struct
import warnings
from pathlib import Path

import cv2
import numpy as np

from poserep.data.image_files import PhotographReader, read_bytes, read_image
from poserep.errors import InputError
from poserep.files import replacing

# Header of an entry: format and version; hash; height; width.
HEAD = struct.Struct("<8s16sII")
_MARK = b"pixels 1"
# Rows that share a checksum, the unit of reading; 8 rows of any width are a whole number of 64-bit words.
BAND = 8
DECODER = f"cv2 {cv2.__version__}".encode()[:16]
# Bytes on disk for which the ledger file has one byte.
UNIT = 1 << 16


class ImageCache:
    """Keeps all pixels of photographs, so that crops are the same to the last bit with and without it.

    Whole photographs need less room than one region per person with all that augmentation may show, and boxes, sizes
    and augmentations share them. Only the rows of a crop are read.

    An entry's name is the hash of the image file's bytes, of the decoder's version, as another version may round
    differently, and of the reader's options. Entries appear whole or not at all, whatever the number of processes that
    write at once; damaged ones are detected by checksums and written anew. Once the limit is reached nothing is added
    or removed: an epoch visits all samples in turn, so removing the oldest entries would leave it none to reuse.

    Args:
        folder: Folder on a local disk; made if missing. Delete it to free its room.
        limit_gb: Limit for all entries together, in 10^9 bytes.
        read: Decodes the photographs; readers of other orientations or ranges have their own entries.
    """

    def __init__(self, folder: str | Path, limit_gb: float, read: PhotographReader = read_image) -> None:
        if not limit_gb > 0:
            raise InputError(f"cache of {limit_gb} GB: give a positive limit, or trainer.cache=null for no cache")
        self.limit = int(limit_gb * 1e9)
        self.folder, self.read = Path(folder), read
        # Empty for files as they are.
        options = [read.orientation] * (read.orientation == "upright") + [*(read.range or ())]
        self._options = " ".join(map(str, options)).encode()
        self._ledger = self.folder / "ledger"
        self._adding = True
        self._buffer = np.empty(0, np.uint8)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"cache folder {folder} cannot be made ({error.strerror}); choose another") from error

    def rows(self, path: Path, top: int, bottom: int) -> tuple[np.ndarray, int]:
        """Return at least rows ``top`` to ``bottom`` (exclusive, may lie outside the image) of a photograph.

        They are (H, W, 3) uint8, RGB, which the next call may overwrite, and come with the number of the first row.
        """
        data = read_bytes(path)
        digest = hashlib.blake2b(data, digest_size=16, key=self._options, person=DECODER).digest()
        name = digest.hex()
        entry = self.folder / name[:2] / name[2:]
        cached = self._read(entry, digest, top, bottom)
        if cached is not None:
            return cached
        if not self._adding or self.used() + UNIT > self.limit:
            return self.read.decode(data, path, bottom), 0
        image = self.read.decode(data, path)
        self._write(entry, digest, image)
        return image, 0

    def used(self) -> int:
        """Return the bytes that all entries take, rounded up to units."""
        try:
            return self._ledger.stat().st_size * UNIT
        except FileNotFoundError:
            return 0

    def _read(self, entry: Path, digest: bytes, top: int, bottom: int) -> tuple[np.ndarray, int] | None:
        try:
            with entry.open("rb", buffering=0) as file:
                mark, owner, height, width = HEAD.unpack(file.read(HEAD.size))
                bands, band = -(-height // BAND), BAND * 3 * width
                whole = os.fstat(file.fileno()).st_size == HEAD.size + bands * (8 + band)
                if mark != _MARK or owner != digest or not (whole and bands and width):
                    return None
                sums = np.frombuffer(file.read(8 * bands), np.uint64)
                first = min(max(top, 0) // BAND, bands - 1)
                last = max(first + 1, min(-(-bottom // BAND), bands))
                file.seek(HEAD.size + 8 * bands + first * band)
                size = (last - first) * band
                if len(self._buffer) < size:
                    # Kept between calls, as fresh memory costs a page fault for each page.
                    self._buffer = np.empty(size, np.uint8)
                pixels = self._buffer[:size]
                file.readinto(pixels.data)
        except (OSError, struct.error):
            return None
        if not np.array_equal(_sums(pixels, last - first), sums[first:last]):
            return None
        above = first * BAND
        return pixels.reshape(-1, width, 3)[: height - above], above

    def _write(self, entry: Path, digest: bytes, image: np.ndarray) -> None:
        height, width = image.shape[:2]
        bands = -(-height // BAND)
        padded = np.zeros((bands * BAND, width, 3), np.uint8)
        padded[:height] = image
        sums = _sums(padded.reshape(-1), bands)
        try:
            if not entry.exists() and not self._reserve(HEAD.size + sums.nbytes + padded.nbytes):
                return
            with replacing(entry) as partial, partial.open("wb") as file:
                file.write(HEAD.pack(_MARK, digest, height, width))
                file.write(sums.data)
                file.write(padded.data)
        except OSError as error:
            self._adding = False
            warnings.warn(f"cache {self.folder}: nothing more is added ({error.strerror})", stacklevel=2)

    def _reserve(self, size: int) -> bool:
        """Book room for an entry: each process appends to the ledger, and its length then says who came first."""
        units = -(-size // UNIT)
        if self.used() + units * UNIT > self.limit:
            return False
        with self._ledger.open("ab", buffering=0) as ledger:
            ledger.write(bytes(units))
            return ledger.tell() * UNIT <= self.limit


def _sums(pixels: np.ndarray, bands: int) -> np.ndarray:
    return pixels.view(np.uint64).reshape(bands, -1).sum(1, dtype=np.uint64)
