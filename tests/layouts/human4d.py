"""Draw a tiny copy of HUMAN4D (Chatzitofis et al. 2020): depth images of one person in four views, with 3D joints."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from poserep.data.synthetic.body import dressed
from poserep.data.synthetic.camera import PinholeCamera, look_at
from poserep.data.synthetic.clothes import Look
from poserep.data.synthetic.files import DRAWING_VERSION, once, write_packed
from poserep.data.synthetic.poses import sample_pose
from poserep.data.synthetic.props import Stage, seat
from poserep.data.synthetic.raycast import RayHits, Surface
from poserep.data.synthetic.skeleton3d import Figure, Proportions
from poserep.data.synthetic.world import Array, Rng, rot_x

from .public_sets import rng_of

_DEVICES = ("M72e", "M72h", "M72i", "M72j")
# Recordings of each subject: name, list, and by how many frames its depth images run ahead of its poses.
_RECORDINGS = {
    "S1": (("19-07-12-07-32-22", "training", 3),),
    "S4": (("19-07-11-16-04-40", "validation", 0), ("19-07-11-16-13-35", "testing", 2)),
}
_FIRST, _STEP = 101, 5
_WIDTH, _HEIGHT = 320, 180
# Calibrated pixels (1280x720) in one of a depth image.
_SHRINK = 4
_RAW = 1e4  # raw values per metre
_MOST = 2**16 - 1
# The joints of the motion capture: a joint of the figure, or a point between two, as share of the way to the second.
_ARM = (
    ("neck", "{}_shoulder", 0.4), ("{}_shoulder", "{}_elbow", 0.0), ("{}_elbow", "{}_wrist", 0.0),
    ("{}_wrist", "{}_fingers", 0.0), ("{}_wrist", "{}_fingers", 0.5), ("{}_wrist", "{}_fingers", 1.0),
)  # fmt: skip
_LEG = (
    ("{}_hip", "{}_knee", 0.0), ("{}_knee", "{}_ankle", 0.0), ("{}_ankle", "{}_toe", 0.0),
    ("{}_ankle", "{}_toe", 0.4), ("{}_ankle", "{}_toe", 0.75), ("{}_ankle", "{}_toe", 1.0),
)  # fmt: skip
_TRUNK = (
    ("pelvis", "pelvis", 0.0), ("waist", "chest", 0.0), ("chest", "neck", 0.0), ("chest", "neck", 0.33),
    ("chest", "neck", 0.67), ("neck", "head", 0.0), ("neck", "head", 0.33), ("neck", "head", 0.67),
    ("head", "crown", 0.0),
)  # fmt: skip
_LIMBS = [(limb, side) for limb in (_ARM, _LEG) for side in ("right", "left")]
_VICON = (*_TRUNK, *((a.format(side), b.format(side), share) for limb, side in _LIMBS for a, b, share in limb))


def vicon_joints(figure: Figure) -> Array:
    """Return all joints (33, 3) of the motion capture, metres in the world."""
    first, second, share = zip(*_VICON, strict=True)
    start, end = (np.stack([figure.joints[name] for name in names]) for names in (first, second))
    return start + (end - start) * np.array(share)[:, None]


def _intrinsics(seed: int) -> dict[str, list[float]]:
    """Draw each device's fx 0 cx 0 fy cy 0 0 1 for 1280x720 px; pixels' centres lie at integers."""
    rows = rng_of(seed, "human4d").uniform((880.0, 630.0, 352.0), (930.0, 650.0, 368.0), (len(_DEVICES), 3)).round(3)
    numbers = ([f, 0.0, x, 0.0, f, y, 0.0, 0.0, 1.0] for f, x, y in rows.tolist())
    return dict(zip(_DEVICES, numbers, strict=True))


def _cameras(rng: Rng, intrinsics: dict[str, list[float]]) -> dict[str, PinholeCamera]:
    """Draw the cameras of the depth images, whose pixels are four calibrated ones wide: their borders agree."""
    cameras = {}
    for turn, (device, (focal, _, cx, _, _, cy, *_)) in enumerate(intrinsics.items()):
        angle, distance = np.radians(45 + 90 * turn + rng.uniform(-10, 10)), rng.uniform(3.0, 3.4)
        place = np.array([distance * np.sin(angle), rng.uniform(0.9, 1.4), distance * np.cos(angle)])
        view = look_at(place, np.array([0.0, 0.9, 0.0]), float(rng.normal(0.0, 1.0)))
        x, y = ((c + 0.5) / _SHRINK - 0.5 for c in (cx, cy))
        cameras[device] = PinholeCamera(*view, focal / _SHRINK, x, y, _WIDTH, _HEIGHT)
    return cameras


def _scene(rng: Rng, body: Proportions, look: Look) -> tuple[Figure, list[Surface]]:
    """Draw someone about the middle of an empty floor, on a seat if need be."""
    stage = Stage()
    x, z = rng.uniform(-0.15, 0.15, 2).tolist()
    figure = Figure(body, sample_pose(rng, "easy"), float(rng.uniform(0.0, 360.0)), (x, z))
    first = stage.add(*look.materials)
    stage.surfaces += dressed(figure, look, first, 0)
    if figure.pose.seated:
        seat(stage, rng, figure)
    floor = Surface(np.zeros(3), np.zeros(3), rot_x(-90.0), 0.0, 0.0, first, half=(4.0, 4.0))
    return figure, [*stage.surfaces, floor]


def _write_depth(path: Path, surfaces: list[Surface], camera: PinholeCamera) -> None:
    """Write 0.1 mm along the optical axis as text PGM, 0 where nothing is or no 16 bits tell how far."""
    metres = RayHits(surfaces, camera, 1).depth.astype(np.float64)
    raw = np.rint(np.where(metres * _RAW < _MOST, metres, 0.0) * _RAW).astype(np.int64)
    np.savetxt(path, raw, "%d", header=f"P2\n{_WIDTH} {_HEIGHT}\n{_MOST}", comments="")


def _fill(frames: int, seed: int, folder: Path) -> dict[str, Any]:
    intrinsics = _intrinsics(seed)
    devices = [{"Device": name, "Depth Intrinsics": [{"1280x720": numbers}]} for name, numbers in intrinsics.items()]
    write_packed(folder / "device_repository.json", devices)
    for subject, recordings in _RECORDINGS.items():
        rng = rng_of(seed, subject)
        body = Proportions(rng)
        look, cameras = Look(rng, body), _cameras(rng, intrinsics)
        (folder / subject / "pose").mkdir(parents=True)
        for device, camera in cameras.items():
            rows = np.vstack([camera.rotation.T, 1000 * camera.position])
            np.savetxt(folder / subject / "pose" / f"{device}.extrinsics", rows, "%.12g")
        offsets = "".join(f"{recording}\t{offset}\n" for recording, _, offset in recordings)
        (folder / subject / "offsets.txt").write_text(offsets, encoding="ascii")
        for recording, listed, offset in recordings:
            dump = folder / subject / recording / "Dump"
            for name in ("depth", "gposes3d"):
                (dump / name).mkdir(parents=True)
            shown = [_FIRST + _STEP * index + offset for index in range(frames)]
            for index, frame in enumerate(shown):
                figure, surfaces = _scene(rng_of(seed, subject + recording, index), body, look)
                np.save(dump / "gposes3d" / f"{frame - offset}.npy", 1000 * vicon_joints(figure)[None])
                for device, camera in cameras.items():
                    _write_depth(dump / "depth" / f"{frame}_{device}_depth_{33 * frame}.pgm", surfaces, camera)
            lines = "".join(f"{frame} {subject} {recording}\n" for frame in shown)
            (folder / f"{listed}.txt").write_text(lines, encoding="ascii")
    return {"frames": frames, "seed": seed, "version": DRAWING_VERSION}


def generate_human4d(root: str | Path, frames: int = 4, seed: int = 0) -> Path:
    """Write HUMAN4D's files once (a second call returns at once) and return their folder, made below ``root``.

    They are laid out as `poserep.data.loaders.human4d.load_human4d` describes, with ``frames`` frames per recording in
    four views: subject ``S1`` has one recording (``training.txt``), ``S4`` two (``validation.txt``, ``testing.txt``).
    Depth is what the ray caster measures along the optical axis. Pixels' centres lie at integers in the images and in
    the calibration, so u of 1280x720 is (u + 0.5) / 4 - 0.5 in an image. All choices follow from ``seed``.
    """
    return once(root, f"human4d-{frames}-s{seed}", partial(_fill, frames, seed))
