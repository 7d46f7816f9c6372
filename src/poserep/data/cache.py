"""Decoded photographs on disk, from which crops are cut without decoding anew."""

import hashlib
import os
import struct
import tempfile
import warnings
from pathlib import Path

import cv2
import numpy as np

from poserep.data.images import decode, read_bytes
from poserep.errors import InputError

# Mark and version of the format; hash; height, width.
HEAD = struct.Struct("<8s16sII")
MARK = b"pixels 1"
# Rows that share a checksum, so that only what is needed is read; of any number of px they are whole 64-bit words.
BAND = 8
DECODER = f"cv2 {cv2.__version__}".encode()[:16]
# The ledger has a byte for each started unit on disk.
UNIT = 1 << 16


class ImageCache:
    """Keeps the pixels of photographs, all of them, so that crops are the same to the last bit with and without it.

    Whole photographs need less room than persons with all that augmentation may show of their surroundings: for 154
    persons of 60 COCO photographs 0.32 MB a person in place of 0.40 MB with HRNet's augmentation, as several persons
    share a photograph and the surroundings of most reach its borders. And boxes, sizes and augmentations share them.
    Only the rows of a crop are read.

    An entry's name is the hash of the image file's bytes and of the decoder's version, as another may round
    differently; a changed file is never mistaken for the old one.
    Entries appear complete or not at all, whatever the number of processes that write at once. A damaged one is found
    by its checksums and written anew. When the bound is reached nothing more is added: whoever visits all samples in
    turn would, if the oldest entries went, find none.

    Args:
        folder: On a disk of this machine; made if missing. What is no longer wanted is deleted with all of it.
        limit_gb: Bound for all entries together, in 10^9 bytes.

    Raises:
        InputError: If the bound is not positive, or the folder can be neither read nor made.
    """

    def __init__(self, folder: str | Path, limit_gb: float) -> None:
        if not limit_gb > 0:
            raise InputError(f"cache of {limit_gb} GB: give a positive bound, or no folder to do without a cache")
        self.limit = int(limit_gb * 1e9)
        self.folder = Path(folder)
        self._ledger = self.folder / "ledger"
        self._adding = True
        self._buffer = np.empty(0, np.uint8)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"cache folder {folder} cannot be made ({error.strerror}); choose another") from error

    def rows(self, path: Path, top: int, bottom: int) -> tuple[np.ndarray, int]:
        """Read at least rows ``top`` to ``bottom`` (exclusive, may lie outside the image) of a photograph.

        Returns:
            (H, W, 3) uint8, RGB, which the next call may overwrite, and the number of its first row.

        Raises:
            InputError: As `read_image` does, if the photograph has to be decoded.
        """
        data = read_bytes(path)
        digest = hashlib.blake2b(data, digest_size=16, person=DECODER).digest()
        name = digest.hex()
        entry = self.folder / name[:2] / name[2:]
        found = self._read(entry, digest, top, bottom)
        if found is not None:
            return found
        if not self._adding or self._full():
            return decode(data, path, bottom), 0
        image = decode(data, path)
        self._write(entry, digest, image)
        return image, 0

    def used(self) -> int:
        """Bytes that all entries take, rounded up."""
        try:
            return self._ledger.stat().st_size * UNIT
        except FileNotFoundError:
            return 0

    def _full(self) -> bool:
        return self.used() + UNIT > self.limit

    def _read(self, entry: Path, digest: bytes, top: int, bottom: int) -> tuple[np.ndarray, int] | None:
        try:
            with entry.open("rb", buffering=0) as file:
                mark, owner, height, width = HEAD.unpack(file.read(HEAD.size))
                bands, band = -(-height // BAND), BAND * 3 * width
                whole = os.fstat(file.fileno()).st_size == HEAD.size + bands * (8 + band)
                if mark != MARK or owner != digest or not (whole and bands and width):
                    return None
                sums = np.frombuffer(file.read(8 * bands), np.uint64)
                first = min(max(top, 0) // BAND, bands - 1)
                last = max(first + 1, min(-(-bottom // BAND), bands))
                file.seek(HEAD.size + 8 * bands + first * band)
                size = (last - first) * band
                if len(self._buffer) < size:
                    # Kept, as the system hands out fresh memory page by page at a price.
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
        size = HEAD.size + 8 * bands + padded.nbytes
        try:
            entry.parent.mkdir(exist_ok=True)
            if not entry.exists() and not self._reserve(size):
                return
            handle, name = tempfile.mkstemp(dir=entry.parent)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(HEAD.pack(MARK, digest, height, width))
                    file.write(sums.data)
                    file.write(padded.data)
                Path(name).replace(entry)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
        except OSError as error:
            self._adding = False
            warnings.warn(f"cache {self.folder}: nothing more is added ({error.strerror})", stacklevel=2)

    def _reserve(self, size: int) -> bool:
        """Book room for an entry; every process appends to the ledger and learns from its length who came first."""
        units = -(-size // UNIT)
        if self.used() + units * UNIT > self.limit:
            return False
        with self._ledger.open("ab", buffering=0) as ledger:
            ledger.write(bytes(units))
            return ledger.tell() * UNIT <= self.limit


def _sums(pixels: np.ndarray, bands: int) -> np.ndarray:
    return pixels.view(np.uint64).reshape(bands, -1).sum(1, dtype=np.uint64)
