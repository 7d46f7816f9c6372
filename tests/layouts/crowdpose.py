"""A tiny copy of CrowdPose (Li et al. 2019) in the files that mmpose made of it, with true crowd indices."""

from functools import partial
from pathlib import Path

import numpy as np

from poserep.data.synthetic.annotate import PERSON, coco_values
from poserep.data.synthetic.files import DRAWING_VERSION, check_arguments, once, write_packed
from poserep.data.synthetic.world import Array
from poserep.skeleton import CROWDPOSE

from .people import Entry, Person, detections, ignored, labelled_pictures, people_of, store

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


def _fill(counts: tuple[int, int], seed: int, folder: Path) -> Entry:
    number = 100_000
    for split, (name, count) in enumerate(zip(("trainval", "test"), counts, strict=True)):
        images: list[Entry] = []
        labels: list[Entry] = []
        for picture in labelled_pictures("crowdpose", CROWDPOSE.names, seed, split, count):
            people = people_of(picture, CROWDPOSE.names)
            image_id = 100_000 + 200_000 * split + 7 * len(images)
            arrays = np.stack([p.labels for p in people]), np.array([p.drawn.box for p in people])
            image = store(folder / "images", image_id, f"{image_id}.jpg", picture)
            images.append({**image, "crowdIndex": crowd_index(*arrays)})
            labels += [_annotation(p, image_id, number + len(labels) + i) for i, p in enumerate(people)]
        labels += ignored(labels[0], images[0], number + len(labels))
        number += len(labels)
        content = {"images": images, "annotations": labels, "categories": [_CATEGORY]}
        write_packed(folder / "annotations" / f"mmpose_crowdpose_{name}.json", content)
    results = detections("crowdpose", seed, images, labels)
    write_packed(folder / "annotations" / "det_for_crowd_test_0.1_0.5.json", results)
    return {"trainval": counts[0], "test": counts[1], "seed": seed, "version": DRAWING_VERSION}


def generate_crowdpose(root: str | Path, train: int = 6, val: int = 6, seed: int = 0) -> Path:
    """Write CrowdPose's files once, with exact numbers of people with labelled joints, and return their folder.

    Its evaluation is on the test images, here ``val`` people. As in the real files annotations have no area, and each
    file has someone without keypoints and a crowd.
    """
    check_arguments(seed, train=train, val=val)
    return once(root, f"crowdpose-{train}-{val}-s{seed}", partial(_fill, (train, val), seed))
