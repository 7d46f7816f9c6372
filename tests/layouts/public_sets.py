"""Tiny data sets of drawn people in the public data sets' own layouts, with the quirks of their files.

Each copy has the published files' names and fields, and its labels are true for its pictures.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.io import savemat

from poserep.data.image_files import write_jpeg
from poserep.data.synthetic.annotate import PERSON, coco_values
from poserep.data.synthetic.camera import PinholeCamera
from poserep.data.synthetic.coco_set import detect
from poserep.data.synthetic.files import DRAWING_VERSION, once, write_packed
from poserep.data.synthetic.scene import DrawnImage
from poserep.data.synthetic.skeleton3d import Figure
from poserep.data.synthetic.world import Array, Rng
from poserep.skeleton import COCO, CROWDPOSE, MPII

_DETECTOR = 7919
# What a data set calls a joint of the figure; all other names are the figure's own.
_JOINTS = {"thorax": "neck", "upper_neck": "skull", "head_top": "crown", "head": "crown"}
# As published: COCO's test files know no keypoints, and CrowdPose's limbs are COCO's, which name joints that it lacks.
_TEST_CATEGORIES = [
    {"supercategory": "person", "id": 1, "name": "person"},
    {"supercategory": "vehicle", "id": 2, "name": "bicycle"},
]
_CROWDPOSE = {**PERSON, "keypoints": list(CROWDPOSE.names), "skeleton": PERSON["skeleton"][:12]}
_EMPTY = np.zeros((0, 0))

Entry = dict[str, Any]


def rng_of(seed: int, name: str, *numbers: int) -> Rng:
    """Return a source of randomness that depends on nothing but the arguments."""
    return np.random.default_rng(np.random.SeedSequence([seed, *numbers, *name.encode()]))


class Person(NamedTuple):
    """Someone in a picture: COCO's annotation, and labels (K, 3) x, y, visibility of another skeleton's joints."""

    owner: int
    drawn: Entry
    labels: Array

    @property
    def labelled(self) -> bool:
        return bool((self.labels[:, 2] > 0).any())


def _people(picture: DrawnImage, names: Sequence[str]) -> list[Person]:
    """Label a skeleton's joints of everybody of whom a pixel shows; those of whom too little shows have no labels."""
    joints = [_JOINTS.get(name, name) for name in names]
    return [
        Person(owner, drawn, picture.view.label(joints, owner)[0] * (drawn["num_keypoints"] > 0))
        for owner, drawn in picture.view.people.items()
    ]


def _pictures(name: str, names: Sequence[str], seed: int, split: int, count: int) -> Iterator[DrawnImage]:
    """Draw pictures until exactly ``count`` people in them have labels of a skeleton's joints."""
    index = 0
    while count > 0:
        picture = DrawnImage(rng_of(seed, name, split, index), "hard", people=count)
        labelled = sum(person.labelled for person in _people(picture, names))
        if labelled:
            yield picture
        count -= labelled
        index += 1


def _store(folder: Path, image_id: int, file_name: str, picture: DrawnImage) -> Entry:
    """Write a picture and return its entry in COCO-format files."""
    folder.mkdir(parents=True, exist_ok=True)
    write_jpeg(folder / file_name, picture.image, picture.quality)
    height, width = picture.image.shape[:2]
    return {"file_name": file_name, "id": image_id, "height": height, "width": width}


def _ignored(person: Entry, image: Entry, number: int) -> list[Entry]:
    """A person's place again: once without keypoints, and once, twice as wide, as a crowd."""
    x, y, w, h = person["bbox"]
    lonely = {**person, "num_keypoints": 0, "keypoints": [0] * len(person["keypoints"]), "id": number}
    return [lonely, {**lonely, "iscrowd": 1, "bbox": [x, y, min(2 * w, image["width"] - x), h], "id": number + 1}]


