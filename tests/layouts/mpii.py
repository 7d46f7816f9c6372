"""A tiny copy of MPII Human Pose (Andriluka et al. 2014): the usual preparation as JSON, and the original release."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.io import savemat

from poserep.data.synthetic.camera import Camera
from poserep.data.synthetic.files import VERSION, check_counts, once, write_json
from poserep.data.synthetic.parallel import pool_of
from poserep.data.synthetic.scene import Picture
from poserep.data.synthetic.skeleton3d import Array, Figure
from poserep.skeleton import MPII

from .people import Person, drawn, group, people_of, store

_SPLITS = ("train", "valid")
# What gt_valid.mat calls the joints.
_SHORT = (
    "rank", "rkne", "rhip", "lhip", "lkne", "lank", "pelv", "thor", "neck", "head", "rwri", "relb", "rsho", "lsho",
    "lelb", "lwri",
)  # fmt: skip
# Upper neck and head top: the ends of the head, of which the release does not tell whether they are visible.
_HEAD = (8, 9)
_EMPTY = np.zeros((0, 0))


def head_box(figure: Figure, camera: Camera) -> Array:
    """The rectangle [x1, y1, x2, y2] around the picture of the head, an ellipsoid without hair, image px (0-based)."""
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


class _Image(NamedTuple):
    """A picture's file name and people; None stands for someone without joints."""

    name: str
    people: list[_Record | None]


def _record(person: Person, picture: Picture, others: Sequence[Person]) -> _Record | None:
    if not person.labelled:
        return None
    labelled = person.labels[:, 2] > 0
    x, y, w, h = person.found.box
    corners = np.vstack([[[x, y], [x + w - 1, y + h - 1]], person.labels[labelled, :2]])
    low, high = corners.min(0), corners.max(0)
    joints = np.where(labelled[:, None], (person.labels[:, :2] + 1).round(2), -1.0)
    view = picture.view
    head = head_box(view.figures[person.found.owner], view.camera)
    boxes = np.array([other.found.box for other in others]).reshape(-1, 4)
    apart = (boxes[:, :2] > high) | (boxes[:, :2] + boxes[:, 2:] < low)
    return _Record(
        centre=np.rint((low + high) / 2 + 1).tolist(),
        # Of whoever stands this is the height; who lies is as large.
        scale=round(float((high - low).max() + 1) / 200, 6),
        joints=joints,
        flags=person.labels[:, 2],
        head=(head + 1).round(2),
        alone=bool(apart.any(1).all()),
    )


def _json(images: Iterable[_Image]) -> list[dict[str, Any]]:
    return [
        {
            "joints_vis": (record.flags > 0).astype(int).tolist(),
            "joints": record.joints.tolist(),
            "image": image.name,
            "scale": record.scale,
            "center": record.centre,
        }
        for image in images
        for record in image.people
        if record
    ]


def _structs(records: Sequence[Mapping[str, Any]]) -> Array:
    """A MATLAB struct array (1, N); all records have the first one's fields."""
    array = np.empty((1, len(records)), [(name, object) for name in records[0]])
    for i, record in enumerate(records):
        for name, value in record.items():
            array[name][0, i] = value
    return array


def _cells(values: Sequence[Any]) -> Array:
    array = np.empty((1, len(values)), object)
    array[0] = values
    return array


def _points(record: _Record) -> Array:
    ids = np.flatnonzero(record.flags)
    visible = [_EMPTY if i in _HEAD else np.uint8(record.flags[i] == 2) for i in ids]
    rows = zip(record.joints[ids].tolist(), ids.tolist(), visible, strict=True)
    return _structs([{"x": x, "y": y, "id": i, "is_visible": flag} for (x, y), i, flag in rows])


def _annorect(record: _Record | None, released: bool) -> dict[str, Any]:
    names = ("x1", "y1", "x2", "y2", "annopoints", "scale", "objpos")
    if record is None:
        return dict.fromkeys(names if released else names[5:], _EMPTY)
    place = {"scale": record.scale, "objpos": _structs([dict(zip("xy", record.centre, strict=True))])}
    points = _structs([{"point": _points(record)}])
    return (
        {**dict(zip(names[:4], record.head.tolist(), strict=True)), "annopoints": points, **place}
        if released
        else place
    )


