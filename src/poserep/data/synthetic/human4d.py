"""A tiny copy of HUMAN4D (Chatzitofis et al. 2020): depth images of one person in four views, with 3D joints.

The world's y points up, as everywhere here, with the floor at 0. Camera axes are x right, y down, z forward.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from poserep.data.synthetic.body import person_parts
from poserep.data.synthetic.camera import Camera, look_at
from poserep.data.synthetic.files import VERSION, check_counts, once, rng_of, write_json
from poserep.data.synthetic.parallel import pool_of
from poserep.data.synthetic.poses import sample_pose
from poserep.data.synthetic.props import Stage, seat
from poserep.data.synthetic.raster import Part, cast, part_table
from poserep.data.synthetic.scene import Rng
from poserep.data.synthetic.skeleton3d import Array, Figure, Proportions, forward, rot_x, sample_proportions
from poserep.data.synthetic.wardrobe import Look, sample_look

DEVICES = ("M72e", "M72h", "M72i", "M72j")
# Subject, recording, list, and by how many frames its depth images run ahead of its poses.
_RECORDINGS = (
    ("S1", "19-07-12-07-32-22", "training", 3),
    ("S4", "19-07-11-16-04-40", "validation", 0),
    ("S4", "19-07-11-16-13-35", "testing", 2),
)
_FIRST, _STEP = 101, 5
_WIDTH, _HEIGHT, _SHRINK = 320, 180, 4
_RAW = 1e4  # per metre
# All of VICON's joints: a joint of the figure, or a point between two of them, as share of the way to the second.
_VICON: tuple[tuple[str, str, float], ...] = (
    ("pelvis", "pelvis", 0.0), ("waist", "chest", 0.0), ("chest", "neck", 0.0), ("chest", "neck", 0.33),
    ("chest", "neck", 0.67), ("neck", "head", 0.0), ("neck", "head", 0.33), ("neck", "head", 0.67),
    ("head", "crown", 0.0),
    *(
        joint
        for side in ("right", "left")
        for joint in (
            ("neck", f"{side}_shoulder", 0.4), (f"{side}_shoulder", f"{side}_elbow", 0.0),
            (f"{side}_elbow", f"{side}_wrist", 0.0), (f"{side}_wrist", f"{side}_fingers", 0.0),
            (f"{side}_wrist", f"{side}_fingers", 0.5), (f"{side}_wrist", f"{side}_fingers", 1.0),
        )
    ),
    *(
        joint
        for side in ("right", "left")
        for joint in (
            (f"{side}_hip", f"{side}_knee", 0.0), (f"{side}_knee", f"{side}_ankle", 0.0),
            (f"{side}_ankle", f"{side}_toe", 0.0), (f"{side}_ankle", f"{side}_toe", 0.4),
            (f"{side}_ankle", f"{side}_toe", 0.75), (f"{side}_ankle", f"{side}_toe", 1.0),
        )
    ),
)  # fmt: skip


def vicon_joints(figure: Figure) -> Array:
    """All joints (33, 3) of the motion capture, metres in the world."""
    first, second, share = zip(*_VICON, strict=True)
    start, end = (np.stack([figure.joints[name] for name in names]) for names in (first, second))
    return start + (end - start) * np.array(share)[:, None]


def _intrinsics(seed: int) -> dict[str, list[float]]:
    """Each device's fx 0 cx 0 fy cy 0 0 1 for 1280x720 px; pixels' centres lie at integers."""
    rows = rng_of(seed, "human4d").uniform((880.0, 630.0, 352.0), (930.0, 650.0, 368.0), (len(DEVICES), 3)).round(3)
    numbers = ([f, 0.0, x, 0.0, f, y, 0.0, 0.0, 1.0] for f, x, y in rows.tolist())
    return dict(zip(DEVICES, numbers, strict=True))


def _cameras(rng: Rng, intrinsics: dict[str, list[float]]) -> dict[str, Camera]:
    """The four cameras as the depth images see: a pixel there is four calibrated ones wide, so their borders agree."""
    cameras = {}
    for turn, (device, (focal, _, cx, _, _, cy, *_)) in enumerate(intrinsics.items()):
        angle, distance = np.radians(45 + 90 * turn + rng.uniform(-10, 10)), rng.uniform(3.0, 3.4)
        place = np.array([distance * np.sin(angle), rng.uniform(0.9, 1.4), distance * np.cos(angle)])
        rotation, position = look_at(place, np.array([0.0, 0.9, 0.0]), float(rng.normal(0.0, 1.0)))
        x, y = ((c + 0.5) / _SHRINK - 0.5 for c in (cx, cy))
        cameras[device] = Camera(rotation, position, focal / _SHRINK, x, y, _WIDTH, _HEIGHT)
    return cameras


def _scene(rng: Rng, body: Proportions, look: Look) -> tuple[Figure, list[Part]]:
    """Someone about the middle of an empty floor, on a seat if need be."""
    stage = Stage()
    place = rng.uniform(-0.15, 0.15, 2).tolist()
    figure = forward(body, sample_pose(rng, "easy"), float(rng.uniform(0.0, 360.0)), (place[0], place[1]))
    first = stage.add(*look.materials)
    stage.parts += person_parts(figure, look, first, 0)
    if figure.pose.seated:
        seat(stage, rng, figure)
    return figure, [*stage.parts, Part(np.zeros(3), np.zeros(3), rot_x(-90.0), 0.0, 0.0, first, half=(4.0, 4.0))]


def _depth(parts: list[Part], camera: Camera) -> NDArray[np.int64]:
    """Raw values (180, 320): 0.1 mm along the optical axis, 0 where nothing is or no 16 bits tell how far."""
    metres = cast(part_table(parts, camera, 1), camera, 1).depth.astype(np.float64)
    return np.rint(np.where(metres * _RAW < 2**16 - 1, metres, 0.0) * _RAW).astype(np.int64)


def _write_pgm(path: Path, raw: NDArray[np.int64]) -> None:
    height, width = raw.shape
    rows = (" ".join(map(str, row)) for row in raw.tolist())
    path.write_text("\n".join(["P2", f"{width} {height}", str(2**16 - 1), *rows]) + "\n", encoding="ascii")


def _write_extrinsics(folder: Path, cameras: dict[str, Camera]) -> None:
    folder.mkdir(parents=True)
    for device, camera in cameras.items():
        rows = [*camera.rotation.T.tolist(), (1000 * camera.position).tolist()]
        text = "\n".join(" ".join(f"{value:.12g}" for value in row) for row in rows)
        (folder / f"{device}.extrinsics").write_text(text + "\n", encoding="ascii")


def _fill(frames: int, seed: int, folder: Path) -> dict[str, Any]:
    intrinsics = _intrinsics(seed)
    repository = [{"Device": name, "Depth Intrinsics": [{"1280x720": numbers}]} for name, numbers in intrinsics.items()]
    write_json(folder / "device_repository.json", repository)
    for subject in sorted({row[0] for row in _RECORDINGS}):
        rng = rng_of(seed, subject)
        body = sample_proportions(rng)
        look, cameras = sample_look(rng, body), _cameras(rng, intrinsics)
        _write_extrinsics(folder / subject / "pose", cameras)
        mine = [row[1:] for row in _RECORDINGS if row[0] == subject]
        offsets = "".join(f"{recording}\t{offset}\n" for recording, _, offset in mine)
        (folder / subject / "offsets.txt").write_text(offsets, encoding="ascii")
        for recording, listed, offset in mine:
            dump = folder / subject / recording / "Dump"
            for name in ("depth", "gposes3d"):
                (dump / name).mkdir(parents=True)
            lines = []
            for index in range(frames):
                frame = _FIRST + _STEP * index
                figure, parts = _scene(rng_of(seed, subject + recording, index), body, look)
                np.save(dump / "gposes3d" / f"{frame}.npy", 1000 * vicon_joints(figure)[None])
                for device, camera in cameras.items():
                    shown = frame + offset
                    _write_pgm(dump / "depth" / f"{shown}_{device}_depth_{33 * shown}.pgm", _depth(parts, camera))
                lines.append(f"{frame + offset} {subject} {recording}\n")
            (folder / f"{listed}.txt").write_text("".join(lines), encoding="ascii")
    return {"frames": frames, "seed": seed, "version": VERSION}


def generate_human4d(root: str | Path, frames: int = 4, seed: int = 0) -> Path:
    """Write HUMAN4D's files once (a second call returns at once) and return their folder.

    There are ``device_repository.json`` with the intrinsics of `DEVICES` for 1280x720 px; subjects ``S1`` (one
    recording) and ``S4`` (two) with ``pose/<device>.extrinsics`` (three rows of the rotation from the camera's axes to
    the world's, then the camera's position in mm) and ``offsets.txt`` (recording, tab, offset); in each
    ``<recording>/Dump`` the poses ``gposes3d/<frame>.npy`` (1, 33, 3) in mm, and the images
    ``depth/<frame + offset>_<device>_depth_<ms>.pgm`` of 320x180 px; and the lists ``training.txt`` (S1),
    ``validation.txt`` and ``testing.txt`` (S4), lines "frame subject recording" that count frames as the depth images
    do.

    Depth is what the ray caster measures along the optical axis. Pixels' centres lie at integers in the images and in
    the calibration, so u of 1280x720 is (u + 0.5) / 4 - 0.5 in an image.

    Args:
        root: Folder that holds the generated one; made if missing.
        frames: Frames per recording, each in four views.
        seed: Seed of every choice.

    Raises:
        InputError: If an argument is out of range.
    """
    check_counts(seed, frames=frames)
    with pool_of(0):
        return once(root, f"human4d-{frames}-s{seed}-{VERSION}", partial(_fill, frames, seed))
