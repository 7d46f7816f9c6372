"""The configuration of a data set of one's own, drafted from an annotation file in COCO's format."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import yaml

from poserep.data.coco_file import CocoFile, read_coco
from poserep.data.coco_forms import fields_of_joints
from poserep.data.json_fields import as_box, as_integer, as_number
from poserep.errors import InputError
from poserep.files import write_text
from poserep.skeleton import COCO, LOWER_SIGMAS, UPPER_SIGMAS

# Sides in names: whole words, and letters that begin a name or a part of it, or end it.
WORDS = {"left": "right", "Left": "Right", "LEFT": "RIGHT"}
LETTERS = re.compile(r"^[lL]|(?<![A-Za-z])[lL](?![a-z])|(?<=[a-z])L$")
# A side in a name, of either side and without doubt.
SIDED = re.compile(r"(?i:left|right|(?<![a-z])[lr](?![a-z]))|(?<=[a-z])[LR]$")
# Sigma of a joint that is none of COCO's kinds, to be replaced: the mean of COCO's.
DEFAULT_SIGMA = round(float(np.mean(COCO.sigmas)), 3)
COMMENT = """\
# Drafted by poserep data init from {file}: check what it guessed.
# pairs: joints that a mirror exchanges, from their names. skeleton: limbs, for drawing, as positions from 1. sigmas:
# OKS's constants, how far annotators scatter as a share of a person's size; {sigmas}.
# upper: joints of the upper body, for augmentation by half bodies.
"""


@dataclass
class Draft:
    """The name and text of a configuration, and what its author should know and check."""

    name: str
    text: str = ""
    notes: list[str] = field(default_factory=list)


def draft_set(
    train: Path,
    val: Path | None = None,
    images: Path | None = None,
    category: str | None = None,
    name: str | None = None,
    fields: Sequence[str] = (),
) -> Draft:
    """Draft the configuration of a set whose training file is ``train``.

    Without ``val`` it is the file beside it that has val, valid or test for train in its name; without ``images`` the
    folder is looked for around each file. ``category`` is the name or id of the one to take if several have different
    joints. ``fields`` are joined, see `poserep.instances.CocoForm`. A file without joints, or whose categories differ
    in them, is an `InputError`.
    """
    file, draft = read_coco(train), Draft(name or train.parent.resolve().name)
    joints, limbs, chosen = _joints(file, category, fields, draft.notes)
    other = val or _beside(train)
    if not other:
        draft.notes.append("no file of validation was found beside it: write data.val.annotations")
    places = [images or _folder(read_coco(path), path) if path else None for path in (train, other)]
    # In COCO's layout the images lie beside the folder of annotations.
    inside = all(place is None or place.is_relative_to(train.parent) for place in places)
    root = train.parent if inside else train.parent.parent
    if places[0] is None:
        draft.notes.append(f"the images of {train} were not found: write data.train.images and data.val.images")
    pairs = mirror_pairs(joints)
    parts = {joint: joint.lower() for joint in joints} | {joint: part for pair, part in pairs.items() for joint in pair}
    known = {joint: sigma for joint in joints if (sigma := (UPPER_SIGMAS | LOWER_SIGMAS).get(parts[joint]))}
    unknown = [joint for joint in joints if joint not in known]
    draft.notes.append(f"{len(joints)} joints, {len(pairs)} pairs" + ": " * bool(pairs) + _some(map("-".join, pairs)))
    if alone := unpaired_sides(joints, pairs):
        draft.notes.append(f"of one side only, so that a mirror shows them on the other: {_some(alone)}")
    if unknown:
        draft.notes.append(f"sigmas to fill in, {DEFAULT_SIGMA} until then: {_some(unknown)}")
    people = [a for a in file.annotations or () if isinstance(a, dict) and a.get("keypoints") and not a.get("iscrowd")]
    boxless = sum(as_box(person) is None or min(person["bbox"][2:]) <= 0 for person in people)
    areas = all(as_number(person.get("area")) for person in people)
    if boxless:
        draft.notes.append(f"{boxless} of {len(people)} persons have no box: boxes follow from joints")
    if not areas:
        draft.notes.append("persons without area: 0.53 of the box stands for it, as in CrowdPose")
    skeleton = {
        "name": draft.name,
        "keypoints": joints,
        "pairs": [list(pair) for pair in pairs],
        "skeleton": [list(limb) for limb in limbs],
        "sigmas": [known.get(joint, DEFAULT_SIGMA) for joint in joints],
        "upper": [joint for joint in joints if parts[joint] in UPPER_SIGMAS],
    }
    splits = {
        split: {
            "_target_": "poserep.data.load_coco",
            "annotations": _below(root, path),
            "images": _below(root, place),
        }
        for split, path, place in zip(("train", "val"), (train, other), places, strict=True)
    }
    config = {
        **{"name": draft.name, "real": True, "root": str(root), "skeleton": skeleton, "prepare": None},
        **splits,
        **{"detections": None, "category": chosen, "boxes": "joints" if boxless else "annotated"},
        **{"fields": list(fields) or None, "skip_invalid": False},
        **{"orientation": "refuse", "range": None, "clip": "exact"},
        "crop": {"padding": 1.25, "bgr": False, "inclusive": None, "whole": False},
        "metric": {
            **{"_target_": "poserep.metrics.CocoAP", "nms_threshold": 0.9},
            **{"area": "annotation" if areas else "box", "max_detections": 20},
        },
    }
    why = f"{DEFAULT_SIGMA} stands for those of {_some(unknown)}" if unknown else "they are those of COCO's joints"
    text = yaml.safe_dump(config, sort_keys=False, default_flow_style=None, width=116, allow_unicode=True)
    draft.text = COMMENT.format(file=train.name, sigmas=why) + text
    return draft


def write_set(draft: Draft, path: Path) -> None:
    """Write a draft to a file that does not exist yet; an existing one is an `InputError`."""
    if path.exists():
        raise InputError(f"{path} exists; remove it, or give another name with --out")
    write_text(path, draft.text)


def mirror_pairs(joints: Sequence[str]) -> dict[tuple[str, str], str]:
    """Return joints whose names differ in their side alone, left before right; for each pair the name without it."""
    pairs = {}
    for joint in joints:
        found = next(((other, part) for other, part in _other_side(joint) if other in joints and other != joint), None)
        if found:
            words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", found[1])
            pairs[joint, found[0]] = re.sub(r"[\W_]+", "_", words).strip("_").lower()
    return pairs


def unpaired_sides(joints: Sequence[str], pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Return joints that have a side in their name and stand in no pair, which a mirror would leave on their side."""
    paired = {joint for pair in pairs for joint in pair}
    return [joint for joint in joints if joint not in paired and SIDED.search(joint)]