def _release(images: Sequence[_Image], released: Sequence[bool]) -> dict[str, Any]:
    annolist = [
        {
            "image": _structs([{"name": image.name}]),
            "annorect": _structs([_annorect(record, known) for record in image.people]),
            "frame_sec": _EMPTY,
            "vididx": _EMPTY,
        }
        for image, known in zip(images, released, strict=True)
    ]
    alone = [[[i + 1] for i, record in enumerate(image.people) if record and record.alone] for image in images]
    return {
        "annolist": _structs(annolist),
        "img_train": np.array([released], np.uint8),
        "version": "12",
        "single_person": _cells([np.array(rows, np.uint8).reshape(-1, 1) for rows in alone]).T,
        "act": _structs([{"cat_name": _EMPTY, "act_name": _EMPTY, "act_id": -1} for _ in images]).T,
        "video_list": _EMPTY,
    }


def _heads(images: Iterable[_Image]) -> dict[str, Any]:
    records = [record for image in images for record in image.people if record]
    return {
        "dataset_joints": _cells(_SHORT),
        "jnt_missing": np.stack([record.flags == 0 for record in records], axis=-1).astype(np.uint8),
        "pos_gt_src": np.stack([record.joints for record in records], axis=-1),
        "headboxes_src": np.stack([record.head.reshape(2, 2) for record in records], axis=-1),
    }


def _write_mat(path: Path, content: dict[str, Any]) -> None:
    buffer = io.BytesIO()
    savemat(buffer, content)
    # The text in front tells the time; equal arguments shall give equal files.
    path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(116) + buffer.getvalue()[116:])


def _fill(counts: tuple[int, int], seed: int, folder: Path) -> dict[str, Any]:
    def image(number: int, picture: Picture) -> _Image:
        people = people_of(picture, MPII.names)
        name = f"{10_000_000 + 17 * number:09d}.jpg"
        store(folder / "images", number, name, picture)
        others = [[other for other in people if other is not person] for person in people]
        return _Image(name, [_record(p, picture, rest) for p, rest in zip(people, others, strict=True)])

    images: list[_Image] = []
    for split, count in enumerate(counts):
        found = [
            image(len(images) + i, picture) for i, picture in enumerate(drawn("mpii", MPII.names, seed, split, count))
        ]
        write_json(folder / "annot" / f"{_SPLITS[split]}.json", _json(found))
        images += found
    _write_mat(folder / "annot" / "gt_valid.mat", _heads(found))
    # The joints of the test pictures were never released.
    released = [True] * len(images) + [False]
    images.append(image(len(images), group("mpii", seed, len(counts), 1)))
    _write_mat(folder / "mpii_human_pose_v1_u12_1.mat", {"RELEASE": _release(images, released)})
    return {"train": counts[0], "val": counts[1], "seed": seed, "version": VERSION}


def generate_mpii(root: str | Path, train: int = 6, val: int = 6, seed: int = 0) -> Path:
    """Write MPII's files once (a second call returns at once) and return their folder.

    There are ``annot/{train,valid}.json`` (``image``, ``center``, ``scale``, ``joints``, ``joints_vis``),
    ``annot/gt_valid.mat`` (``dataset_joints``, ``jnt_missing``, ``pos_gt_src``, ``headboxes_src``),
    ``images/<9 digits>.jpg``, and the same people with one test picture in the nested structs of the release,
    ``mpii_human_pose_v1_u12_1.mat``. As in the real files all px are 1-based, joints that nobody labelled are -1,
    ``scale`` is a person's size / 200 px, ``center`` its middle, whole px, and the release has people without joints.
    Head boxes are true: the rectangle around the picture of the head.

    Args:
        root: Folder that holds the generated one; made if missing.
        train: Exact number of people with labelled joints in ``train.json``.
        val: Likewise in ``valid.json``.
        seed: Seed of every choice.

    Raises:
        InputError: If an argument is out of range.
    """
    check_counts(seed, train=train, val=val)
    with pool_of(0):
        return once(root, f"mpii-{train}-{val}-s{seed}-{VERSION}", partial(_fill, (train, val), seed))
