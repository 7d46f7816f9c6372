"""What the tiny copies of the public data sets share: pictures, their people, and joints by any skeleton's names.

Each copy has the published files' names, fields and quirks, and its labels are true for its pictures.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from poserep.data.image_files import write_jpeg
from poserep.data.synthetic.annotate import DrawnPerson
from poserep.data.synthetic.detector import detect
from poserep.data.synthetic.files import rng_of
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
    return [Person(p, picture.view.label(joints, p.owner)[0] * (p.labelled > 0)) for p in picture.people]


def labelled_pictures(name: str, names: Sequence[str], seed: int, split: int, count: int) -> Iterator[DrawnImage]:
    """Draw pictures until exactly ``count`` people in them have labels of a skeleton's joints."""
    index = 0
    while count:
        picture = draw_image(rng_of(seed, name, split, index), "hard", people=count)
        labelled = sum(person.labelled for person in people_of(picture, names))
        if labelled:
            yield picture
        count -= labelled
        index += 1


def store(folder: Path, image_id: int, file_name: str, picture: DrawnImage) -> Entry:
    """Write a picture and return its entry in COCO-format files."""
    folder.mkdir(parents=True, exist_ok=True)
    write_jpeg(folder / file_name, picture.image, picture.quality)
    height, width = picture.image.shape[:2]
    return {"file_name": file_name, "id": image_id, "height": height, "width": width}


def ignored(person: Entry, image: Entry, number: int) -> list[Entry]:
    """A person's place again: once without keypoints, and once, twice as wide, as a crowd."""
    x, y, w, h = person["bbox"]
    lonely = {**person, "num_keypoints": 0, "keypoints": [0] * len(person["keypoints"]), "id": number}
    return [lonely, {**lonely, "iscrowd": 1, "bbox": [x, y, min(2 * w, image["width"] - x), h], "id": number + 1}]


def detections(name: str, seed: int, images: Sequence[Entry], labels: Sequence[Entry]) -> list[Entry]:
    """Return a pretended detector's results on pictures whose people have COCO annotations; it overlooks crowds."""
    results = []
    for image in images:
        people = [a for a in labels if a["image_id"] == image["id"] and not a["iscrowd"]]
        results += detect(rng_of(seed, name, image["id"], _DETECTOR), image, people)
    return results