def _other_side(joint: str) -> Iterator[tuple[str, str]]:
    """Yield names that a left joint's counterpart may have, each with the joint's name without its side."""
    for left, right in WORDS.items():
        if left in joint:
            yield joint.replace(left, right, 1), joint.replace(left, "", 1)
    for letter in LETTERS.finditer(joint):
        before, after = joint[: letter.start()], joint[letter.end() :]
        yield f"{before}{'r' if letter[0] == 'l' else 'R'}{after}", before + after


def _joints(
    file: CocoFile, category: str | None, fields: Sequence[str], notes: list[str]
) -> tuple[list[str], list[tuple[int, int]], int | None]:
    """Return names and limbs (positions from 1) of the joints, and the category's id if it must be chosen."""
    rows = [c for c in file.categories if isinstance(c, dict) and as_integer(c.get("id")) is not None]
    if category is not None:
        rows = [row for row in rows if category in (str(row["id"]), row.get("name"))]
        if not rows:
            raise InputError(f"--category {category}: {file.path} has none of that name or id")
    named = [row for row in rows if isinstance(row.get("keypoints"), list) and row["keypoints"]]
    lengths = _lengths(file, [int(row["id"]) for row in named or rows], fields)
    if not named and not sum(lengths):
        raise InputError(f"{file.path}: no category and no annotation has keypoints; give a file of COCO keypoints")
    different = {tuple(map(str, row["keypoints"])) for row in named}
    if len(different) > 1:
        there = ", ".join(f"{row.get('name')} ({len(row['keypoints'])} joints)" for row in named)
        raise InputError(f"{file.path}: its categories have different joints; choose one with --category: {there}")
    joints = list(next(iter(different))) if different else []
    further = [name for name in fields_of_joints(file.annotations or ()) if name != "keypoints"]
    if further and not fields:
        notes.append(f"joints in further fields are left out: --fields keypoints {' '.join(further)} joins them")
    if unnamed := sum(lengths) - len(joints):
        first = len(joints) + 1
        joints += [str(first + i) for i in range(unnamed)]
        notes.append(f"joints {first} to {len(joints)} have no names in the file: write them into skeleton.keypoints")
    limbs = [tuple(map(int, limb)) for limb in (named[0].get("skeleton") or () if named else ())]
    if any(0 in limb for limb in limbs):
        limbs = [(a + 1, b + 1) for a, b in limbs]
        notes.append("the file counts the joints of its limbs from 0: they were moved by one")
    limbs = [limb for limb in limbs if len(limb) == 2 and all(1 <= joint <= len(joints) for joint in limb)]
    return joints, limbs, None if named else as_integer(rows[0]["id"])  # type: ignore[return-value]


def _lengths(file: CocoFile, categories: Sequence[int], fields: Sequence[str]) -> list[int]:
    """Return the number of joints in each field of the annotations."""
    own = [a for a in file.annotations or () if isinstance(a, dict) and as_integer(a.get("category_id")) in categories]

    def length(name: str) -> int:
        given: list[object] = next((a[name] for a in own if isinstance(a.get(name), list) and a[name]), [])
        nested = all(isinstance(joint, list) for joint in given)
        return len(given) if nested else len(given) // 3

    return [length(name) for name in fields or ("keypoints",)]


def _beside(train: Path) -> Path | None:
    """Return the file of validation beside one of training."""
    names = [train.name.replace("train", other) for other in ("val", "valid", "validation", "test")]
    return next(
        (train.with_name(name) for name in names if name != train.name and train.with_name(name).is_file()), None
    )


def _folder(file: CocoFile, path: Path) -> Path | None:
    """Return the folder around an annotation file in which its first images lie."""
    for base in (path.parent, path.parent.parent):
        inside = sorted(folder for folder in base.iterdir() if folder.is_dir()) if base.is_dir() else []
        deeper = sorted(folder for folder in (base / "images").glob("*") if folder.is_dir())
        # Images of the same names may lie in the folders of several splits: first comes the one that the file names.
        for folder in sorted((base, base / "images", *inside, *deeper), key=lambda f: f.name not in path.stem):
            first = next(iter(file.image_files(folder)), None)
            if first and first[1].is_file():
                return folder
    return None


def _below(root: Path, path: Path | None) -> str:
    if path is None:
        return "???"
    return str(path.relative_to(root) if path.is_relative_to(root) else path.absolute())


def _some(names: Iterable[str], most: int = 6) -> str:
    listed = list(names)
    return ", ".join(listed[:most]) + (", ..." if len(listed) > most else "")
