"""What the tiny copies of the public data sets share: the pictures, their people, and joints by any skeleton's names.

Each copy has the published files' names, fields and quirks, and its labels are true for its pictures.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from poserep.data.synthetic.annotate import Instance, detect
from poserep.data.synthetic.files import rng_of, write_jpeg
from poserep.data.synthetic.scene import Crowd, Picture, compose, street_crowd
from poserep.data.synthetic.skeleton3d import Array

_DETECTOR = 7919
# What a data set calls a joint of the figure; all other names are the figure's own.
_JOINTS = {"thorax": "neck", "upper_neck": "skull", "head_top": "crown", "head": "crown"}


class Person(NamedTuple):
    """Someone in a picture: what `instances` found, and labels (K, 3) x, y, visibility of another skeleton's joints."""

    found: Instance
    labels: Array

    @property
    def labelled(self) -> bool:
        """Whether any joint is."""
        return bool((self.labels[:, 2] > 0).any())


def people_of(picture: Picture, names: Sequence[str]) -> list[Person]:
    """Label a picture's people.

    Args:
        picture: The picture.
        names: A skeleton's keypoints. "head" is the top of the head, "neck" and "thorax" the base of the neck.

    Returns:
        One entry per person of whom a pixel shows; those of whom too little shows have no labels.
    """
    joints = [_JOINTS.get(name, name) for name in names]
    labels = (picture.view.look(joints, found.owner)[0] * (found.labelled > 0) for found in picture.people)
    return [Person(found, own) for found, own in zip(picture.people, labels, strict=True)]


def drawn(name: str, names: Sequence[str], seed: int, split: int, count: int, level: str = "hard") -> Iterator[Picture]:
    """Draw pictures until ``count`` people in them have labels.

    Args:
        name: Of the data set.
        names: The keypoints that count as labels, see `people_of`.
        seed: Of every choice.
        split: Number of the split.
        count: Exact number of people with labels in all pictures.
        level: See `compose`.

    Yields:
        The pictures, but for those of nobody.
    """
    index = 0
    while count:
        picture = compose(rng_of(seed, name, split, index), level, people=count)
        labelled = sum(person.labelled for person in people_of(picture, names))
        if labelled:
            yield picture
        count -= labelled
        index += 1


def group(name: str, seed: int, split: int, least: int, crowd: Crowd = street_crowd) -> Picture:
    """A "hard" picture that shows at least so many people."""
    index = 0
    while True:
        picture = compose(rng_of(seed, name, split, index, least), "hard", crowd=crowd)
        if len(picture.people) >= least:
            return picture
        index += 1


def store(folder: Path, image_id: int, file_name: str, picture: Picture) -> dict[str, Any]:
    """Write a picture and return what COCO-format files say of it."""
    folder.mkdir(parents=True, exist_ok=True)
    write_jpeg(folder / file_name, picture)
    height, width = picture.image.shape[:2]
    return {"file_name": file_name, "id": image_id, "height": height, "width": width}


def detections(name: str, seed: int, images: Sequence[dict[str, Any]], labels: Sequence[dict[str, Any]]) -> list[Any]:
    """What a pretended detector finds in pictures whose people have COCO annotations; crowds are not looked for."""
    found = []
    for image in images:
        people = [a for a in labels if a["image_id"] == image["id"] and not a["iscrowd"]]
        found += detect(rng_of(seed, name, image["id"], _DETECTOR), image, people)
    return found
