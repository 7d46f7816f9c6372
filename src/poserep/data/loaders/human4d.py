"""The loader of HUMAN4D (Chatzitofis et al. 2020), single-person depth part: 3D poses projected into four views."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from tokenize import TokenError
from typing import get_args

import numpy as np

from poserep.data.json_fields import Invalid, abridged
from poserep.data.loaders.human4d_cameras import CROPPED, DepthCamera, Projection, read_intrinsics
from poserep.errors import InputError, check_choice
from poserep.instances import Instance, Tally
from poserep.skeleton import HUMAN4D, Skeleton

DEVICES = ("M72e", "M72h", "M72i", "M72j")
# The positions of the skeleton's joints among all of VICON's.
VICON_JOINTS = np.array([0, 2, 5, 8, 10, 11, 12, 16, 17, 18, 21, 22, 23, 25, 27, 28, 29, 31])
_WHOLE = np.array([0.0, 0.0, CROPPED.width, CROPPED.height])
# Names of poses and depth images; frame numbers may be padded by zeros.
_POSE = re.compile(r"(?P<frame>[0-9]{1,9})\.npy")
_DEPTH = re.compile(r"(?P<frame>[0-9]{1,9})_(?P<device>[^_]+)_depth_.*\.pgm")
# Largest coordinate, mm: nobody stands a kilometre from the origin.
_FARTHEST = 1e6

# Names of folders have at most 255 bytes, which hold 60 characters of any alphabet.
_LINE = re.compile(r"([0-9]{1,9})\s+([^\s/\\\0]{1,60})\s+([^\s/\\\0]{1,60})")


def load_human4d(
    annotations: str | Path,
    images: str | Path,
    skeleton: Skeleton,
    devices: Sequence[str] = DEVICES,
    project: Projection = "exact",
    skip_invalid: bool = False,
    tally: Tally | None = None,
) -> list[Instance]:
    """Read the views of listed frames; each device's view of a frame is a sample of its own, as in the study.

    Below ``images``: ``device_repository.json`` (`read_intrinsics`), ``<subject>/pose/<device>.extrinsics``
    (`DepthCamera`), ``<subject>/offsets.txt`` (lines "recording offset"), ``<subject>/<recording>/Dump/depth`` and
    ``.../gposes3d`` with one file per frame: depth images (`read_depth`), and poses (1, joints, 3) of the whole VICON
    skeleton in mm, of whose joints the 18 of the study are taken.

    Frame numbers of the list are those of depth images, which start ``offset`` frames before the poses ("RGBD frame
    skip"): depth image n shows pose n - offset. A recording that ``offsets.txt`` does not name has offset 0, as in the
    study's code.

    Keypoints are px of the 320x160 image that `read_depth` returns. Joints behind the camera or outside that image have
    weight 0; views without any other joint are left out. Boxes cover the image, the head length is the distance from
    neck to head (0 if one of them is not in view), and each view counts as an image.

    Args:
        annotations: List file (``training.txt``), lines "frame subject recording".
        images: Root folder of the data set.
        skeleton: `poserep.skeleton.HUMAN4D`, or one with the same keypoints.
        devices: Cameras whose views are taken.
        project: Where pixels lie: ``exact``, or ``published`` as in the study's code, see `DepthCamera.pixels`.
        skip_invalid: Leave out views whose list line, pose or depth image is missing or malformed instead of refusing
            the list.
        tally: Counts the views taken, left out and mended.

    A calibration or list that is missing or malformed, another skeleton and invalid views raise an `InputError`.
    """
    check_choice("project", project, get_args(Projection))
    if skeleton.names != HUMAN4D.names:
        raise InputError(f"skeleton {skeleton.name!r} does not have HUMAN4D's keypoints; set data.skeleton=human4d")
    path, root = Path(annotations), Path(images)
    counts = Tally() if tally is None else tally

    def leave_out(views: int, invalid: Invalid) -> None:
        invalid.leave_out("", skip_invalid, counts, "views", views)

    intrinsics = read_intrinsics(root / "device_repository.json", devices)
    views: dict[int, Instance] = {}
    cameras: dict[str, list[DepthCamera]] = {}
    for (subject, recording), listed in _listed(path, len(devices), leave_out, counts).items():
        dump = root / subject / recording / "Dump"
        if not dump.is_dir():
            missing = f"list {path} names {dump}, which does not exist"
            leave_out(len(listed) * len(devices), Invalid("no recording", missing, "check data.root"))
            continue
        if subject not in cameras:
            folder = root / subject / "pose"
            cameras[subject] = [DepthCamera(folder / f"{d}.extrinsics", intrinsics[d]) for d in devices]
        offset = _offset(root / subject / "offsets.txt", recording, counts)
        pose_of, depth_of = _files(dump / "gposes3d", _POSE), _files(dump / "depth", _DEPTH)
        kept = []
        for frame, number in listed.items():
            try:
                kept.append((number, frame, _pose(pose_of, dump / "gposes3d", frame - offset)))
            except Invalid as error:
                leave_out(len(devices), error)
        if not kept:
            continue
        poses = np.stack([pose for _, _, pose in kept])
        for view, (device, camera) in enumerate(zip(devices, cameras[subject], strict=True)):
            xy, seen = camera.pixels(poses, project)
            neck, head = skeleton.names.index("neck"), skeleton.names.index("head")
            heads = np.linalg.norm(xy[:, neck] - xy[:, head], axis=-1) * (seen[:, neck] & seen[:, head])
            for row, (number, frame, _) in enumerate(kept):
                image, key = depth_of.get((device, frame)), number * len(devices) + view
                if image is None:
                    missing = f"depth image {dump}/depth/{frame}_{device}_depth_*.pgm does not exist"
                    leave_out(1, Invalid("no depth image", missing, "check data.root"))
                elif seen[row].any():
                    person = xy[row].astype(np.float32), seen[row].astype(np.float32)
                    views[key] = Instance(image, key, key, _WHOLE, *person, head=float(heads[row]))
                else:
                    counts.left_out["no joint in the image"] += 1
    if not views:
        raise InputError(f"list {path} gives no view of anybody ({counts.line()})")
    counts.taken += len(views)
    return [views[key] for key in sorted(views)]


def _lines(path: Path, what: str, needed: str) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{what}{path} cannot be read ({error}); HUMAN4D {needed}") from error


def _listed(
    path: Path, views: int, leave_out: Callable[[int, Invalid], None], tally: Tally
) -> dict[tuple[str, str], dict[int, int]]:
    """Return the numbers of lines, from 0, by (subject, recording) and frame, each of which has so many ``views``."""
    lines = _lines(path, "list ", "needs one of lines 'frame subject recording' for each split")
    frames: dict[tuple[str, str], dict[int, int]] = {}
    for number, line in enumerate(line for line in lines if line.strip()):
        match = _LINE.fullmatch(line.strip())
        if not match:
            entry = f"list {path}: entry {number + 1}, {abridged(line)}"
            leave_out(views, Invalid("malformed list line", f"{entry}, is not 'frame subject recording'"))
        elif frames.setdefault((match[2], match[3]), {}).setdefault(int(match[1]), number) != number:
            tally.left_out["listed before"] += views
    return frames


def _offset(path: Path, recording: str, tally: Tally) -> int:
    lines = [line.split() for line in _lines(path, "", "has one of lines 'recording offset' for each subject")]
    offset = next((line[1:] for line in lines if line and line[0] == recording), None)
    if offset is None:
        tally.mended["recording without offset, taken as 0"] += 1
        return 0
    if not offset or not re.fullmatch(r"[+-]?[0-9]{1,9}", offset[0]):
        raise InputError(f"{path}: the offset of {recording} is {offset[:1]}, not a whole number of frames")
    return int(offset[0])


def _files(folder: Path, names: re.Pattern[str]) -> dict[tuple[str, int], Path]:
    """Return a folder's files by (device, frame), none if there is no folder."""
    files: dict[tuple[str, int], Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if match := names.fullmatch(path.name):
            key = match.groupdict().get("device") or "", int(match["frame"])
            if files.setdefault(key, path) != path:
                twins = f"{files[key].name} and {path.name}"
                raise InputError(f"{folder}: {twins} are both frame {key[1]}; remove one of them")
    return files


def _pose(files: dict[tuple[str, int], Path], folder: Path, frame: int) -> np.ndarray:
    path = files.get(("", frame))
    if path is None:
        raise Invalid("no pose", f"pose {folder}/{frame}.npy does not exist", "check data.root and offsets.txt")
    try:
        with path.open("rb") as file:
            pose = np.lib.format.read_array(file, allow_pickle=False)
    except (OSError, ValueError, EOFError, SyntaxError, MemoryError, TokenError) as error:
        raise Invalid("unreadable pose", f"pose {path} cannot be read ({error})", "copy it again") from error
    if pose.dtype.kind not in "fiu" or pose.ndim != 3 or pose.shape[2] != 3:
        raise Invalid("malformed pose", f"pose {path} is no array of numbers (people, joints, 3)", "copy it again")
    people, joints, least = *pose.shape[:2], VICON_JOINTS.max() + 1
    if people != 1 or joints < least:
        wrong = f"pose {path} has {people} people of {joints} joints, not one of at least {least}"
        raise Invalid("not one person of all joints", wrong, "list recordings of single persons only")
    points = pose[0, VICON_JOINTS].astype(np.float64)
    if not (np.abs(points) < _FARTHEST).all():
        raise Invalid("impossible pose", f"pose {path} has joints that are not numbers, or farther than 1 km")
    return points
