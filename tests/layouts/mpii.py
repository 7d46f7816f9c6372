"""A tiny copy of MPII Human Pose (Andriluka et al. 2014): the usual preparation as JSON, and the original release."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.io import savemat

from poserep.data.synthetic.camera import PinholeCamera
from poserep.data.synthetic.files import DRAWING_VERSION, check_arguments, once, write_packed
from poserep.data.synthetic.scene import DrawnImage
from poserep.data.synthetic.skeleton3d import Figure
from poserep.data.synthetic.world import Array
from poserep.skeleton import MPII

from .people import Entry, Person, group, labelled_pictures, people_of, store

_SPLITS = ("train", "valid")
# What gt_valid.mat calls the joints.
_SHORT = (
    "rank", "rkne", "rhip", "lhip", "lkne", "lank", "pelv", "thor", "neck", "head", "rwri", "relb", "rsho", "lsho",
    "lelb", "lwri",
)  # fmt: skip
# Upper neck and head top: the ends of the head, of which the release does not tell whether they are visible.
_HEAD = (8, 9)
_EMPTY = np.zeros((0, 0))


def head_box(figure: Figure, camera: PinholeCamera) -> Array:
    """Return the rectangle [x1, y1, x2, y2] around the head in the picture, an ellipsoid without hair, image px."""
    frame = np.column_stack([figure.frames["head"] * figure.body.head, figure.joints["head"]])
    # A quadric is projected by its dual: C* = P Q* P'. A line touches the outline where l' C* l = 0.
    place = np.vstack([frame, [0.0, 0.0, 0.0, 1.0]])
    dual = place @ np.diag([1.0, 1.0, 1.0, -1.0]) @ place.T
    inner = np.array([[camera.focal, 0.0, camera.cx], [0.0, camera.focal, camera.cy], [0.0, 0.0, 1.0]])
    matrix = inner @ camera.rotation @ np.column_stack([np.eye(3), -camera.position])
    conic = matrix @ dual @ matrix.T
    middle = conic[:2, 2] / conic[2, 2]
    reach = np.sqrt(middle**2 - np.diag(conic)[:2] / conic[2, 2])
    return np.concatenate([middle - reach, middle + reach])


class _Record(NamedTuple):
    """One person in numbers as MPII writes them: 1-based px."""

    centre: list[float]
    scale: float
    joints: Array
    flags: Array
    head: Array
    alone: bool


# A picture's file name and people; None stands for someone without joints.
_Image = tuple[str, list[_Record | None]]


def _record(person: Person, picture: DrawnImage, others: Sequence[Person]) -> _Record | None:
    if not person.labelled:
        return None
    labelled = person.labels[:, 2] > 0
    x, y, w, h = person.drawn.box
    corners = np.vstack([[[x, y], [x + w - 1, y + h - 1]], person.labels[labelled, :2]])
    low, high = corners.min(0), corners.max(0)
    joints = np.where(labelled[:, None], (person.labels[:, :2] + 1).round(2), -1.0)
    view = picture.view
    head = head_box(view.figures[person.drawn.owner], view.hits.camera)
    boxes = np.array([other.drawn.box for other in others]).reshape(-1, 4)
    apart = (boxes[:, :2] > high) | (boxes[:, :2] + boxes[:, 2:] < low)
    # Of whoever stands this is the height; who lies is as large.
    scale = round(float((high - low).max() + 1) / 200, 6)
    centre = np.rint((low + high) / 2 + 1).tolist()
    return _Record(centre, scale, joints, person.labels[:, 2], (head + 1).round(2), bool(apart.any(1).all()))


def _entry(name: str, record: _Record) -> Entry:
    labels = {"joints_vis": (record.flags > 0).astype(int).tolist(), "joints": record.joints.tolist()}
    return {**labels, "image": name, "scale": record.scale, "center": record.centre}


def structs(*rows: Mapping[str, Any]) -> Array:
    """A MATLAB struct array (1, N), (0, 0) without rows; what a row lacks is empty, as MATLAB has it."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    array = np.empty((1, len(rows)), [(name, object) for name in names]) if rows else _EMPTY
    for i, row in enumerate(rows):
        for name in names:
            array[name][0, i] = row.get(name, _EMPTY)
    return array


def _cells(values: Sequence[Any]) -> Array:
    array = np.empty((1, len(values)), object)
    array[0] = values
    return array