def _detections(name: str, seed: int, images: Sequence[Entry], labels: Sequence[Entry]) -> list[Entry]:
    """Return a pretended detector's results on pictures whose people have COCO annotations; it overlooks crowds."""
    results = []
    for image in images:
        people = [a for a in labels if a["image_id"] == image["id"] and not a["iscrowd"]]
        results += detect(rng_of(seed, name, image["id"], _DETECTOR), image, people)
    return results


def _fill_coco(counts: tuple[int, int, int], seed: int, folder: Path) -> Entry:
    number = 1
    for split, (name, count) in enumerate(zip(("train2017", "val2017", "test2017"), counts, strict=True)):
        images, labels = [], []
        for index, picture in enumerate(_pictures("coco", COCO.names, seed, split, count)):
            image_id = 100_000 * split + 700 + index
            images.append(_store(folder / "images" / name, image_id, f"{image_id:012d}.jpg", picture))
            numbered = enumerate(picture.view.people.values(), number + len(labels))
            labels += [{"id": i, "image_id": image_id, **person} for i, person in numbered]
        content = {"info": {"year": 2017}, "images": images}
        results, file = f"COCO_{name}_detections_AP_H_56_person.json", f"person_keypoints_{name}.json"
        if name == "test2017":
            content["categories"] = _TEST_CATEGORIES
            results, file = "COCO_test-dev2017_detections_AP_H_609_person.json", "image_info_test-dev2017.json"
        else:
            labels += _ignored(labels[0], images[0], number + len(labels))
            content |= {"annotations": labels, "categories": [PERSON]}
        number += len(labels)
        write_packed(folder / "annotations" / file, content)
        write_packed(folder / "person_detection_results" / results, _detections("coco", seed, images, labels))
    return {"train": counts[0], "val": counts[1], "seed": seed, "version": DRAWING_VERSION}


def generate_coco(root: str | Path, train: int = 6, val: int = 6, seed: int = 0) -> Path:
    """Write COCO 2017's files (Lin et al. 2014) once, with exact numbers of people with keypoints; return their folder.

    As in the real files, that of test images has neither annotations nor keypoints, and each of the other two has
    someone without keypoints and a crowd. There are no masks.
    """
    return once(root, f"coco-{train}-{val}-s{seed}", partial(_fill_coco, (train, val, 2), seed))


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


def _fill_crowdpose(counts: tuple[int, int], seed: int, folder: Path) -> Entry:
    number = 100_000
    for split, (name, count) in enumerate(zip(("trainval", "test"), counts, strict=True)):
        images, labels = [], []
        for picture in _pictures("crowdpose", CROWDPOSE.names, seed, split, count):
            people = _people(picture, CROWDPOSE.names)
            image_id = 100_000 + 200_000 * split + 7 * len(images)
            arrays = np.stack([p.labels for p in people]), np.array([p.drawn["bbox"] for p in people])
            image = _store(folder / "images", image_id, f"{image_id}.jpg", picture)
            images.append({**image, "crowdIndex": crowd_index(*arrays)})
            for person in people:
                # Published files have no areas, and their num_keypoints leaves out head and neck, which come last.
                own = {"num_keypoints": int((person.labels[:12, 2] > 0).sum()), "keypoints": coco_values(person.labels)}
                labels.append({"id": number + len(labels), "image_id": image_id, **person.drawn, **own})
                del labels[-1]["area"]
        labels += _ignored(labels[0], images[0], number + len(labels))
        number += len(labels)
        content = {"images": images, "annotations": labels, "categories": [_CROWDPOSE]}
        write_packed(folder / "annotations" / f"mmpose_crowdpose_{name}.json", content)
    results = _detections("crowdpose", seed, images, labels)
    write_packed(folder / "annotations" / "det_for_crowd_test_0.1_0.5.json", results)
    return {"trainval": counts[0], "test": counts[1], "seed": seed, "version": DRAWING_VERSION}


