"""A tiny copy of COCO keypoints 2017 (Lin et al. 2014) with all files that training and testing read."""

from functools import partial
from pathlib import Path

import cv2
import numpy as np

from poserep.data.synthetic.annotate import PERSON, coco_annotation
from poserep.data.synthetic.files import DRAWING_VERSION, check_arguments, once, rng_of, write_packed
from poserep.data.synthetic.scene import DrawnImage
from poserep.data.synthetic.world import Mask
from poserep.skeleton import COCO

from .people import Entry, detections, group, labelled_pictures, store

_SPLITS = ("train2017", "val2017", "test2017")
_TEST_IMAGES = 2
_INFO = {"description": "synthetic people in the layout of COCO 2017", "version": DRAWING_VERSION, "year": 2017}
_LICENCES = [{"id": 1, "name": "drawn by a program", "url": ""}]
_KEYS = ("segmentation", "num_keypoints", "area", "iscrowd", "keypoints", "image_id", "bbox", "category_id", "id")
# As published, the test files know no keypoints.
_TEST_CATEGORIES = [
    {"supercategory": "person", "id": 1, "name": "person"},
    {"supercategory": "vehicle", "id": 2, "name": "bicycle"},
]


def polygons(mask: Mask) -> list[list[float]]:
    """Return outlines of a mask (H, W), each [x, y, x, y, ...] with the corner of the image at 0, holes filled."""
    # OpenCV's outlines join centres of pixels; of pixels half as large they lie a quarter of a pixel inside the border.
    fine = np.kron(mask, np.ones((2, 2))).astype(np.uint8)
    rings, _ = cv2.findContours(fine, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return [((ring.reshape(-1, 2) + 0.5) / 2).ravel().tolist() for ring in rings]


def run_lengths(mask: Mask) -> dict[str, list[int]]:
    """Return COCO's uncompressed RLE of a mask (H, W): runs down the columns, the first one of background."""
    line = np.concatenate([[False], mask.ravel(order="F")])
    ends = np.append(np.flatnonzero(line[1:] != line[:-1]), mask.size)
    return {"counts": np.diff(ends, prepend=0).tolist(), "size": list(mask.shape)}


def _people(picture: DrawnImage, image_id: int, first: int) -> list[Entry]:
    masks = list(picture.view.masks())
    entries = [
        {**coco_annotation(person, image_id, first + i), "segmentation": polygons(masks[person.owner])}
        for i, person in enumerate(picture.people)
    ]
    return [{key: entry[key] for key in _KEYS} for entry in entries]


def _crowd(picture: DrawnImage, image_id: int, first: int) -> list[Entry]:
    """Someone without keypoints, and all others taken for one crowd, as annotators do who give up counting."""
    nothing = {"num_keypoints": 0, "keypoints": [0] * 51}
    lonely = {**min(_people(picture, image_id, first), key=lambda person: person["area"]), **nothing, "id": first}
    small = min(picture.people, key=lambda person: person.area)
    mask = np.any([mask for owner, mask in enumerate(picture.view.masks()) if owner != small.owner], axis=0)
    (rows, cols), area = np.nonzero(mask), float(mask.sum())
    x, y = float(cols.min()), float(rows.min())
    box = [x, y, float(cols.max()) + 1 - x, float(rows.max()) + 1 - y]
    crowd = {"segmentation": run_lengths(mask), "area": area, "iscrowd": 1, "bbox": box, "id": first + 1}
    return [lonely, {**lonely, **crowd}]


def _fill(level: str, counts: tuple[int, int], seed: int, folder: Path) -> Entry:
    number = 1

    def image(split: int, index: int, picture: DrawnImage) -> Entry:
        image_id = 100_000 * split + int(rng_of(seed, "coco", split).integers(1, 900)) + index
        record = store(folder / "images" / _SPLITS[split], image_id, f"{image_id:012d}.jpg", picture)
        return {"license": 1, **record, "date_captured": "2017-01-01 00:00:00"}

    def detected(name: str, images: list[Entry], labels: list[Entry]) -> None:
        write_packed(folder / "person_detection_results" / name, detections("coco", seed, images, labels))

    for split, count in enumerate(counts):
        pictures = [(p, _people) for p in labelled_pictures("coco", COCO.names, seed, split, count, level)]
        pictures.append((group("coco", seed, split, 3), _crowd))
        images, labels = [], []
        for index, (picture, annotate) in enumerate(pictures):
            images.append(image(split, index, picture))
            labels += annotate(picture, images[-1]["id"], number + len(labels))
        number += len(labels)
        content = {"info": _INFO, "licenses": _LICENCES, "images": images, "annotations": labels}
        path = folder / "annotations" / f"person_keypoints_{_SPLITS[split]}.json"
        write_packed(path, {**content, "categories": [PERSON]})
    detected("COCO_val2017_detections_AP_H_56_person.json", images, labels)
    shown = [group("coco", seed, len(counts) + index, 1) for index in range(_TEST_IMAGES)]
    images = [image(len(counts), index, picture) for index, picture in enumerate(shown)]
    labels = [label for p, entry in zip(shown, images, strict=True) for label in _people(p, entry["id"], 1)]
    content = {"info": _INFO, "images": images, "licenses": _LICENCES, "categories": _TEST_CATEGORIES}
    write_packed(folder / "annotations" / "image_info_test-dev2017.json", content)
    detected("COCO_test-dev2017_detections_AP_H_609_person.json", images, labels)
    return {"level": level, "train": counts[0], "val": counts[1], "seed": seed, "version": DRAWING_VERSION}


def generate_coco(root: str | Path, train: int = 6, val: int = 6, seed: int = 0, level: str = "hard") -> Path:
    """Write COCO 2017's files once, with exact numbers of people with keypoints, and return their folder.

    As in the real files, that of test images has neither annotations nor keypoints, and each of the other two has
    someone without keypoints and a crowd (a mask as run lengths), here in a picture of their own.
    """
    check_arguments(seed, level, train=train, val=val)
    return once(root, f"coco-{level}-{train}-{val}-s{seed}", partial(_fill, level, (train, val), seed))
