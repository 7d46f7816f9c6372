"""HUMAN4D's files: a camera computed by hand, every file missing or malformed, and no view lost in silence."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poserep.data.loaders.human4d import VICON_JOINTS, load_human4d
from poserep.errors import InputError
from poserep.instances import Tally
from poserep.skeleton import COCO, HUMAN4D

MATRIX = [600.0, 0, 640, 0, 600.0, 360, 0, 0, 1]
DEVICES = ["M72e", "M72h"]
FRAMES = (101, 102, 103)
RECORDING = Path("S1") / "19-07-12-walking"
DUMP = RECORDING / "Dump"
LINES = b"".join(b"%d S1 %s\n" % (frame, RECORDING.name.encode()) for frame in FRAMES)


def skeleton_in_view(shift: float = 0.0) -> np.ndarray:
    """(1, 33, 3) mm: what the first camera, at the origin and along z, sees; VICON joints not of the 18 are far off."""
    pose = np.full((1, 33, 3), 9e4, np.float32)
    column, row = np.divmod(np.arange(18), 6)
    pose[0, VICON_JOINTS] = np.stack([column * 100.0 + shift, row * 100.0, np.full(18, 3000.0)], 1)
    return pose


def write_tree(root: Path) -> Path:
    records = [{"Device": d, "Depth Intrinsics": [{"640x480": [0] * 9}, {"1280x720": MATRIX}]} for d in DEVICES]
    (root / "device_repository.json").write_text(json.dumps(records))
    pose, dump = root / "S1" / "pose", root / DUMP
    for folder in (pose, dump / "depth", dump / "gposes3d"):
        folder.mkdir(parents=True)
    np.savetxt(pose / "M72e.extrinsics", np.vstack([np.eye(3), np.zeros(3)]))
    # A quarter turn about y, to look along the world's x; three metres to the left of people, so as to have them three
    # metres before it as well.
    turn = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])
    np.savetxt(pose / "M72h.extrinsics", np.vstack([turn, [-3000, 0, 3000]]))
    (root / "S1" / "offsets.txt").write_text(f"other\t7\n{RECORDING.name}\t100\n")
    for frame in FRAMES:
        np.save(dump / "gposes3d" / f"{frame - 100}.npy", skeleton_in_view(frame - 101))
        for device in DEVICES:
            (dump / "depth" / f"{frame}_{device}_depth_{frame * 33}.pgm").write_bytes(b"")
    (root / "training.txt").write_bytes(LINES)
    return root


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return write_tree(tmp_path)


def load(root: Path, **options):
    return load_human4d(root / "training.txt", root, **{"skeleton": HUMAN4D, "devices": DEVICES, **options})


def test_views_are_samples_in_the_order_of_the_list(tree):
    tally = Tally()
    instances = load(tree, tally=tally)
    names = [f"{frame}_{device}_depth_{frame * 33}.pgm" for frame in FRAMES for device in DEVICES]
    assert [i.image for i in instances] == [tree / DUMP / "depth" / name for name in names]
    assert [i.image_id for i in instances] == [i.id for i in instances] == list(range(6))
    assert tally.line() == "6 taken"
    for instance in instances:
        assert instance.box.tolist() == [0, 0, 320, 160] and (instance.area, instance.score) == (0, 1)
        assert instance.keypoints.dtype == instance.weight.dtype == np.float32
        assert instance.weight.tolist() == [1] * 18


def test_joints_are_where_they_were_computed_by_hand(tree):
    first, second, later = load(tree)[:3]
    # Joint 7 of 18 lies 100 mm to the right and 100 mm below the axis, at 3 m: 20 px at 1280x720.
    np.testing.assert_allclose(first.keypoints[0], [(640 + 0.5) / 4 - 0.5, (360 - 40 + 0.5) / 4 - 0.5], atol=1e-5)
    np.testing.assert_allclose(first.keypoints[7], [(660 + 0.5) / 4 - 0.5, (340 + 0.5) / 4 - 0.5], atol=1e-5)
    # For the camera that looks along x, the same joint is 100 mm farther, and everybody stands on the axis.
    np.testing.assert_allclose(second.keypoints[7], [159.625, 79.625 + 600 * 100 / 3100 / 4], atol=1e-5)
    # Frame 102 shows pose 2, which stands a millimetre to the right of pose 1.
    np.testing.assert_allclose(later.keypoints - first.keypoints, [[600 / 3000 / 4, 0]] * 18, atol=1e-5)
    # Neck 2, head 3: neighbours in a column.
    assert first.head == pytest.approx(5)
    published = load(tree, project="published")[0]
    np.testing.assert_allclose(published.keypoints[0], [640 / 4 - 0.5, 320 / 4 - 0.5], atol=1e-5)


def test_joints_out_of_sight_have_no_weight(tree):
    path = tree / DUMP / "gposes3d" / "1.npy"
    pose = skeleton_in_view()
    behind, beside, head = VICON_JOINTS[0], VICON_JOINTS[1], VICON_JOINTS[3]
    pose[0, behind, 2] *= -1
    pose[0, beside, 0] = 4000
    pose[0, head, 1] = -2000
    np.save(path, pose)
    instance = load(tree)[0]
    assert instance.weight.tolist() == [0, 0, 1, 0] + [1] * 14
    assert np.isfinite(instance.keypoints).all() and instance.keypoints[1, 0] > 320
    assert instance.head == 0
    pose = skeleton_in_view()
    pose[..., 2] *= -1
    np.save(path, pose)
    tally = Tally()
    instances = load(tree, tally=tally)
    assert [i.id for i in instances] == [2, 3, 4, 5]
    assert tally.line() == "4 taken; left out: 2 no joint in the image"


def test_two_images_of_one_frame_are_refused(tree):
    (tree / DUMP / "depth" / "101_M72e_depth_1.pgm").touch()
    with pytest.raises(InputError, match=r"101_M72e_depth_1\.pgm and 101_M72e_depth_3333\.pgm are both frame 101"):
        load(tree)


def test_recordings_without_offset_have_none(tree):
    (tree / "S1" / "offsets.txt").write_text("")
    folder = tree / DUMP / "gposes3d"
    for frame in FRAMES:
        (folder / f"{frame - 100}.npy").rename(folder / f"{frame:05}.npy")
    tally = Tally()
    assert len(load(tree, tally=tally)) == 6
    assert tally.line() == "6 taken; mended: 1 recording without offset, taken as 0"


def test_what_all_views_need_is_refused_by_name_even_if_views_may_be_skipped(tree):
    for change, message in (
        ({"skeleton": COCO}, "'coco' does not have HUMAN4D's keypoints"),
        ({"project": "exakt"}, "project='exakt' is not one of"),
    ):
        with pytest.raises(InputError, match=message):
            load(tree, **change)
    for file, text, message in (
        ("S1/offsets.txt", f"{RECORDING.name}\tlate\n", r"the offset of 19-07-12-walking is \['late'\]"),
        ("S1/offsets.txt", None, "one of lines 'recording offset'"),
        ("S1/pose/M72e.extrinsics", None, "one file per subject"),
        ("training.txt", "\nx\n", "gives no view .*left out: 2 malformed list line"),
        ("training.txt", None, "'frame subject recording'"),
        ("device_repository.json", None, "does not exist"),
    ):
        path = tree / file
        whole = path.read_text()
        path.unlink() if text is None else path.write_text(text)
        with pytest.raises(InputError, match=rf"{path.name}.*{message}"):
            load(tree, skip_invalid=True)
        path.write_text(whole)


def npy(pose: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, pose)
    return buffer.getvalue()


POSE = DUMP / "gposes3d" / "2.npy"
# By reason: a file, what it holds (None: it is gone), what is said, and how many views are lost.
DAMAGE = {
    "no pose": (POSE, None, r"gposes3d/2\.npy does not", 2),
    "no depth image": (DUMP / "depth/102_M72h_depth_3366.pgm", None, r"102_M72h_depth_\*\.pgm does not exist", 1),
    "unreadable pose": (POSE, b"PK", r"2\.npy cannot be read", 2),
    "malformed pose": (POSE, npy(np.zeros((33, 3))), r"2\.npy is no array of numbers", 2),
    "not one person of all joints": (POSE, npy(np.zeros((2, 33, 3))), r"2\.npy has 2 people of 33 joints", 2),
    "impossible pose": (POSE, npy(np.full((1, 33, 3), np.nan)), r"2\.npy has joints that are not numbers", 2),
    "malformed list line": ("training.txt", LINES + b"one S1 walk\n",
                            r"training\.txt: entry 4, 'one S1 walk', is not 'frame subject recording'", 2),
    "no recording": ("training.txt", LINES + b"101 S9 walk\n",
                     r"training\.txt names .*S9/walk/Dump, which does not exist", 2),
}  # fmt: skip


@pytest.mark.parametrize("reason", DAMAGE)
def test_invalid_views_are_refused_by_name_or_left_out_and_counted(tree, reason):
    file, content, message, lost = DAMAGE[reason]
    (tree / file).unlink() if content is None else (tree / file).write_bytes(content)
    with pytest.raises(InputError, match=rf"{message}.*data\.skip_invalid=true"):
        load(tree)
    tally = Tally()
    instances = load(tree, skip_invalid=True, tally=tally)
    listed = 2 * len((tree / "training.txt").read_text().splitlines())
    assert tally.left_out == {reason: lost} and len(instances) == tally.taken == listed - lost


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory) -> Path:
    return write_tree(tmp_path_factory.mktemp("human4d"))


ENTRY = st.tuples(st.sampled_from(["101", "102", "0102", "7", "-1", "1.5"]), st.sampled_from(["S1", "S2", ".."]))
LISTED = st.one_of(ENTRY.map(lambda entry: " ".join((*entry, RECORDING.name))), st.text())


@settings(max_examples=25)
@given(st.lists(LISTED))
def test_every_listed_view_is_returned_or_counted(fuzzed, lines):
    path, tally = fuzzed / "fuzzed.txt", Tally()
    path.write_text("\n".join(lines), encoding="utf-8", errors="replace", newline="")
    listed = 2 * sum(bool(line.strip()) for line in path.read_text(encoding="utf-8").splitlines())
    try:
        instances = load_human4d(path, fuzzed, HUMAN4D, DEVICES, skip_invalid=True, tally=tally)
    except InputError as error:
        assert "gives no view" in str(error)
        instances = []
    assert len(instances) == tally.taken == listed - tally.left_out.total()


@settings(max_examples=25)
@given(st.data())
def test_broken_poses_are_left_out(fuzzed, data):
    whole = bytearray(npy(skeleton_in_view()))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, 130))] = data.draw(st.integers(0, 255))
    pose, listed, tally = fuzzed / POSE, fuzzed / "one.txt", Tally()
    sound = pose.read_bytes()
    pose.write_bytes(whole[: data.draw(st.sampled_from([len(whole), 140, 60, 3]))])
    listed.write_text(f"101 S1 {RECORDING.name}\n102 S1 {RECORDING.name}\n")
    instances = load_human4d(listed, fuzzed, HUMAN4D, DEVICES, skip_invalid=True, tally=tally)
    assert len(instances) + tally.left_out.total() == 4
    pose.write_bytes(sound)
