"""HUMAN4D's depth cameras: images, calibration, projection, what is refused, and all of them in a drawn copy."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layouts import vicon_joints
from poserep.data.loaders.human4d import VICON_JOINTS, load_human4d
from poserep.data.loaders.human4d_cameras import DepthCamera, read_depth, read_intrinsics
from poserep.data.synthetic.skeleton3d import Figure, Pose, Proportions
from poserep.errors import InputError
from poserep.instances import Instance, Tally
from poserep.skeleton import HUMAN4D

DEVICES = ["M72e", "M72h"]
MATRIX = np.array([[600.0, 0, 640], [0, 600.0, 360], [0, 0, 1]])


def pgm(raw: np.ndarray, comment: str = "# depth\n") -> bytes:
    rows = "\n".join(" ".join(map(str, row)) for row in raw.tolist())
    return f"P2\n{comment}{raw.shape[1]} {raw.shape[0]}\n65535\n{rows}\n".encode()


def test_intrinsics_may_be_nested_or_flat(tmp_path):
    path = tmp_path / "device_repository.json"
    for matrix in (MATRIX, MATRIX.ravel()):
        table = {"1280x720": matrix.tolist()}
        for tables in (table, [table]):
            path.write_text(json.dumps([{"Device": "a", "Depth Intrinsics": tables}]))
            np.testing.assert_array_equal(read_intrinsics(path, ["a"])["a"], MATRIX)


def test_malformed_calibration_is_named(tmp_path):
    def devices(intrinsics):
        return [{"Device": d, "Depth Intrinsics": intrinsics} for d in DEVICES]

    path = tmp_path / "device_repository.json"
    for records, message in (
        ({"Device": "M72e"}, "must be a list of objects with Device"),
        ([{"Device": "M72e"}], r"lacks \['M72h'\]; it has \['M72e'\]"),
        (devices([{"640x480": 1}]), r"M72e has no .* it has \[\['640x480'"),
        (devices({"1280x720": [1, 2]}), r"\[1, 2\] are not 9 numbers"),
        (devices({"1280x720": MATRIX.T.tolist()}), "row by row"),
    ):
        path.write_text(json.dumps(records))
        with pytest.raises(InputError, match=rf"device_repository\.json.*{message}"):
            read_intrinsics(path, DEVICES)
    path = tmp_path / "M72h.extrinsics"
    for text, message in (
        ("1 0 0\n0 1 0\n0 0 1\n", "hold 9 finite numbers, not 12"),
        ("1 0 0\n0 1 0\n0 0 1\n0 nan 0\n", "hold 11 finite numbers, not 12"),
        ("1 0 0\n0 1 0\n0 0 1\n0 x 0\n", "cannot be read .could not convert"),
        ("1 0 0\n0 2 0\n0 0 1\n0 0 0\n", "no rotation"),
        ("1 0 0\n0 1 0\n0 0 -1\n0 0 0\n", "no rotation"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=rf"M72h\.extrinsics.*{message}"):
            DepthCamera(path, MATRIX)


def depth_values() -> np.ndarray:
    raw = np.arange(180 * 320).reshape(180, 320)
    raw[90, 0] = 65535
    return raw


def test_depth_is_cropped_and_in_metres(tmp_path):
    path, raw = tmp_path / "d.pgm", depth_values()
    expected = raw[10:-10] * 1e-4
    for data in (pgm(raw), pgm(raw, ""), pgm(raw).replace(b"\n", b"\r\n"), pgm(raw).replace(b"7 8\n", b"7 8 # x\n")):
        path.write_bytes(data)
        depth = read_depth(path)
        assert depth.shape == (160, 320) and depth.dtype == np.float32
        np.testing.assert_allclose(depth, expected, rtol=1e-6)
    path.write_bytes(b"P5\n# depth\n320 180 65535\n" + raw.astype(">u2").tobytes())
    np.testing.assert_allclose(read_depth(path), expected, rtol=1e-6)
    path.write_bytes(b"P5 320 180 255\n" + (raw % 256).astype(np.uint8).tobytes())
    np.testing.assert_allclose(read_depth(path), raw[10:-10] % 256 * 1e-4, rtol=1e-6)


def test_what_is_too_far_is_unknown(tmp_path, monkeypatch):
    path = tmp_path / "d.pgm"
    path.write_bytes(pgm(depth_values()))
    monkeypatch.setattr("poserep.data.loaders.human4d_cameras.FAR", 5.0)
    depth, raw = read_depth(path), depth_values()[10:-10]
    assert (depth[raw * np.float32(1e-4) >= 5] == 0).all() and depth.max() < 5 and depth[80, 0] == 0


BODY = pgm(depth_values())
BROKEN = [
    (b"", "is no PGM"),
    (b"P6 320 180 255\n", "is no PGM"),
    (b"\x89PNG\r\n", "is no PGM"),
    (BODY.replace(b"320 180", b"640 360"), r"has 640x360 px \(width x height\), not 320x180"),
    (BODY.replace(b"65535", b"70000", 1), "has the maximum 70000"),
    (BODY.replace(b"65535", b"60000", 1), "has the value 65535 above its maximum 60000"),
    (BODY[: len(BODY) // 2], "is cut short: .* of 57600 values"),
    (BODY[:30], "is cut short: 3 of 57600 values"),
    (BODY + b" 7\n", "has 57601 values for 57600 px"),
    (BODY.replace(b" 500 ", b" -500 "), "holds b'-' among its numbers"),
    (BODY.replace(b" 500 ", b" 99999999999999999999 "), "above its maximum 65535"),
    (BODY.replace(b" 500 ", b" 5e2 "), "holds b'e' among its numbers"),
    (b"P5 320 180 65535\n\0\0\0", "is cut short: 1 of 57600 values"),
]


def test_what_is_no_depth_image_is_named(tmp_path):
    path = tmp_path / "broken.pgm"
    for data, message in BROKEN:
        path.write_bytes(data)
        with pytest.raises(InputError, match=rf"broken\.pgm.*{message}"):
            read_depth(path)
    path.unlink()
    with pytest.raises(InputError, match=r"broken\.pgm cannot be read \(No such file"):
        read_depth(path)


@settings(max_examples=50)
@given(st.binary(max_size=60), st.sampled_from([b"", b"P2 ", b"P2\n#", b"P5 320 180 9\n", b"P2 320 180 65535\n"]))
def test_broken_depth_images_never_crash(tmp_path_factory, rest, start):
    path = tmp_path_factory.getbasetemp() / "fuzzed.pgm"
    path.write_bytes(start + rest)
    with pytest.raises(InputError, match="fuzzed"):
        read_depth(path)


FIGURE_JOINTS = (
    "pelvis", "chest", "neck", "head", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow",
    "left_wrist", "right_hip", "right_knee", "right_ankle", "", "left_hip", "left_knee", "left_ankle", "",
)  # fmt: skip
# How thick the flesh before a joint is at most, m: trunk, neck and head, arms, hips, legs.
LIMB = np.array([0.2, 0.2, 0.16, 0.16, *2 * [0.16, 0.09, 0.09], *2 * [0.2, 0.12, 0.12, 0.12]])


def test_vicon_joints_are_numbered_as_in_the_study():
    figure = Figure(Proportions(np.random.default_rng(0)), Pose(), 30.0)
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
            camera = DepthCamera(dump.parents[1] / "pose" / f"{device}.extrinsics", intrinsics)
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
