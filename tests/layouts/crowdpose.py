"""A tiny copy of CrowdPose (Li et al. 2019) in the files that mmpose made of it, with true crowd indices."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from poserep.data.synthetic.annotate import SKELETON, flat
from poserep.data.synthetic.camera import Camera
from poserep.data.synthetic.files import VERSION, check_counts, once, rng_of, write_json
from poserep.data.synthetic.parallel import pool_of
from poserep.data.synthetic.scene import Picture, Rng, compose
from poserep.data.synthetic.skeleton3d import Array
from poserep.skeleton import CROWDPOSE

from .people import Person, detections, group, people_of, store

_SPLITS = ("train", "val", "test")
# Crowd indices from here on are medium and hard; the official tool's, which are not the paper's.
CUTS = (0.2, 0.8)
# The limbs are COCO's, which name joints that these 14 do not have. So they are in the published files.
_CATEGORY = {
    "supercategory": "person",
    "id": 1,
    "name": "person",
    "keypoints": list(CROWDPOSE.names),
    "skeleton": [list(pair) for pair in SKELETON[:12]],
}
# num_keypoints of the published files leaves out head and neck.
_COUNTED = 12


def crowd_index(labels: Array, boxes: Array) -> float:
    """How crowded a picture is, by the paper's definition.

    Args:
        labels: (N, K, 3) x, y, visibility of all people.
        boxes: (N, 4) x, y, width, height.

    Returns:
        The mean over people of (others' labelled joints in their box / own labelled joints in it), at most 1 and
        rounded to two digits as published; people without joints in their own box do not count, and 0 is for nobody.
    """
    xy, low = labels[None, ..., :2], boxes[:, None, None, :2]
    # (person whose box, person whose joint)
    inside = ((xy >= low) & (xy <= low + boxes[:, None, None, 2:])).all(-1) & (labels[None, ..., 2] > 0)
    counts = inside.sum(-1)
    own = np.diag(counts)
    ratios = (counts.sum(1) - own)[own > 0] / own[own > 0]
    return round(min(1.0, float(ratios.mean())), 2) if ratios.size else 0.0


def _places(grade: int, rng: Rng, camera: Camera) -> list[tuple[float, float]]:
    """Where people stand: one alone, two side by side, three behind each other along one line of sight."""
    near, slope = rng.uniform(3.2, 4.2), rng.uniform(-0.3, 0.3) * camera.width / (2 * camera.focal)
    steps = np.arange(grade + 1)
    z = near + steps * (0.15, 0.35, 0.55)[grade] * rng.uniform(0.9, 1.1)
    x = z * slope + steps * (0.0, 0.5, 0.0)[grade] + rng.normal(0.0, 0.06, steps.size)
    return [(float(a), -float(b)) for a, b in zip(x, z, strict=True)]


def _arrays(people: Sequence[Person]) -> tuple[Array, Array]:
    return np.stack([person.labels for person in people]), np.array([person.found.box for person in people])


def _graded(seed: int, split: int, number: int, grade: int) -> tuple[Picture, list[Person], float]:
    """A picture of grade + 1 people, all of them labelled, whose index is easy (0), medium (1) or hard (2)."""
    attempt = 0
    while True:
        rng = rng_of(seed, "crowdpose", split, number, attempt)
        picture = compose(rng, "hard", crowd=partial(_places, grade))
        people = people_of(picture, CROWDPOSE.names)
        attempt += 1
        if len(people) != grade + 1 or not all(person.labelled for person in people):
            continue
        index = crowd_index(*_arrays(people))
        if np.searchsorted(CUTS, index, side="right") == grade:
            return picture, people, index


def _annotation(person: Person, image_id: int, number: int) -> dict[str, Any]:
    return {
        "num_keypoints": int((person.labels[:_COUNTED, 2] > 0).sum()),
        "iscrowd": 0,
        "keypoints": flat(person.labels),
        "image_id": image_id,
        "bbox": list(person.found.box),
        "category_id": 1,
        "id": number,
    }


def _ignored(people: Sequence[Person], image_id: int, number: int) -> list[dict[str, Any]]:
    """The smallest person without keypoints, and the box of all others as a crowd."""
    small, *others = sorted(people, key=lambda person: person.found.area)
    boxes = _arrays(others)[1]
    low, high = boxes[:, :2].min(0), (boxes[:, :2] + boxes[:, 2:]).max(0)
    lonely = _annotation(small._replace(labels=np.zeros_like(small.labels)), image_id, number)
    return [lonely, {**lonely, "iscrowd": 1, "bbox": [*low.tolist(), *(high - low).tolist()], "id": number + 1}]


def _split(folder: Path, seed: int, split: int, count: int, first: int) -> dict[str, Any]:
    """Draw a split and return its annotation file's content; annotations are numbered from ``first``."""
    images: list[dict[str, Any]] = []
    labels: list[dict[str, Any]] = []

    def add(picture: Picture, index: float) -> tuple[int, int]:
        image_id = 100_000 + 200_000 * split + 7 * len(images)
        record = store(folder / "images", image_id, f"{image_id}.jpg", picture)
        images.append({**record, "crowdIndex": index})
        return image_id, first + len(labels)

    missing = count
    while missing:
        picture, people, index = _graded(seed, split, len(images), min(len(images) % 3, missing - 1))
        image_id, number = add(picture, index)
        labels += [_annotation(person, image_id, number + i) for i, person in enumerate(people)]
        missing -= len(people)
    picture = group("crowdpose", seed, split, 3)
    labels += _ignored(people_of(picture, CROWDPOSE.names), *add(picture, 0.0))
    return {"images": images, "annotations": labels, "categories": [_CATEGORY]}


def _fill(counts: tuple[int, ...], seed: int, folder: Path) -> dict[str, Any]:
    files: dict[str, dict[str, Any]] = {}
    first = 100_000
    for split, (name, count) in enumerate(zip(_SPLITS, counts, strict=True)):
        files[name] = _split(folder, seed, split, count, first)
        first += len(files[name]["annotations"])
    both = {key: files["train"][key] + files["val"][key] for key in ("images", "annotations")}
    for name, content in {**files, "trainval": {**both, "categories": [_CATEGORY]}}.items():
        write_json(folder / "annotations" / f"mmpose_crowdpose_{name}.json", content)
    test = files["test"]
    found = detections("crowdpose", seed, test["images"], test["annotations"])
    write_json(folder / "annotations" / "det_for_crowd_test_0.1_0.5.json", found)
    return {**dict(zip(_SPLITS, counts, strict=True)), "seed": seed, "version": VERSION}


def generate_crowdpose(root: str | Path, train: int = 6, val: int = 6, test: int = 6, seed: int = 0) -> Path:
    """Write CrowdPose's files once (a second call returns at once) and return their folder.

    There are ``annotations/mmpose_crowdpose_{train,val,trainval,test}.json``, the pretended findings of the published
    detector ``annotations/det_for_crowd_test_0.1_0.5.json`` and ``images/<id>.jpg``. Every 6 people are one easy, one
    medium and one hard picture by their true ``crowdIndex``, cut at `CUTS`. As in the real files annotations have no
    area, ``num_keypoints`` leaves out head and neck, the category lists COCO's limbs, and each file has someone
    without keypoints and a crowd, here in a picture of their own.

    Args:
        root: Folder that holds the generated one; made if missing.
        train: Exact number of people with labelled joints in the training split.
        val: Likewise.
        test: Likewise.
        seed: Seed of every choice.

    Raises:
        InputError: If an argument is out of range.
    """
    check_counts(seed, train=train, val=val, test=test)
    with pool_of(0):
        name = f"crowdpose-{train}-{val}-{test}-s{seed}-{VERSION}"
        return once(root, name, partial(_fill, (train, val, test), seed))
