"""A tiny copy of MPII Human Pose (Andriluka et al. 2014) as it is usually prepared, and structs of MATLAB files."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import savemat

from poserep.data.synthetic.camera import PinholeCamera
from poserep.data.synthetic.files import DRAWING_VERSION, check_arguments, once, write_packed
from poserep.data.synthetic.skeleton3d import Figure
from poserep.data.synthetic.world import Array
from poserep.skeleton import MPII

from .people import Entry, Person, labelled_pictures, people_of, store

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


def _entry(name: str, person: Person) -> Entry:
    """Return a person in numbers as MPII writes them: 1-based px."""
    labelled = person.labels[:, 2] > 0
    x, y, w, h = person.drawn.box
    corners = np.vstack([[[x, y], [x + w - 1, y + h - 1]], person.labels[labelled, :2]])
    low, high = corners.min(0), corners.max(0)
    return {
        "joints_vis": labelled.astype(int).tolist(),
        "joints": np.where(labelled[:, None], (person.labels[:, :2] + 1).round(2), -1.0).tolist(),
        "image": name,
        # Of whoever stands this is the height; who lies is as large.
        "scale": round(float((high - low).max() + 1) / 200, 6),
        "center": np.rint((low + high) / 2 + 1).tolist(),
    }


def structs(*rows: Mapping[str, Any]) -> Array:
    """A MATLAB struct array (1, N), (0, 0) without rows; what a row lacks is empty, as MATLAB has it."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    array = np.empty((1, len(rows)), [(name, object) for name in names]) if rows else _EMPTY
    for i, row in enumerate(rows):
        for name in names:
            array[name][0, i] = row.get(name, _EMPTY)
    return array


def _fill(counts: tuple[int, int], seed: int, folder: Path) -> Entry:
    shown = 0
    for split, (name, count) in enumerate(zip(("train", "valid"), counts, strict=True)):
        records, heads = [], []
        for picture in labelled_pictures("mpii", MPII.names, seed, split, count):
            file, view = f"{10_000_000 + 17 * shown:09d}.jpg", picture.view
            store(folder / "images", shown, file, picture)
            shown += 1
            for person in people_of(picture, MPII.names):
                if person.labelled:
                    records.append(_entry(file, person))
                    heads.append(head_box(view.figures[person.drawn.owner], view.hits.camera) + 1)
        write_packed(folder / "annot" / f"{name}.json", records)
    content = {
        "jnt_missing": 1 - np.array([record["joints_vis"] for record in records], np.uint8).T,
        "pos_gt_src": np.array([record["joints"] for record in records]).transpose(1, 2, 0),
        "headboxes_src": np.stack(heads, axis=-1).round(2).reshape(2, 2, -1),
    }
    savemat(folder / "annot" / "gt_valid.mat", content)
    return {"train": counts[0], "val": counts[1], "seed": seed, "version": DRAWING_VERSION}


def generate_mpii(root: str | Path, train: int = 6, val: int = 6, seed: int = 0) -> Path:
    """Write MPII's files once, with exact numbers of people with labelled joints, and return their folder.

    As in the real files all px are 1-based, joints that nobody labelled are -1, ``scale`` is a person's size / 200 px,
    ``center`` its middle, whole px.
    """
    check_arguments(seed, train=train, val=val)
    return once(root, f"mpii-{train}-{val}-s{seed}", partial(_fill, (train, val), seed))
