"""What the tiny copies of the public data sets share: pictures, their people, and joints by any skeleton's names.

Each copy has the published files' names, fields and quirks, and its labels are true for its pictures.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from poserep.data.synthetic.annotate import DrawnPerson
from poserep.data.synthetic.detector import detect
from poserep.data.synthetic.files import rng_of, write_jpeg
from poserep.data.synthetic.scene import DrawnImage, draw_image
from poserep.data.synthetic.world import Array

_DETECTOR = 7919
# What a data set calls a joint of the figure; all other names are the figure's own.
_JOINTS = {"thorax": "neck", "upper_neck": "skull", "head_top": "crown", "head": "crown"}

Entry = dict[str, Any]


class Person(NamedTuple):
    """Someone in a picture: COCO's labels, and labels (K, 3) x, y, visibility of another skeleton's joints."""

    drawn: DrawnPerson
    labels: Array

    @property
    def labelled(self) -> bool:
        return bool((self.labels[:, 2] > 0).any())


def people_of(picture: DrawnImage, names: Sequence[str]) -> list[Person]:
    """Label a skeleton's joints of everybody of whom a pixel shows; those of whom too little shows have no labels."""
    joints = [_JOINTS.get(name, name) for name in names]
    return [
        Person(drawn, picture.view.label(joints, drawn.owner)[0] * (drawn.labelled > 0)) for drawn in picture.people
    ]


def labelled_pictures(
    name: str, names: Sequence[str], seed: int, split: int, count: int, level: str = "hard"
) -> Iterator[DrawnImage]:
    """Draw pictures until exactly ``count`` people in them have labels of a skeleton's joints."""
    index = 0
    while count:
        picture = draw_image(rng_of(seed, name, split, index), level, people=count)
        labelled = sum(person.labelled for person in people_of(picture, names))
        if labelled:
            yield picture
        count -= labelled
        index += 1


def group(name: str, seed: int, split: int, least: int) -> DrawnImage:
    """Draw a "hard" picture that shows at least so many people."""
    index = 0
    while True:
        picture = draw_image(rng_of(seed, name, split, index, least), "hard")
        if len(picture.people) >= least:
            return picture
        index += 1


def store(folder: Path, image_id: int, file_name: str, picture: DrawnImage) -> Entry:
    """Write a picture and return its entry in COCO-format files."""
    folder.mkdir(parents=True, exist_ok=True)
    write_jpeg(folder / file_name, picture)
    height, width = picture.image.shape[:2]
    return {"file_name": file_name, "id": image_id, "height": height, "width": width}


def detections(name: str, seed: int, images: Sequence[Entry], labels: Sequence[Entry]) -> list[Entry]:
    """Return a pretended detector's results on pictures whose people have COCO annotations; it overlooks crowds."""
    results = []
    for image in images:
        people = [a for a in labels if a["image_id"] == image["id"] and not a["iscrowd"]]
        results += detect(rng_of(seed, name, image["id"], _DETECTOR), image, people)
    return results