def generate_crowdpose(root: str | Path, train: int = 6, val: int = 6, seed: int = 0) -> Path:
    """Write CrowdPose's files (Li et al. 2019) as mmpose made them, once, with exact numbers of people with joints.

    Crowd indices are true. Its evaluation is on the test images, here ``val`` people. Each file has someone without
    keypoints and a crowd. Returns the folder.
    """
    return once(root, f"crowdpose-{train}-{val}-s{seed}", partial(_fill_crowdpose, (train, val), seed))


def head_box(figure: Figure, camera: PinholeCamera) -> Array:
    """Return the rectangle [x1, y1, x2, y2] around the head in the picture, an ellipsoid without hair, image px."""
    polar, turn = np.meshgrid(np.linspace(0, np.pi, 37), np.linspace(0, 2 * np.pi, 73))
    sphere = np.stack([np.sin(polar) * np.cos(turn), np.cos(polar), np.sin(polar) * np.sin(turn)], -1).reshape(-1, 3)
    points = figure.joints["head"] + sphere * figure.body.head @ figure.frames["head"].T
    x, y, _ = camera.project(points).T
    return np.array([x.min(), y.min(), x.max(), y.max()])


def _mpii_record(name: str, person: Person) -> Entry:
    """Return a person in numbers as MPII writes them: 1-based px."""
    labelled = person.labels[:, 2] > 0
    x, y, w, h = person.drawn["bbox"]
    corners = np.vstack([[[x, y], [x + w - 1, y + h - 1]], person.labels[labelled, :2]])
    low, high = corners.min(0), corners.max(0)
    return {
        "joints_vis": labelled.astype(int).tolist(),
        "joints": np.where(labelled[:, None], (person.labels[:, :2] + 1).round(2), -1.0).tolist(),
        "image": name,
        # Of whoever stands this is the height; who lies is as large.
        "scale": round(float((high - low).max() + 1) / 200, 6),
        "center": np.rint((low + high) / 2 + 1).tolist(),
    }


def structs(*rows: Mapping[str, Any]) -> Array:
    """A MATLAB struct array (1, N), (0, 0) without rows; what a row lacks is empty, as MATLAB has it."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    array = np.empty((1, len(rows)), [(name, object) for name in names]) if rows else _EMPTY
    for i, row in enumerate(rows):
        for name in names:
            array[name][0, i] = row.get(name, _EMPTY)
    return array


def _fill_mpii(counts: tuple[int, int], seed: int, folder: Path) -> Entry:
    shown = 0
    for split, (name, count) in enumerate(zip(("train", "valid"), counts, strict=True)):
        records, heads = [], []
        for picture in _pictures("mpii", MPII.names, seed, split, count):
            file, view = f"{10_000_000 + 17 * shown:09d}.jpg", picture.view
            _store(folder / "images", shown, file, picture)
            shown += 1
            for person in _people(picture, MPII.names):
                if person.labelled:
                    records.append(_mpii_record(file, person))
                    heads.append(head_box(view.figures[person.owner], view.hits.camera) + 1)
        write_packed(folder / "annot" / f"{name}.json", records)
    content = {
        "jnt_missing": 1 - np.array([record["joints_vis"] for record in records], np.uint8).T,
        "pos_gt_src": np.array([record["joints"] for record in records]).transpose(1, 2, 0),
        "headboxes_src": np.stack(heads, axis=-1).round(2).reshape(2, 2, -1),
    }
    savemat(folder / "annot" / "gt_valid.mat", content)
    return {"train": counts[0], "val": counts[1], "seed": seed, "version": DRAWING_VERSION}


def generate_mpii(root: str | Path, train: int = 6, val: int = 6, seed: int = 0) -> Path:
    """Write MPII's files (Andriluka et al. 2014) as they are usually prepared, once, with exact numbers of people.

    As in the real files all px are 1-based, joints that nobody labelled are -1, ``scale`` is a person's size / 200 px,
    ``center`` its middle, whole px. Returns the folder.
    """
    return once(root, f"mpii-{train}-{val}-s{seed}", partial(_fill_mpii, (train, val), seed))
