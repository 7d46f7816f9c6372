"""MPII's MATLAB files: the original release and its conversion, and the head boxes of the validation set."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from poserep.errors import InputError
from poserep.files import write_text
from poserep.instances import Tally
from poserep.skeleton import MPII

# PCKh's head length is this share of the head box's diagonal.
HEAD_RATIO = 0.6
MPII_JOINTS = MPII.num_keypoints


class MpiiHeads(NamedTuple):
    """The rows of ``gt_valid.mat``, in the order of ``valid.json``.

    ``length`` (N,) is 0.6 x the head boxes' diagonals, image px. If the file has joints, they are (N, 16, 2), 1-based
    image px, and ``labelled`` (N, 16) bool; else both are None.
    """

    length: np.ndarray
    joints: np.ndarray | None
    labelled: np.ndarray | None


def read_heads(path: Path) -> MpiiHeads:
    """Read ``headboxes_src`` (2, 2, N), and where both exist ``pos_gt_src`` (16, 2, N) and ``jnt_missing`` (16, N)."""
    content = _read(path, "head box file")
    if "headboxes_src" not in content:
        raise InputError(f"head box file {path} has no headboxes_src; take annot/gt_valid.mat of the published files")
    try:
        # MATLAB drops the last dimension of a single person.
        boxes = np.asarray(content["headboxes_src"], np.float64).reshape(2, 2, -1)
        joints = labelled = None
        if {"pos_gt_src", "jnt_missing"} <= content.keys():
            count = boxes.shape[2]
            joints = np.asarray(content["pos_gt_src"], np.float64).reshape(MPII_JOINTS, 2, count).transpose(2, 0, 1)
            labelled = np.asarray(content["jnt_missing"], np.float64).reshape(MPII_JOINTS, count).T == 0
    except (TypeError, ValueError) as error:
        names = ("headboxes_src", "pos_gt_src", "jnt_missing")
        shapes = {name: np.shape(content[name]) for name in names if name in content}
        raise InputError(
            f"head box file {path} must hold headboxes_src (2, 2, N), pos_gt_src (16, 2, N) and jnt_missing (16, N); "
            f"it has {shapes}; take annot/gt_valid.mat of the published files"
        ) from error
    return MpiiHeads(head_length(boxes[0].T, boxes[1].T), joints, labelled)


def head_length(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the lengths (...) by which PCKh measures, from two opposite corners (..., 2) of head boxes."""
    return HEAD_RATIO * np.linalg.norm(second - first, axis=-1)


def convert_mat(mat: Path, json_path: Path) -> Tally:
    """Write the persons of `read_mat`, of which the published list's makers chose some, in that list's form.

    The file is whole or absent, its folder is made. Returns how many persons were written and left out, by reason.
    """
    tally = Tally()
    records = read_mat(mat, tally)
    tally.taken = len(records)
    write_text(json_path, json.dumps(records) + "\n")
    return tally


def read_mat(path: Path, tally: Tally) -> list[dict[str, Any]]:
    """Return the labelled persons of the original release ``mpii_human_pose_v1_u12_1.mat``, in its order.

    Persons count that have a scale, a position and joints, which leaves out the test images, whose joints were never
    released. ``tally`` counts the persons left out, and the joints dropped from those returned. A file that is missing,
    malformed or without persons raises an `InputError`.

    Records are as in the published JSON, all 1-based: ``image``, ``center`` [x, y], ``scale`` (of the person, in units
    of 200 px), ``joints`` (16 x [x, y], -1 if missing), ``joints_vis`` (1 for every labelled joint, occluded ones too),
    and if known ``head_box`` [x1, y1, x2, y2].
    """
    release = _read(path, "annotation file").get("RELEASE")
    if not isinstance(release, Mapping) or "annolist" not in release:
        raise InputError(f"{path} has no RELEASE.annolist; take mpii_human_pose_v1_u12_1.mat, or the published JSON")
    images = _structs(release["annolist"])
    train = np.ravel(release.get("img_train", np.ones(len(images))))
    if len(train) != len(images):
        raise InputError(f"{path}: RELEASE.img_train has {len(train)} entries for {len(images)} images; fetch it anew")
    records = []
    for image, released in zip(images, train, strict=True):
        for person in _structs(image.get("annorect")):
            record = _record(person, tally)
            if record is None:
                tally.left_out["without scale, position or joints" if released else "of test images"] += 1
                continue
            name = next(iter(_structs(image.get("image"))), {}).get("name")
            if not isinstance(name, str) or not name:
                raise InputError(f"{path}: an image with labelled persons has no name; fetch the file anew")
            records.append({"image": name, **record})
    if not records:
        raise InputError(f"{path}: no person has scale, objpos and annopoints ({tally.line()}); fetch it anew")
    return records


def _record(person: Mapping[str, Any], tally: Tally) -> dict[str, Any] | None:
    position = _numbers(next(iter(_structs(person.get("objpos"))), {}), "x", "y")
    scale = _numbers(person, "scale")
    annotated = next(iter(_structs(person.get("annopoints"))), {})
    points = np.array([_numbers(point, "id", "x", "y") for point in _structs(annotated.get("point"))]).reshape(-1, 3)
    usable = np.isfinite(points).all(1) & np.isin(points[:, 0], np.arange(MPII_JOINTS))
    if not usable.any() or not np.isfinite([*position, *scale]).all():
        return None
    if not usable.all():
        tally.mended["joints without coordinates or known id"] += int((~usable).sum())
    points = points[usable]
    joints, visible = np.full((MPII_JOINTS, 2), -1.0), np.zeros(MPII_JOINTS, int)
    index = points[:, 0].astype(int)
    joints[index], visible[index] = points[:, 1:], 1
    record = {"center": position, "scale": scale[0], "joints": joints.tolist(), "joints_vis": visible.tolist()}
    head = _numbers(person, "x1", "y1", "x2", "y2")
    return {**record, "head_box": head} if np.isfinite(head).all() else record


def _read(path: Path, what: str) -> dict[str, Any]:
    if not path.is_file():
        raise InputError(f"{what} {path} does not exist; set data.root (or the file's own key) to where it lies")
    try:
        from scipy.io import loadmat  # here, as most data sets have no such file

        # MATLAB's structs become dicts, lists of dicts, or, if empty, arrays.
        return loadmat(path, simplify_cells=True)
    except Exception as error:
        raise InputError(f"{what} {path} is not a MATLAB file that can be read ({error}); fetch it anew") from error


def _structs(value: Any) -> list[Mapping[str, Any]]:
    """Return the structs that a field holds: none, one, or several."""
    structs = [value] if isinstance(value, Mapping) else np.ravel(np.asarray(value, object)).tolist()
    return [struct for struct in structs if isinstance(struct, Mapping)]


def _numbers(struct: Mapping[str, Any], *names: str) -> list[float]:
    """Return fields of a struct, NaN for those that are missing, empty or no numbers."""
    values = [np.asarray(struct.get(name)) for name in names]
    return [float(value.item()) if value.size == 1 and value.dtype.kind in "biuf" else np.nan for value in values]
