"""HUMAN4D's depth cameras: their images, their calibration, and the pixel at which they see a point."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from poserep.data.json_fields import read_json
from poserep.errors import InputError
from poserep.geometry import Size

# Sizes: of the files, of their middle rows that are used, and of the images that the intrinsics are for.
FULL, CROPPED, CALIBRATED = Size(180, 320), Size(160, 320), "1280x720"
SCALE = 4  # calibrated px per image px
ROWS = (FULL.height - CROPPED.height) // 2  # rows cut off at the top and at the bottom
METRES, FAR = 1e-4, 7.0  # metres per raw value; depth, m, from which on values mean nothing
_NEAR = 1.0  # mm; closer points have no place in the image

Projection = Literal["exact", "published"]

_GAP = rb"(?:\s|#[^\r\n]*[\r\n])+"
_HEADER = re.compile(rb"(P[25])" + 3 * (_GAP + rb"([0-9]{1,9})") + rb"\s")


def read_depth(path: Path) -> np.ndarray:
    """Read a depth image, a PGM of 320x180 px in ASCII (P2, as published) or binary (P5), as the study does.

    Returns the middle rows (160, 320) float32 in metres: raw values x 1e-4; 0 where nothing was measured, or 7 m and
    more. A file that is missing, cut short or no such image raises an `InputError`.
    """
    from poserep.data.image_files import read_bytes  # here, as it brings OpenCV along, which no loader needs

    data = read_bytes(path)
    header = _HEADER.match(data)
    if header is None:
        raise InputError(f"depth image {path} is no PGM: it does not begin with P2 or P5, width, height and maximum")
    width, height, maximum = (int(number) for number in header.groups()[1:])
    if (height, width) != FULL:
        raise InputError(f"depth image {path} has {width}x{height} px (width x height), not {FULL.width}x{FULL.height}")
    if not 0 < maximum < 2**16:
        raise InputError(f"depth image {path} has the maximum {maximum}; a PGM's lies in 1..65535")
    body = data[header.end() :]
    kind = np.dtype(">u2" if maximum > 255 else "u1")
    binary = header[1] == b"P5"
    raw = np.frombuffer(body, kind, len(body) // kind.itemsize) if binary else _ascii(body, path)
    count = width * height
    if len(raw) < count:
        raise InputError(f"depth image {path} is cut short: {len(raw)} of {count} values; copy it again")
    if len(raw) > count and not binary:
        raise InputError(f"depth image {path} has {len(raw)} values for {count} px; copy it again")
    raw = raw[:count]
    if raw.max() > maximum:
        raise InputError(f"depth image {path} has the value {raw.max()} above its maximum {maximum}")
    depth = raw.reshape(FULL)[ROWS:-ROWS].astype(np.float32) * np.float32(METRES)
    depth[depth >= FAR] = 0
    return depth


def _ascii(body: bytes, path: Path) -> np.ndarray:
    if b"#" in body:
        body = re.sub(rb"#[^\r\n]*", b"", body)
    # NumPy would stop in silence where something else stands.
    strange = body.translate(None, b"0123456789 \t\r\n\v\f")
    if strange:
        raise InputError(f"depth image {path} holds {strange[:10]!r} among its numbers; copy it again")
    return np.fromstring(body, np.int64, sep=" ") if body.strip() else np.empty(0, np.int64)


class DepthCamera:
    """Position and projection of a depth camera.

    A point p in the camera's coordinates lies at rotation p + position: ``rotation`` (3, 3) leads from the camera's
    axes to the world's, ``position`` (3,) is in mm. The file ``<device>.extrinsics`` has three rows of the rotation,
    then the position. ``intrinsics`` are [[fx, 0, cx], [0, fy, cy], [0, 0, 1]], px of 1280x720.
    """

    def __init__(self, extrinsics: Path, intrinsics: np.ndarray) -> None:
        try:
            numbers = np.array([float(word) for word in extrinsics.read_text().split()])
        except (OSError, ValueError) as error:
            raise InputError(
                f"extrinsics {extrinsics} cannot be read ({error}); HUMAN4D has one file per subject and device in "
                "<subject>/pose, 12 numbers"
            ) from error
        finite = np.isfinite(numbers).sum()
        if not len(numbers) == finite == 12:
            raise InputError(
                f"extrinsics {extrinsics} hold {finite} finite numbers, not 12: three rows of the rotation, then the "
                "translation in mm"
            )
        rotation, position = numbers[:9].reshape(3, 3), numbers[9:]
        if not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-2) or np.linalg.det(rotation) < 0:
            raise InputError(f"extrinsics {extrinsics}: the first three rows are no rotation, {rotation.tolist()}")
        self.rotation, self.position, self.intrinsics = rotation, position, intrinsics

    def pixels(self, points: np.ndarray, project: Projection = "exact") -> tuple[np.ndarray, np.ndarray]:
        """Return where points (..., 3), mm in the world, lie in the image that `read_depth` returns.

        An image px covers 4 x 4 calibrated px. With pixels' centres at integers, as the cameras' makers and we count,
        u becomes (u + 0.5) / 4 - 0.5 (``exact``). The study divides by 4 and takes centres to lie at i + 0.5, which is
        u / 4 - 0.5 here, an eighth of a pixel less (``published``).

        Returns image px (..., 2), 0 for points behind the camera, and which points (...) lie before it and in the
        image.
        """
        # Not the transpose, as rotations in files are rounded.
        local = (points - self.position) @ np.linalg.inv(self.rotation).T
        front = local[..., 2] > _NEAR
        local = np.where(front[..., None], local, (0.0, 0.0, 1.0))
        calibrated = (local / local[..., 2:]) @ self.intrinsics[:2].T - (0, SCALE * ROWS)
        xy = (calibrated + 0.5) / SCALE - 0.5 if project == "exact" else calibrated / SCALE - 0.5
        inside = (xy >= -0.5) & (xy < np.array([CROPPED.width, CROPPED.height]) - 0.5)
        return np.where(front[..., None], xy, 0.0), front & inside.all(-1)


def read_intrinsics(path: Path, devices: Sequence[str]) -> dict[str, np.ndarray]:
    """Read the devices' depth intrinsics (3, 3) at 1280x720 px from ``device_repository.json``.

    The file is a list of objects with ``Device`` and ``Depth Intrinsics``, a mapping from resolution to 9 numbers, row
    by row, flat or nested, or a list of such mappings, as published.
    """
    records = read_json(path, "device repository")
    if not isinstance(records, list) or not all(isinstance(r, dict) and "Device" in r for r in records):
        raise InputError(f"device repository {path} must be a list of objects with Device and Depth Intrinsics")
    by_device = {str(record["Device"]): record for record in records}
    missing = [device for device in devices if device not in by_device]
    if missing:
        raise InputError(f"device repository {path} lacks {missing}; it has {sorted(by_device)}: set data's devices")
    return {device: _matrix(by_device[device], f"device repository {path}: {device}") for device in devices}


def _matrix(record: dict[str, Any], where: str) -> np.ndarray:
    given = record.get("Depth Intrinsics")
    tables = [table for table in (given if isinstance(given, list) else [given]) if isinstance(table, dict)]
    numbers = next((table[CALIBRATED] for table in tables if CALIBRATED in table), None)
    if numbers is None:
        raise InputError(f"{where} has no Depth Intrinsics for {CALIBRATED}; it has {[sorted(t) for t in tables]}")
    try:
        matrix = np.asarray(numbers, np.float64).reshape(3, 3)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{where}: Depth Intrinsics {numbers} are not 9 numbers") from error
    focal = np.diag(matrix)[:2]
    if not np.isfinite(matrix).all() or (focal <= 0).any() or matrix[1, 0] != 0 or matrix[2].tolist() != [0, 0, 1]:
        raise InputError(
            f"{where}: Depth Intrinsics {matrix.tolist()} are not [[fx, 0, cx], [0, fy, cy], [0, 0, 1]], row by row"
        )
    return matrix
