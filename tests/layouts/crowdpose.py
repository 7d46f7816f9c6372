"""A tiny copy of CrowdPose (Li et al. 2019) in the files that mmpose made of it, with true crowd indices."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from poserep.data.synthetic.annotate import PERSON, coco_values
from poserep.data.synthetic.camera import PinholeCamera
from poserep.data.synthetic.files import DRAWING_VERSION, check_arguments, once, rng_of, write_packed
from poserep.data.synthetic.scene import DrawnImage, draw_image
from poserep.data.synthetic.world import Array, Place, Rng
from poserep.skeleton import CROWDPOSE

from .people import Entry, Person, detections, group, people_of, store

_SPLITS = ("train", "val", "test")
# Crowd indices from here on are medium and hard; the official tool's, which are not the paper's.
CUTS = (0.2, 0.8)
# The limbs are COCO's, which name joints that these 14 do not have. So they are in the published files.
_CATEGORY = {
    "supercategory": "person",
    "id": 1,
    "name": "person",
    "keypoints": list(CROWDPOSE.names),
    "skeleton": PERSON["skeleton"][:12],
}
# num_keypoints of the published files leaves out head and neck.
_COUNTED = 12


def crowd_index(labels: Array, boxes: Array) -> float:
    """Return how crowded a picture is, by the paper's definition, from labels (N, K, 3) and boxes (N, 4).

    The mean over people of (others' labelled joints in their box / own labelled joints in it), at most 1 and rounded to
    two digits as published; people without joints in their own box do not count, and 0 is for nobody.
    """
    xy, low = labels[None, ..., :2], boxes[:, None, None, :2]
    # (person whose box, person whose joint)
    inside = ((xy >= low) & (xy <= low + boxes[:, None, None, 2:])).all(-1) & (labels[None, ..., 2] > 0)
    counts = inside.sum(-1)
    own = np.diag(counts)
    ratios = (counts.sum(1) - own)[own > 0] / own[own > 0]
    return round(min(1.0, float(ratios.mean())), 2) if ratios.size else 0.0


def _places(grade: int, rng: Rng, camera: PinholeCamera) -> list[Place]:
    """Where people stand: one alone, two side by side, three behind each other along one line of sight."""
    near, slope = rng.uniform(3.2, 4.2), rng.uniform(-0.3, 0.3) * camera.width / (2 * camera.focal)
    steps = np.arange(grade + 1)
    z = near + steps * (0.15, 0.35, 0.55)[grade] * rng.uniform(0.9, 1.1)
    x = z * slope + steps * (0.0, 0.5, 0.0)[grade] + rng.normal(0.0, 0.06, steps.size)
    return [(float(a), -float(b)) for a, b in zip(x, z, strict=True)]


def _arrays(people: Sequence[Person]) -> tuple[Array, Array]:
    return np.stack([person.labels for person in people]), np.array([person.drawn.box for person in people])


def _graded(seed: int, split: int, number: int, grade: int) -> tuple[DrawnImage, list[Person], float]:
    """A picture of grade + 1 people, all of them labelled, whose index is easy (0), medium (1) or hard (2)."""
    attempt = 0
    while True:
        rng = rng_of(seed, "crowdpose", split, number, attempt)
        picture = draw_image(rng, "hard", crowd=partial(_places, grade))
        people = people_of(picture, CROWDPOSE.names)
        attempt += 1
        if len(people) == grade + 1 and all(person.labelled for person in people):
            index = crowd_index(*_arrays(people))
            if np.searchsorted(CUTS, index, side="right") == grade:
                return picture, people, index


def _annotation(person: Person, image_id: int, number: int) -> Entry:
    return {
        "num_keypoints": int((person.labels[:_COUNTED, 2] > 0).sum()),
        "iscrowd": 0,
        "keypoints": coco_values(person.labels),
        "image_id": image_id,
        "bbox": list(person.drawn.box),
        "category_id": 1,
        "id": number,
    }


def _ignored(people: Sequence[Person], image_id: int, number: int) -> list[Entry]:
    """The smallest person without keypoints, and the box of all others as a crowd."""
    small, *others = sorted(people, key=lambda person: person.drawn.area)
    boxes = _arrays(others)[1]
    low, high = boxes[:, :2].min(0), (boxes[:, :2] + boxes[:, 2:]).max(0)
    lonely = _annotation(small._replace(labels=np.zeros_like(small.labels)), image_id, number)
    return [lonely, {**lonely, "iscrowd": 1, "bbox": [*low.tolist(), *(high - low).tolist()], "id": number + 1}]


def _split(folder: Path, seed: int, split: int, count: int, first: int) -> Entry:
    """Draw a split and return its annotation file's content; annotations are numbered from ``first``."""
    images: list[Entry] = []
    labels: list[Entry] = []

    def add(picture: DrawnImage, index: float) -> tuple[int, int]:
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


def _fill(counts: tuple[int, ...], seed: int, folder: Path) -> Entry:
    files: dict[str, Entry] = {}
    first = 100_000
    for split, (name, count) in enumerate(zip(_SPLITS, counts, strict=True)):
        files[name] = _split(folder, seed, split, count, first)
        first += len(files[name]["annotations"])
    files["trainval"] = {key: files["train"][key] + files["val"][key] for key in ("images", "annotations")}
    files["trainval"]["categories"] = [_CATEGORY]
    for name, content in files.items():
        write_packed(folder / "annotations" / f"mmpose_crowdpose_{name}.json", content)
    test = files["test"]
    results = detections("crowdpose", seed, test["images"], test["annotations"])
    write_packed(folder / "annotations" / "det_for_crowd_test_0.1_0.5.json", results)
    return {**dict(zip(_SPLITS, counts, strict=True)), "seed": seed, "version": DRAWING_VERSION}


def generate_crowdpose(root: str | Path, train: int = 6, val: int = 6, test: int = 6, seed: int = 0) -> Path:
    """Write CrowdPose's files once, with exact numbers of people with labelled joints, and return their folder.

    Every 6 people are one easy, one medium and one hard picture by their true ``crowdIndex``, cut at `CUTS`. As in the
    real files annotations have no area, and each file has someone without keypoints and a crowd, here in a picture of
    their own.
    """
    check_arguments(seed, train=train, val=val, test=test)
    return once(root, f"crowdpose-{train}-{val}-{test}-s{seed}", partial(_fill, (train, val, test), seed))