def _points(record: _Record) -> Array:
    ids = np.flatnonzero(record.flags)
    visible = [_EMPTY if i in _HEAD else np.uint8(record.flags[i] == 2) for i in ids]
    rows = zip(record.joints[ids].tolist(), ids.tolist(), visible, strict=True)
    return structs(*({"x": x, "y": y, "id": i, "is_visible": flag} for (x, y), i, flag in rows))


def _annorect(record: _Record | None, released: bool) -> Entry:
    """Return a person's struct; of those whose joints were not released there is only the place."""
    corners = ("x1", "y1", "x2", "y2")
    if record is None:
        return dict.fromkeys((*corners, "annopoints", "scale", "objpos") if released else ("scale", "objpos"), _EMPTY)
    place = {"scale": record.scale, "objpos": structs(dict(zip("xy", record.centre, strict=True)))}
    if not released:
        return place
    points = structs({"point": _points(record)})
    return {**dict(zip(corners, record.head.tolist(), strict=True)), "annopoints": points, **place}


def _release(images: Sequence[_Image], released: Sequence[bool]) -> Entry:
    annolist = []
    for (name, people), known in zip(images, released, strict=True):
        persons = structs(*(_annorect(record, known) for record in people))
        annolist.append({"image": structs({"name": name}), "annorect": persons, "frame_sec": _EMPTY, "vididx": _EMPTY})
    alone = [[[i + 1] for i, record in enumerate(people) if record and record.alone] for _, people in images]
    return {
        "annolist": structs(*annolist),
        "img_train": np.array([released], np.uint8),
        "version": "12",
        "single_person": _cells([np.array(rows, np.uint8).reshape(-1, 1) for rows in alone]).T,
        "act": structs(*({"cat_name": _EMPTY, "act_name": _EMPTY, "act_id": -1} for _ in images)).T,
        "video_list": _EMPTY,
    }


def _heads(records: Sequence[_Record]) -> Entry:
    return {
        "dataset_joints": _cells(_SHORT),
        "jnt_missing": np.stack([record.flags == 0 for record in records], axis=-1).astype(np.uint8),
        "pos_gt_src": np.stack([record.joints for record in records], axis=-1),
        "headboxes_src": np.stack([record.head.reshape(2, 2) for record in records], axis=-1),
    }


def _write_mat(path: Path, content: Entry) -> None:
    savemat(path, content)
    # The text in front tells the time; equal arguments shall give equal files.
    path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(116) + path.read_bytes()[116:])


def _fill(counts: tuple[int, int], seed: int, folder: Path) -> Entry:
    images: list[_Image] = []

    def add(picture: DrawnImage) -> None:
        people = people_of(picture, MPII.names)
        name = f"{10_000_000 + 17 * len(images):09d}.jpg"
        store(folder / "images", len(images), name, picture)
        images.append((name, [_record(p, picture, [q for q in people if q is not p]) for p in people]))

    for split, count in enumerate(counts):
        first = len(images)
        for picture in labelled_pictures("mpii", MPII.names, seed, split, count):
            add(picture)
        rows = [(name, record) for name, people in images[first:] for record in people if record]
        write_packed(folder / "annot" / f"{_SPLITS[split]}.json", [_entry(*row) for row in rows])
    _write_mat(folder / "annot" / "gt_valid.mat", _heads([record for _, record in rows]))
    # The joints of the test pictures were never released.
    released = [True] * len(images) + [False]
    add(group("mpii", seed, len(counts), 1))
    _write_mat(folder / "mpii_human_pose_v1_u12_1.mat", {"RELEASE": _release(images, released)})
    return {"train": counts[0], "val": counts[1], "seed": seed, "version": DRAWING_VERSION}


def generate_mpii(root: str | Path, train: int = 6, val: int = 6, seed: int = 0) -> Path:
    """Write MPII's files once, with exact numbers of people with labelled joints, and return their folder.

    As in the real files all px are 1-based, joints that nobody labelled are -1, ``scale`` is a person's size / 200 px,
    ``center`` its middle, whole px, and the release has people without joints, and one more, a test picture.
    """
    check_arguments(seed, train=train, val=val)
    return once(root, f"mpii-{train}-{val}-s{seed}", partial(_fill, (train, val), seed))
