"""A tiny copy of COCO keypoints 2017 (Lin et al. 2014) with all files that training and testing read."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from poserep.data.synthetic.annotate import CATEGORY, flat
from poserep.data.synthetic.files import VERSION, check_counts, once, rng_of, write_json
from poserep.data.synthetic.parallel import pool_of
from poserep.data.synthetic.scene import LEVELS, Picture
from poserep.data.synthetic.skeleton3d import KEYPOINT_NAMES
from poserep.errors import InputError

from .people import detections, drawn, group, store

_SPLITS = ("train2017", "val2017", "test2017")
_TEST_IMAGES = 2
_INFO = {"description": "synthetic people in the layout of COCO 2017", "version": VERSION, "year": 2017}
_LICENCES = [{"id": 1, "name": "drawn by a program", "url": ""}]
# As published, the test files know no keypoints.
_TEST_CATEGORIES = [
    {"supercategory": "person", "id": 1, "name": "person"},
    {"supercategory": "vehicle", "id": 2, "name": "bicycle"},
]


def polygons(mask: NDArray[np.bool_]) -> list[list[float]]:
    """Outlines of a mask (H, W), each [x, y, x, y, ...] with the corner of the image at 0, holes filled."""
    # OpenCV's outlines join centres of pixels; of pixels half as large they lie a quarter of a pixel inside the border.
    fine = np.kron(mask, np.ones((2, 2))).astype(np.uint8)
    rings, _ = cv2.findContours(fine, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return [((ring.reshape(-1, 2) + 0.5) / 2).ravel().tolist() for ring in rings]


def run_lengths(mask: NDArray[np.bool_]) -> dict[str, list[int]]:
    """COCO's uncompressed RLE of a mask (H, W): runs down the columns, the first one of background."""
    line = np.concatenate([[False], mask.ravel(order="F")])
    ends = np.append(np.flatnonzero(line[1:] != line[:-1]), mask.size)
    return {"counts": np.diff(ends, prepend=0).tolist(), "size": list(mask.shape)}


def _people(picture: Picture, image_id: int, first: int) -> list[dict[str, Any]]:
    masks = list(picture.view.masks())
    return [
        {
            "segmentation": polygons(masks[person.owner]),
            "num_keypoints": person.labelled,
            "area": float(person.area),
            "iscrowd": 0,
            "keypoints": flat(person.keypoints),
            "image_id": image_id,
            "bbox": list(person.box),
            "category_id": 1,
            "id": first + number,
        }
        for number, person in enumerate(picture.people)
    ]


def _crowd(picture: Picture, image_id: int, first: int) -> list[dict[str, Any]]:
    """Someone without keypoints, and all others taken for one crowd, as annotators do who give up counting."""
    nothing = {"num_keypoints": 0, "keypoints": [0] * 51}
    lonely = {**min(_people(picture, image_id, first), key=lambda person: person["area"]), **nothing, "id": first}
    small = min(picture.people, key=lambda person: person.area)
    masks = [mask for owner, mask in enumerate(picture.view.masks()) if owner != small.owner]
    mask = np.any(masks, axis=0)
    (rows, cols), area = np.nonzero(mask), float(mask.sum())
    x, y = float(cols.min()), float(rows.min())
    box = [x, y, float(cols.max()) + 1 - x, float(rows.max()) + 1 - y]
    crowd = {"segmentation": run_lengths(mask), "area": area, "iscrowd": 1, "bbox": box, "id": first + 1}
    return [lonely, {**lonely, **crowd}]


class _Copy:
    """The copy in the making: its folder, and the annotations numbered through all files."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.seed, self.next = folder, seed, 1

    def image(self, split: int, index: int, picture: Picture) -> dict[str, Any]:
        image_id = 100_000 * split + int(rng_of(self.seed, "coco", split).integers(1, 900)) + index
        record = store(self.folder / "images" / _SPLITS[split], image_id, f"{image_id:012d}.jpg", picture)
        return {"license": 1, **record, "date_captured": "2017-01-01 00:00:00"}

    def labelled(self, split: int, count: int, level: str) -> None:
        images: list[dict[str, Any]] = []
        labels: list[dict[str, Any]] = []
        pictures = [(picture, _people) for picture in drawn("coco", KEYPOINT_NAMES, self.seed, split, count, level)]
        pictures.append((group("coco", self.seed, split, 3), _crowd))
        for index, (picture, annotate) in enumerate(pictures):
            images.append(self.image(split, index, picture))
            labels += annotate(picture, images[-1]["id"], self.next + len(labels))
        self.next += len(labels)
        content = {"info": _INFO, "licenses": _LICENCES, "images": images, "annotations": labels}
        path = self.folder / "annotations" / f"person_keypoints_{_SPLITS[split]}.json"
        write_json(path, {**content, "categories": [CATEGORY]})
        if _SPLITS[split] == "val2017":
            self.detected("COCO_val2017_detections_AP_H_56_person.json", images, labels)

    def unlabelled(self, split: int) -> None:
        pictures = [group("coco", self.seed, split + index, 1) for index in range(_TEST_IMAGES)]
        images = [self.image(split, index, picture) for index, picture in enumerate(pictures)]
        pairs = zip(pictures, images, strict=True)
        labels = [label for picture, image in pairs for label in _people(picture, image["id"], 1)]
        content = {"info": _INFO, "images": images, "licenses": _LICENCES, "categories": _TEST_CATEGORIES}
        write_json(self.folder / "annotations" / "image_info_test-dev2017.json", content)
        self.detected("COCO_test-dev2017_detections_AP_H_609_person.json", images, labels)

    def detected(self, name: str, images: list[dict[str, Any]], labels: list[dict[str, Any]]) -> None:
        found = detections("coco", self.seed, images, labels)
        write_json(self.folder / "person_detection_results" / name, found)


def _fill(level: str, counts: tuple[int, int], seed: int, folder: Path) -> dict[str, Any]:
    copy = _Copy(folder, seed)
    for split, count in enumerate(counts):
        copy.labelled(split, count, level)
    copy.unlabelled(len(counts))
    return {"level": level, "train": counts[0], "val": counts[1], "seed": seed, "version": VERSION}


def generate_coco(root: str | Path, train: int = 6, val: int = 6, seed: int = 0, level: str = "hard") -> Path:
    """Write COCO 2017's files once (a second call returns at once) and return their folder.

    There are ``annotations/person_keypoints_{train,val}2017.json`` and ``image_info_test-dev2017.json``,
    ``images/{train,val,test}2017/%012d.jpg``, and in ``person_detection_results`` the pretended findings of the two
    published person detectors under their files' names. As in the real files, the test file has neither annotations
    nor keypoints, and each of the other two has someone without keypoints and a crowd (``iscrowd`` 1, a mask as run
    lengths), here in a picture of their own.

    Args:
        root: Folder that holds the generated one; made if missing.
        train: Exact number of people with keypoints in train2017.
        val: Exact number of people with keypoints in val2017.
        seed: Seed of every choice.
        level: "easy" (one clear person per picture) or "hard".

    Raises:
        InputError: If an argument is out of range.
    """
    if level not in LEVELS:
        raise InputError(f"unknown level {level!r} of the synthetic data set: use one of {', '.join(LEVELS)}")
    check_counts(seed, train=train, val=val)
    with pool_of(0):
        return once(root, f"coco-{level}-{train}-{val}-s{seed}-{VERSION}", partial(_fill, level, (train, val), seed))
