"""The loader of MPII Human Pose: the published JSON preparation, or the original MATLAB release."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from poserep.data.json_fields import FURTHEST, Invalid, abridged, is_file_name, read_json
from poserep.data.loaders.mpii_matlab import MPII_JOINTS, MpiiHeads, head_length, read_heads, read_mat
from poserep.errors import InputError
from poserep.instances import Instance, Tally
from poserep.skeleton import MPII, Skeleton

# Largest median distance, px, between the joints of one person in two files.
SAME = 2.0
NO_JOINTS = "nobody has joints, as in MPII's test.json, whose joints are not published; evaluate on annot/valid.json"


def load_mpii(
    annotations: str | Path,
    images: str | Path,
    skeleton: Skeleton,
    heads: str | Path | None = None,
    skip_invalid: bool = False,
    tally: Tally | None = None,
) -> list[Instance]:
    """Read persons of MPII. Coordinates are 1-based in the files and 0-based in the instances.

    A person's box is the square of side 200 x scale px around the annotated centre moved down by 15 x scale px. Padded
    by 1.25 it is the region that the code of HRNet, SimCC and DARK crops in training and test alike. That code neither
    moves nor pads persons of centre x = -1; they have no position and are invalid here.

    ``id`` is the person's position in the file, ``image_id`` a running number of the file names. Unlabelled joints
    stand at (0, 0). A file without joints (``test.json``) gives persons of weight 0, to predict.

    Args:
        annotations: The published list of records (``image``, ``center``, ``scale``, ``joints``, ``joints_vis``, and
            optionally ``head_box`` [x1, y1, x2, y2]), or the original ``mpii_human_pose_v1_u12_1.mat``, of which
            every person with scale, position and joints is taken; those on test images have no joints.
        images: Folder that the images' file names are relative to.
        skeleton: MPII's 16 joints.
        heads: ``gt_valid.mat``, whose rows are the records in their order. It overrules ``head_box``, and if it has
            joints those of the records, since the official score is measured against it. None: persons without
            ``head_box`` have no head length, and PCKh cannot score them.
        skip_invalid: Leave out invalid persons instead of refusing the file.
        tally: Counts the persons taken, left out and mended.

    Files that are missing, malformed or do not belong together, another skeleton and invalid persons raise an
    `InputError`.
    """
    path, folder = Path(annotations), Path(images)
    tally = Tally() if tally is None else tally
    if skeleton.names != MPII.names:
        raise InputError(f"skeleton {skeleton.name!r} does not have MPII's 16 keypoints; set data.skeleton=mpii")
    records = read_mat(path, tally) if path.suffix == ".mat" else read_json(path, "annotation file")
    if not isinstance(records, list):
        raise InputError(f"{path} is not a list of MPII records; a COCO-format file is read with data=coco")
    official = None if heads is None else read_heads(Path(heads))
    # Whether this is the published test file, which lists persons without joints.
    to_predict = not any(isinstance(record, Mapping) and "joints" in record for record in records)
    if official is not None and to_predict:
        raise InputError(f"{path}: {NO_JOINTS}")
    if official is not None and len(official.length) != len(records):
        raise InputError(
            f"{heads} has {len(official.length)} head boxes for the {len(records)} records of {path}; it belongs to "
            "annot/valid.json. For other persons set data.val.heads=null and give records a head_box [x1, y1, x2, y2]"
        )
    numbers: dict[str, int] = {}
    instances = []
    for row, record in enumerate(records):
        try:
            person = _Person(record)
            if official is not None:
                person.overrule(official, row, f"row {row} of {heads}", f"record {row} of {path}", tally)
            box, keypoints = person.geometry()
        except Invalid as error:
            error.leave_out(f"{path}: record {row} ", skip_invalid, tally)
            continue
        if not person.labelled.any() and not to_predict:
            tally.left_out["without labelled keypoints"] += 1
            continue
        image, image_id = folder / person.image, numbers.setdefault(person.image, len(numbers))
        weight = person.labelled.astype(np.float32)
        instances.append(Instance(image, image_id, row, box, keypoints, weight, head=person.head))
    if not instances:
        raise InputError(f"{path}: no person is left ({tally.line()}); is it an MPII annotation file?")
    tally.taken += len(instances)
    return instances


class _Person:
    """A record in px that begin with 1, as in the file."""

    def __init__(self, record: Any) -> None:
        try:
            self.image = record["image"]
            self.centre = np.array(record["center"], np.float64).reshape(2)
            self.scale = float(record["scale"])
            self.joints = np.array(record.get("joints", [[-1, -1]] * MPII_JOINTS), np.float64).reshape(MPII_JOINTS, 2)
            visible = np.array(record.get("joints_vis", [0] * MPII_JOINTS), np.float64).reshape(MPII_JOINTS)
            corners = np.array(record.get("head_box", [0] * 4), np.float64).reshape(2, 2)
        except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise Invalid("malformed", f"is malformed ({type(error).__name__}: {str(error)[:80]})") from error
        if not is_file_name(self.image):
            raise Invalid("malformed", f"has the image {abridged(self.image)}, which is no file name")
        if ("joints" in record) != ("joints_vis" in record):
            raise Invalid("malformed", f"({self.image}) has only one of joints and joints_vis")
        self.labelled, self.head = visible > 0, float(head_length(*corners))
        # A record of the test file may lack the box, but a box must have a size.
        if "head_box" in record and not 0 < self.head < np.inf:
            size = corners.ravel().tolist()
            raise Invalid("with a head box without size", f"({self.image}) has the head_box {size}")

    def overrule(self, official: MpiiHeads, row: int, head_row: str, record: str, tally: Tally) -> None:
        """Take the head length of the file of head boxes, and its joints if it has any."""
        self.head = float(official.length[row])
        if not 0 < self.head < np.inf:
            raise Invalid("with a head box without size", f"has a head of {self.head:g} px in {head_row}")
        if official.joints is None or official.labelled is None:
            return
        joints, labelled = official.joints[row], official.labelled[row]
        both = labelled & self.labelled
        apart = np.linalg.norm(joints - self.joints, axis=-1)[both]
        if len(apart) and not np.median(apart) <= SAME:
            raise InputError(
                f"{head_row} is not {record}: their joints lie {np.median(apart):.0f} px apart; head boxes must be "
                "those of the annotation file, in its order, as annot/gt_valid.mat is for annot/valid.json"
            )
        if (labelled != self.labelled).any() or (apart > 0.01).any():
            tally.mended["with the joints of the head boxes' file"] += 1
        self.joints, self.labelled = joints, labelled

    def geometry(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the box (4,) and the keypoints (16, 2), 0-based."""
        if self.centre[0] == -1 or not (np.abs(self.centre) <= FURTHEST).all():
            raise Invalid("without position", f"({self.image}) has the center {self.centre.tolist()}, which is none")
        side = 200 * self.scale
        if not 0 < side <= FURTHEST:
            raise Invalid("without scale", f"({self.image}) has the scale {self.scale:g}, which is none")
        centre = self.centre + np.array([0.0, 15 * self.scale]) - 1
        keypoints = np.where(self.labelled[:, None], self.joints - 1, 0)
        bad = ~(np.abs(keypoints) <= FURTHEST).all(1)
        if bad.any():
            names = ", ".join(np.array(MPII.names)[bad])
            raise Invalid("with keypoints that are no points", f"({self.image}) has no points for the labelled {names}")
        return np.array([*(centre - side / 2), side, side]), keypoints.astype(np.float32)
