"""Tiny copies of the public data sets: true layouts, labels that agree with the pictures, and the loaders' reading."""

import json
from pathlib import Path

import numpy as np
import pytest

from layouts.people import labelled_pictures, people_of
from poserep.data.loaders.human4d import DEVICES, VICON_JOINTS, load_human4d
from poserep.data.loaders.mpii import load_mpii
from poserep.data.synthetic.human4d_set import vicon_joints
from poserep.data.synthetic.skeleton3d import Pose, posed, sample_proportions
from poserep.instances import Tally
from poserep.skeleton import COCO, HUMAN4D, MPII

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


def test_mpii_loads(tiny_sets):
    mpii = tiny_sets["mpii"]
    tally = Tally()
    found = load_mpii(mpii / "annot/valid.json", mpii / "images", MPII, heads=mpii / "annot/gt_valid.mat", tally=tally)
    assert len(found) == 6 and not tally.left_out and not tally.mended
    assert all(person.head > 0 and person.image.is_file() for person in found)
    assert len(load_mpii(mpii / "annot/train.json", mpii / "images", MPII)) == 6


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
