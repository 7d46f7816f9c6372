"""The drawn copy of HUMAN4D: its joints are the study's, and depth maps agree with poses and cameras."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from layouts import vicon_joints
from poserep.data.loaders.human4d import VICON_JOINTS, load_human4d
from poserep.data.loaders.human4d_cameras import DepthCamera, read_depth, read_intrinsics
from poserep.data.synthetic.skeleton3d import Pose, posed, sample_proportions
from poserep.instances import Instance, Tally
from poserep.skeleton import HUMAN4D

FIGURE_JOINTS = (
    "pelvis", "chest", "neck", "head", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow",
    "left_wrist", "right_hip", "right_knee", "right_ankle", "", "left_hip", "left_knee", "left_ankle", "",
)  # fmt: skip
# How thick the flesh before a joint is at most, m: trunk, neck and head, arms, hips, legs.
LIMB = np.array([0.2, 0.2, 0.16, 0.16, *2 * [0.16, 0.09, 0.09], *2 * [0.2, 0.12, 0.12, 0.12]])


def test_vicon_joints_are_numbered_as_in_the_study():
    figure = posed(sample_proportions(np.random.default_rng(0)), Pose(), 30.0)
    joints = vicon_joints(figure)
    assert joints.shape == (33, 3)
    for name, ours, joint in zip(HUMAN4D.names, FIGURE_JOINTS, joints[VICON_JOINTS], strict=True):
        # The base of the toes lies between the ankle and their tip.
        ends = [figure.joints[f"{name.split('_')[0]}_{end}"] for end in ("ankle", "toe")] if not ours else None
        expected = figure.joints[ours] if ours else 0.25 * ends[0] + 0.75 * ends[1]
        assert joint == pytest.approx(expected)


def views(root: Path) -> Iterator[tuple[Instance, DepthCamera, np.ndarray]]:
    """All views, with their cameras and the 18 joints of their poses, mm."""
    for split in ("training", "validation", "testing"):
        tally = Tally()
        found = load_human4d(root / f"{split}.txt", root, HUMAN4D, tally=tally)
        assert len(found) == tally.taken == 8 and not tally.left_out and not tally.mended
        for person in found:
            number, device, *_ = person.image.name.split("_")
            dump = person.image.parents[1]
            offsets = dict(line.split() for line in (dump.parents[1] / "offsets.txt").read_text().splitlines())
            intrinsics = read_intrinsics(root / "device_repository.json", [device])[device]
            camera = DepthCamera.read(dump.parents[1] / "pose" / f"{device}.extrinsics", intrinsics)
            pose = np.load(dump / "gposes3d" / f"{int(number) - int(offsets[dump.parent.name])}.npy")
            yield person, camera, pose[0, VICON_JOINTS]


def test_the_floor_is_flat_at_zero_and_joints_lie_just_below_the_surface(tiny_sets):
    v, u = np.mgrid[:160, :320]
    close = []
    for person, camera, pose in views(tiny_sets["human4d"]):
        depth = read_depth(person.image)
        # Of a calibrated pixel that is a quarter as wide, 40 px lower: (u + 0.5) / 4 - 0.5 the other way round.
        rays = np.stack([4 * u + 1.5, 4 * v + 41.5, np.ones(u.shape)], -1) @ np.linalg.inv(camera.intrinsics).T
        world = (rays * depth[..., None]) @ camera.rotation.T + camera.position / 1000
        measured = (depth > 0) & (v > 130)
        height = world[measured][:, 1]
        far = np.hypot(world[..., 0], world[..., 2])[measured] > 1.2
        assert far.sum() > 1000 and np.abs(height[far]).max() < 2e-4 and height.min() > -2e-4
        assert depth.max() < 6.5536 and (depth == 0).any()

        seen = person.weight > 0
        column, row = np.rint(person.keypoints[seen]).astype(int).T
        below = ((pose - camera.position) @ camera.rotation)[seen, 2] / 1000 - depth[row, column]
        # One never looks past a joint: all of them lie in the flesh. Unless another limb is before it, which is rare,
        # only the flesh covers it.
        assert (below > 0.0).all() and seen.mean() > 0.5 and person.head > 0
        close.append(below < LIMB[seen])
    assert np.concatenate(close).mean() > 0.8
