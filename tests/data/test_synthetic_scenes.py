"""Drawn scenes: groups of 2 to 8, masks that are the visible pixels, crowds, and people without keypoints."""

import json
from itertools import groupby
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from poserep.data import load_coco
from poserep.data.synthetic import generate
from poserep.data.synthetic.group import Group
from poserep.data.synthetic.scene import LEVELS, DrawnImage
from poserep.skeleton import COCO

TRAIN, VAL, SEED = 50, 6, 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return generate(tmp_path_factory.mktemp("scenes"), "scenes", TRAIN, VAL, SEED, workers=1)


@pytest.fixture(scope="module")
def scenes(folder):
    """Each picture's entry, its annotations, and their masks (N, H, W)."""
    content = json.loads((folder / "annotations/train.json").read_text())
    people = {key: list(group) for key, group in groupby(content["annotations"], lambda a: a["image_id"])}
    return [
        (entry, people[entry["id"]], np.stack([coco_mask.decode(a["segmentation"]) for a in people[entry["id"]]]) > 0)
        for entry in content["images"]
    ]


def _drawn(index: int) -> DrawnImage:
    return DrawnImage(np.random.default_rng([SEED, 0, index, LEVELS.index("scenes")]), "scenes")


def test_pictures_show_two_to_eight_people(scenes):
    # The last picture shows as many as were missing.
    counts = [sum(not a["iscrowd"] for a in people) for _, people, _ in scenes[:-1]]
    assert min(counts) >= 2 and max(counts) <= 8
    sizes = np.array([(entry["width"], entry["height"]) for entry, _, _ in scenes])
    assert sizes.min() >= 128 and sizes.max() <= 192


def test_masks_are_boxed_counted_and_disjoint(scenes):
    for entry, people, masks in scenes:
        assert masks.shape[1:] == (entry["height"], entry["width"]) and masks.sum(axis=0).max() == 1
        for a, mask in zip(people, masks, strict=True):
            assert a["area"] == mask.sum() == coco_mask.area(a["segmentation"]) > 0
            assert tuple(a["bbox"]) == cv2.boundingRect(mask.astype(np.uint8))
            assert a["bbox"] == coco_mask.toBbox(a["segmentation"]).tolist()


def test_masks_are_what_the_rays_hit(scenes):
    _, people, masks = scenes[2]
    hits = _drawn(2).view.hits
    assert people[-1]["iscrowd"] and hits.scale == 3
    height, width = masks.shape[1:]
    owner = np.where(hits.surface < 0, -1, hits.table.owner[hits.surface])
    for person, mask in enumerate(masks):
        cells = [
            [(owner[3 * y : 3 * y + 3, 3 * x : 3 * x + 3] == person).sum() for x in range(width)] for y in range(height)
        ]
        assert (mask == (np.array(cells) >= 5)).all()


def test_visible_keypoints_lie_on_their_person(scenes):
    labelled = covered = 0
    for _, people, masks in scenes:
        for a, mask in zip(people, masks, strict=True):
            x, y, flag = np.array(a["keypoints"]).reshape(17, 3).T
            # A joint's own subpixel shows the person, the rest of its pixel may not.
            near = cv2.dilate(mask.astype(np.uint8), np.ones((3, 3)))
            assert near[np.rint(y[flag == 2]).astype(int), np.rint(x[flag == 2]).astype(int)].all()
            labelled, covered = labelled + (flag > 0).sum(), covered + (flag == 1).sum()
    assert 0.05 < covered / labelled < 0.35


def test_some_are_cut_covered_or_far_and_have_no_keypoints(scenes):
    everybody = [(entry, a) for entry, people, _ in scenes for a in people]
    crowds = [a for _, a in everybody if a["iscrowd"]]
    unlabelled = [a for _, a in everybody if not a["iscrowd"] and not a["num_keypoints"]]
    assert crowds and unlabelled and not any(any(a["keypoints"]) for a in crowds + unlabelled)
    assert not any(a["num_keypoints"] for a in crowds)
    labelled = [(entry, a) for entry, a in everybody if a["num_keypoints"]]
    assert len(labelled) == TRAIN and np.median([a["area"] for _, a in labelled]) > 32**2
    assert any(a["bbox"][0] == 0 or a["bbox"][0] + a["bbox"][2] == entry["width"] for entry, a in labelled)


def test_a_picture_follows_from_its_numbers(scenes, folder):
    one, again, other = _drawn(0), _drawn(0), _drawn(1)
    assert (one.image == again.image).all() and one.view.people == again.view.people
    assert one.image.shape != other.image.shape
    keys = "id", "image_id"
    assert [{k: v for k, v in a.items() if k not in keys} for a in scenes[0][1]] == list(one.view.people.values())
    stored = cv2.imread(str(folder / "images/train" / scenes[0][0]["file_name"]))[..., ::-1]
    assert np.abs(stored.astype(int) - one.image).mean() < 4.0


def test_groups_keep_their_distance():
    counts = set()
    for seed in range(300):
        group = Group.sample(np.random.default_rng(seed))
        counts.add(len(group.places))
        places = np.array(group.places)
        apart = np.linalg.norm(places[:, None] - places[None], axis=-1) + 9 * np.eye(len(places))
        assert apart.min() > 0.25
        # The first two are near, whoever else is left out.
        assert (places[:2, 1] > -7.0).all() and -group.depth == min(
            places[:, 1].min(), *(z for _, z in group.crowd), 0.0
        )
        x, _, depth = group.camera.project(np.insert(places, 1, 0.9, axis=1)).T
        assert (depth > 2.0).all() and (x > -0.15 * group.camera.width).all() and (x < 1.15 * group.camera.width).all()
    assert counts == set(range(2, 9))


def test_the_set_is_read_and_clean(folder, data):
    people = load_coco(folder / "annotations/train.json", folder / "images/train", COCO)
    assert len(people) == TRAIN
    words = [
        "data.level=scenes",
        f"data.root={folder.parent}",
        f"data.prepare.train={TRAIN}",
        f"data.prepare.val={VAL}",
    ]
    code, out, _ = data("check", *words)
    assert code == 0 and "no errors and no warnings" in out
