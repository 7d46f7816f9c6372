"""Tiny copies of the public data sets: true layouts, labels that agree with the pictures, and the loaders' reading."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools import mask as rle
from pycocotools.coco import COCO as CocoFile
from scipy.io import loadmat

from layouts.people import labelled_pictures, people_of
from poserep.data.loaders.human4d import DEVICES, VICON_JOINTS, load_human4d
from poserep.data.loaders.mpii import load_mpii
from poserep.data.synthetic.human4d_set import vicon_joints
from poserep.data.synthetic.skeleton3d import Pose, posed, sample_proportions
from poserep.instances import Tally
from poserep.skeleton import COCO, CROWDPOSE, HUMAN4D, MPII

FIGURE_JOINTS = (
    "pelvis", "chest", "neck", "head", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow",
    "left_wrist", "right_hip", "right_knee", "right_ankle", "", "left_hip", "left_knee", "left_ankle", "",
)  # fmt: skip
# How thick the flesh before a joint is at most, m: trunk, neck and head, arms, hips, legs.
LIMB = np.array([0.2, 0.2, 0.16, 0.16, *2 * [0.16, 0.09, 0.09], *2 * [0.2, 0.12, 0.12, 0.12]])


def _json(path: Path):
    return json.loads(path.read_text())


def test_joints_that_skeletons_share_have_cocos_labels():
    limbs = COCO.names[5:]
    picture = next(labelled_pictures("any", limbs, 0, 0, 9))
    for person in people_of(picture, limbs):
        assert (person.labels == person.drawn.keypoints[5:]).all()


def _check_images(images, folder: Path) -> None:
    for image in images:
        assert cv2.imread(str(folder / image["file_name"])).shape == (image["height"], image["width"], 3)


def test_coco_reads_as_coco(tiny_sets):
    coco = tiny_sets["coco"]
    ids = []
    for split in ("train2017", "val2017"):
        file = CocoFile(coco / "annotations" / f"person_keypoints_{split}.json")
        labels = list(file.anns.values())
        assert sum(a["num_keypoints"] > 0 for a in labels) == 6
        assert sum(a["iscrowd"] for a in labels) == 1
        assert any(not a["num_keypoints"] and not a["iscrowd"] for a in labels)
        _check_images(file.imgs.values(), coco / "images" / split)
        assert all(image["file_name"] == f"{image['id']:012d}.jpg" for image in file.imgs.values())
        for a in labels:
            assert len(a["keypoints"]) == 51 and sum(v > 0 for v in a["keypoints"][2::3]) == a["num_keypoints"]
            mask = file.annToMask(a)
            assert rle.toBbox(file.annToRLE(a)).tolist() == a["bbox"]
            # Outlines fill holes.
            assert mask.sum() == a["area"] if a["iscrowd"] else a["area"] <= mask.sum() <= 1.5 * a["area"]
            assert isinstance(a["segmentation"], dict if a["iscrowd"] else list)
        ids += file.anns
    assert len(set(ids)) == len(ids)


def _crowd_index(labels: list[dict]) -> float:
    def inside(a, b):
        x, y, w, h = a["bbox"]
        points = np.array(b["keypoints"]).reshape(14, 3)
        return sum(v > 0 and x <= px <= x + w and y <= py <= y + h for px, py, v in points)

    ratios = [sum(inside(a, b) for b in labels if b is not a) / inside(a, a) for a in labels if inside(a, a)]
    return min(1.0, sum(ratios) / len(ratios)) if ratios else 0.0


def test_crowdpose_layout(tiny_sets):
    crowdpose = tiny_sets["crowdpose"]
    notes = crowdpose / "annotations"
    files = {s: _json(notes / f"mmpose_crowdpose_{s}.json") for s in ("train", "val", "trainval", "test")}
    assert files["trainval"]["images"] == files["train"]["images"] + files["val"]["images"]
    assert files["trainval"]["annotations"] == files["train"]["annotations"] + files["val"]["annotations"]
    everyone = files["trainval"]["annotations"] + files["test"]["annotations"]
    assert len({a["id"] for a in everyone}) == len(everyone)
    assert sum(a["iscrowd"] for a in everyone) == 3
    assert any(not a["iscrowd"] and not any(a["keypoints"]) for a in everyone)
    for a in everyone:
        assert set(a) == {"num_keypoints", "iscrowd", "keypoints", "image_id", "bbox", "category_id", "id"}
        assert len(a["keypoints"]) == 42 and a["num_keypoints"] == sum(v > 0 for v in a["keypoints"][2:36:3])
    for content in files.values():
        _check_images(content["images"], crowdpose / "images")
        assert content["categories"][0]["keypoints"] == list(CROWDPOSE.names)
        assert all(image["file_name"] == f"{image['id']}.jpg" for image in content["images"])
    # Crowd indices are true, and of all three kinds.
    content = files["test"]
    for image in content["images"]:
        people = [a for a in content["annotations"] if a["image_id"] == image["id"]]
        assert image["crowdIndex"] == pytest.approx(_crowd_index(people), abs=0.0051)
    kinds = np.digitize([image["crowdIndex"] for image in content["images"]], (0.2, 0.8))
    assert np.bincount(kinds, minlength=3).tolist() == [2, 1, 1]


def test_mpii_files_agree(tiny_sets):
    mpii = tiny_sets["mpii"]
    valid, heads = _json(mpii / "annot/valid.json"), loadmat(mpii / "annot/gt_valid.mat")
    joints, seen = np.array([r["joints"] for r in valid]), np.array([r["joints_vis"] for r in valid])
    assert joints.shape == (6, 16, 2) and set(valid[0]) == {"joints_vis", "joints", "image", "scale", "center"}
    assert (heads["pos_gt_src"] == joints.transpose(1, 2, 0)).all()
    assert (heads["jnt_missing"] == 1 - seen.T).all()
    assert heads["dataset_joints"].shape == (1, 16) and np.where(heads["dataset_joints"] == "head")[1] == [9]
    assert heads["headboxes_src"].shape == (2, 2, 6)
    assert (joints[seen == 0] == -1).all() and 0 < (seen == 0).sum() < seen.size / 2
    low, high = heads["headboxes_src"].transpose(0, 2, 1)
    # The top of the head lies on the head, between whose ends the neck's does not reach far below.
    for joint, slack in ((9, 0.02), (8, 0.3)):
        here, size = seen[:, joint] > 0, (high - low).max(1, keepdims=True)
        inside = (joints[:, joint] >= low - slack * size) & (joints[:, joint] <= high + slack * size)
        assert inside[here].all() and here.any()
    for record, points, shown in zip(valid, joints, seen > 0, strict=True):
        height, width = cv2.imread(str(mpii / "images" / record["image"])).shape[:2]
        assert (points[shown] >= 1).all() and (points[shown] <= (width, height)).all()
        reach = np.abs(points[shown] - record["center"]).max()
        assert reach <= 100 * record["scale"] + 1


def test_mpii_loads(tiny_sets):
    mpii = tiny_sets["mpii"]
    tally = Tally()
    found = load_mpii(mpii / "annot/valid.json", mpii / "images", MPII, heads=mpii / "annot/gt_valid.mat", tally=tally)
    assert len(found) == 6 and not tally.left_out and not tally.mended
    assert all(person.head > 0 and person.image.is_file() for person in found)
    assert len(load_mpii(mpii / "annot/train.json", mpii / "images", MPII)) == 6
    released = load_mpii(mpii / "mpii_human_pose_v1_u12_1.mat", mpii / "images", MPII)
    assert len(released) == 12
    for one, other in zip(found, released[6:], strict=True):
        assert one.image == other.image and one.head == pytest.approx(other.head)
        assert (one.keypoints == other.keypoints).all() and (one.weight == other.weight).all()
        assert (one.box == other.box).all()


def test_vicon_joints_are_numbered_as_in_the_study():
    figure = posed(sample_proportions(np.random.default_rng(0)), Pose(), 30.0)
    joints = vicon_joints(figure)
    assert joints.shape == (33, 3)
    for name, ours, joint in zip(HUMAN4D.names, FIGURE_JOINTS, joints[VICON_JOINTS], strict=True):
        # The base of the toes lies between the ankle and their tip.
        ends = [figure.joints[f"{name.split('_')[0]}_{end}"] for end in ("ankle", "toe")] if not ours else None
        expected = figure.joints[ours] if ours else 0.25 * ends[0] + 0.75 * ends[1]
        assert joint == pytest.approx(expected)


def _cameras(root: Path, subject: str):
    for device in _json(root / "device_repository.json"):
        fx, _, cx, _, fy, cy, *rest = device["Depth Intrinsics"][0]["1280x720"]
        assert rest == [0, 0, 1]
        numbers = np.loadtxt(root / subject / "pose" / f"{device['Device']}.extrinsics")
        yield device["Device"], (fx, fy), (cx, cy), numbers[:3], numbers[3]


def _pgm(path: Path) -> np.ndarray:
    words = path.read_text().split()
    assert words[:4] == ["P2", "320", "180", "65535"]
    return np.array(words[4:], int).reshape(180, 320) * 1e-4


def _frames(root: Path):
    for split in ("training", "validation", "testing"):
        for line in (root / f"{split}.txt").read_text().splitlines():
            number, subject, recording = line.split()
            offsets = dict(row.split() for row in (root / subject / "offsets.txt").read_text().splitlines())
            dump = root / subject / recording / "Dump"
            pose = np.load(dump / "gposes3d" / f"{int(number) - int(offsets[recording])}.npy")
            assert pose.shape == (1, 33, 3)
            for device, *calibration in _cameras(root, subject):
                yield pose[0] / 1000, _pgm(next(dump.glob(f"depth/{number}_{device}_depth_*.pgm"))), calibration


def test_human4d_floor_is_flat_at_zero(tiny_sets):
    human4d = tiny_sets["human4d"]
    v, u = np.mgrid[:180, :320]
    for _, depth, ((fx, fy), (cx, cy), rotation, position) in _frames(human4d):
        # Of a calibrated pixel that is a quarter as wide: (u + 0.5) / 4 - 0.5 the other way round.
        rays = np.stack([(4 * u + 1.5 - cx) / fx, (4 * v + 1.5 - cy) / fy, np.ones(u.shape)], axis=-1)
        world = (rays * depth[..., None]) @ rotation.T + position / 1000
        measured = (depth > 0) & (v > 140)
        height = world[measured][:, 1]
        far = np.hypot(world[..., 0], world[..., 2])[measured] > 1.2
        assert far.sum() > 1000
        assert np.abs(height[far]).max() < 2e-4
        assert height.min() > -2e-4
        assert depth.max() < 6.5536 and (depth == 0).any()


def test_human4d_joints_lie_just_below_the_surface(tiny_sets):
    human4d = tiny_sets["human4d"]
    close = []
    for pose, depth, ((fx, fy), (cx, cy), rotation, position) in _frames(human4d):
        local = (pose[VICON_JOINTS] - position / 1000) @ rotation
        calibrated = local[:, :2] / local[:, 2:] * (fx, fy) + (cx, cy)
        u, v = np.rint((calibrated + 0.5) / 4 - 0.5).astype(int).T
        inside = (u >= 0) & (u < 320) & (v >= 0) & (v < 180)
        below = local[inside, 2] - depth[v[inside], u[inside]]
        # One never looks past a joint: all of them lie in the flesh.
        assert (below > 0.0).all()
        # Unless another limb is before it, which is rare, only the flesh covers it.
        close.append(below < LIMB[inside])
    assert np.concatenate(close).mean() > 0.8


def test_human4d_loads(tiny_sets):
    human4d = tiny_sets["human4d"]
    cameras = {device: calibration for device, *calibration in _cameras(human4d, "S1")}
    assert tuple(cameras) == DEVICES
    for split in ("training", "validation", "testing"):
        tally = Tally()
        found = load_human4d(human4d / f"{split}.txt", human4d, HUMAN4D, tally=tally)
        assert len(found) == tally.taken == 8 and not tally.left_out and not tally.mended
        assert np.mean([person.weight for person in found]) > 0.9
        assert all(person.head > 0 for person in found)
    first = load_human4d(human4d / "training.txt", human4d, HUMAN4D)[0]
    (fx, fy), (cx, cy), rotation, position = cameras[first.image.name.split("_")[1]]
    pose = np.load(first.image.parents[1] / "gposes3d" / "101.npy")[0, VICON_JOINTS]
    local = (pose - position) @ rotation
    expected = (local[:, :2] / local[:, 2:] * (fx, fy) + (cx, cy - 40) + 0.5) / 4 - 0.5
    assert np.abs(expected - first.keypoints)[first.weight > 0].max() < 1e-3
