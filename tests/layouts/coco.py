"""A tiny copy of COCO keypoints 2017 (Lin et al. 2014) with all files that training and testing read."""

from functools import partial
from pathlib import Path

from poserep.data.synthetic.annotate import PERSON, coco_annotation
from poserep.data.synthetic.files import DRAWING_VERSION, check_arguments, once, write_packed
from poserep.skeleton import COCO

from .people import Entry, detections, ignored, labelled_pictures, store

_SPLITS = ("train2017", "val2017", "test2017")
# As published, the test files know no keypoints.
_TEST_CATEGORIES = [
    {"supercategory": "person", "id": 1, "name": "person"},
    {"supercategory": "vehicle", "id": 2, "name": "bicycle"},
]


def _fill(counts: tuple[int, int, int], seed: int, folder: Path) -> Entry:
    number = 1
    for split, (name, count) in enumerate(zip(_SPLITS, counts, strict=True)):
        images: list[Entry] = []
        labels: list[Entry] = []
        for index, picture in enumerate(labelled_pictures("coco", COCO.names, seed, split, count)):
            image_id = 100_000 * split + 700 + index
            images.append(store(folder / "images" / name, image_id, f"{image_id:012d}.jpg", picture))
            labels += [coco_annotation(p, image_id, number + len(labels) + i) for i, p in enumerate(picture.people)]
        content = {"info": {"year": 2017}, "images": images}
        results, file = f"COCO_{name}_detections_AP_H_56_person.json", f"person_keypoints_{name}.json"
        if name == "test2017":
            content["categories"] = _TEST_CATEGORIES
            results, file = "COCO_test-dev2017_detections_AP_H_609_person.json", "image_info_test-dev2017.json"
        else:
            labels += ignored(labels[0], images[0], number + len(labels))
            content |= {"annotations": labels, "categories": [PERSON]}
        number += len(labels)
        write_packed(folder / "annotations" / file, content)
        write_packed(folder / "person_detection_results" / results, detections("coco", seed, images, labels))
    return {"train": counts[0], "val": counts[1], "seed": seed, "version": DRAWING_VERSION}


def generate_coco(root: str | Path, train: int = 6, val: int = 6, seed: int = 0) -> Path:
    """Write COCO 2017's files once, with exact numbers of people with keypoints, and return their folder.

    As in the real files, that of test images has neither annotations nor keypoints, and each of the other two has
    someone without keypoints and a crowd. There are no masks.
    """
    check_arguments(seed, train=train, val=val)
    return once(root, f"coco-{train}-{val}-s{seed}", partial(_fill, (train, val, 2), seed))
