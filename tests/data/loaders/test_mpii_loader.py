"""MPII's two formats: what is read from them, exactly; what is left out, counted; what is refused, with a remedy."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from layouts import structs
from poserep import cli
from poserep.data.loaders.mpii import load_mpii
from poserep.data.loaders.mpii_matlab import convert_mat, read_mat
from poserep.errors import InputError
from poserep.instances import InstanceTable, Tally
from poserep.skeleton import COCO, MPII
from reference.vectors import listed
from spoiling import spoiled

JOINTS = np.stack([np.arange(16) * 10.0 + 101, np.arange(16) * 5.0 + 51], 1)


def record(image: str = "a.jpg", **changes) -> dict:
    joints, visible = JOINTS.copy(), np.ones(16, int)
    joints[[0, 5]], visible[[0, 5]] = -1, 0
    fields = {"joints_vis": visible.tolist(), "joints": joints.tolist(), "image": image, "scale": 2.0}
    return {**fields, "center": [301.0, 201.0], **changes}


def load(folder: Path, records, **options):
    path = folder / "valid.json"
    path.write_text(json.dumps(records))
    return load_mpii(path, folder / "images", MPII, **options)


def heads(folder: Path, records: list[dict], **changes) -> Path:
    """``gt_valid.mat``: every head box 30 px by 40 px."""
    joints = np.array([r["joints"] for r in records])
    content = {
        "headboxes_src": np.stack([np.full((2, len(records)), 5.0), np.full((2, len(records)), [[35.0], [45.0]])]),
        "pos_gt_src": joints.transpose(1, 2, 0),
        "jnt_missing": 1 - np.array([r["joints_vis"] for r in records], np.uint8).T,
        **changes,
    }
    savemat(folder / "gt_valid.mat", {key: value for key, value in content.items() if value is not None})
    return folder / "gt_valid.mat"


def test_a_person_is_read_with_its_box_and_joints_from_zero(tmp_path):
    tally = Tally()
    person, second, third = load(tmp_path, [record(), record("b.jpg"), record()], tally=tally)
    # Centre (301, 201 + 15 x 2) - 1, side 200 x 2.
    assert person.box.tolist() == [100.0, 30.0, 400.0, 400.0]
    assert person.image == tmp_path / "images" / "a.jpg"
    assert [(p.image_id, p.id) for p in (person, second, third)] == [(0, 0), (1, 1), (0, 2)]
    assert person.weight.tolist() == [0, 1, 1, 1, 1, 0, *[1] * 10]
    np.testing.assert_array_equal(person.keypoints[1:5], JOINTS[1:5] - 1)
    assert (person.keypoints[[0, 5]] == 0).all()
    assert (person.score, person.area, person.head) == (1, 0, 0)
    assert person.keypoints.dtype == person.weight.dtype == np.float32
    assert (tally.taken, tally.left_out, tally.mended) == (3, {}, {})
    person, other = load(tmp_path, [record(head_box=[10, 10, 40, 50]), record()])
    assert (person.head, other.head) == (pytest.approx(30), 0)
    # The test file has persons to predict.
    bare = {k: v for k, v in record().items() if "joints" not in k}
    assert [p.weight.any() for p in load(tmp_path, [bare, bare])] == [False, False]


def test_head_boxes_come_by_row(tmp_path):
    records = [record(), record("b.jpg")]
    boxes = np.zeros((2, 2, 2))
    boxes[1] = [[30, 60], [40, 80]]
    tally = Tally()
    persons = load(tmp_path, records, heads=heads(tmp_path, records, headboxes_src=boxes), tally=tally)
    assert [p.head for p in persons] == pytest.approx([30, 60])
    assert not tally.mended
    alone = load(tmp_path, records[:1], heads=heads(tmp_path, records[:1]))
    assert alone[0].head == pytest.approx(30)
    # Unsigned corners whose differences are negative, and no joints.
    plain = np.array([[[30], [40]], [[0], [0]]], np.uint8)
    file = heads(tmp_path, records[:1], headboxes_src=plain, pos_gt_src=None, jnt_missing=None)
    assert load(tmp_path, records[:1], heads=file)[0].head == pytest.approx(30)


def test_the_head_boxes_files_joints_decide_and_that_is_counted(tmp_path):
    records = [record(), record("b.jpg")]
    theirs = [record(), record("b.jpg", joints=JOINTS.tolist(), joints_vis=[1] * 16)]
    tally = Tally()
    persons = load(tmp_path, records, heads=heads(tmp_path, theirs), tally=tally)
    assert [p.weight.sum() for p in persons] == [14, 16]
    np.testing.assert_array_equal(persons[1].keypoints, JOINTS - 1)
    assert tally.mended == {"with the joints of the head boxes' file": 1}


def test_head_boxes_of_other_persons_are_refused(tmp_path):
    records = [record(), record("b.jpg", joints=(JOINTS + 300).tolist())]
    with pytest.raises(InputError, match=r"gt_valid\.mat has 1 head boxes for the 2 records of .*valid\.json"):
        load(tmp_path, records, heads=heads(tmp_path, records[:1]))
    with pytest.raises(InputError, match=r"row 0 of .*gt_valid\.mat is not record 0 of .*424 px apart.*in its order"):
        load(tmp_path, records, heads=heads(tmp_path, records[::-1]), skip_invalid=True)


def test_broken_head_boxes_are_refused(tmp_path):
    for changes, message in (
        ({"headboxes_src": None}, r"has no headboxes_src"),
        ({"headboxes_src": np.zeros((3, 1))}, r"must hold headboxes_src \(2, 2, N\).*'headboxes_src': \(3,\)"),
        ({"jnt_missing": np.zeros((14, 1))}, r"jnt_missing \(16, N\); it has .*'jnt_missing': \(14,\)"),
        ({"headboxes_src": np.zeros((2, 2, 1))}, r"record 0 has a head of 0 px in row 0 of .*gt_valid\.mat; mend"),
    ):
        with pytest.raises(InputError, match=message):
            load(tmp_path, [record()], heads=heads(tmp_path, [record()], **changes))


INVALID = [
    *listed("invalid_records")["mpii"],
    ({"image": "\ud800"}, "malformed", "no file name"),
    ({"scale": 10**400}, "malformed", "too large"),
    ({"joints": [[None, 1]] * 16}, "with keypoints that are no points", "for the labelled right_knee, right_hip"),
    ({"joints": [[1e300, 1]] * 16}, "with keypoints that are no points", "right_knee"),
]


def test_invalid_persons_are_refused_or_left_out_and_counted(tmp_path):
    broken = [(record(**changes), reason, message) for changes, reason, message in INVALID]
    broken += [({k: v for k, v in record().items() if k != lost}, "malformed", lost) for lost in record()]
    for bad, reason, message in broken:
        records, tally = [record(), bad], Tally()
        with pytest.raises(InputError, match=rf"record 1 .*{message}.*mend the file, or set data\.skip_invalid=true"):
            load(tmp_path, records)
        assert [p.id for p in load(tmp_path, records, skip_invalid=True, tally=tally)] == [0]
        assert (tally.taken, tally.left_out) == (1, {reason: 1})
    tally = Tally()
    assert [p.id for p in load(tmp_path, [record(joints_vis=[0] * 16), record("b.jpg")], tally=tally)] == [1]
    assert tally.left_out == {"without labelled keypoints": 1}


def test_files_of_another_kind_are_refused(tmp_path):
    with pytest.raises(InputError, match="not a list of MPII records; a COCO-format file is read with data=coco"):
        load(tmp_path, {"images": [], "annotations": []})
    with pytest.raises(InputError, match=r"no person is left .*1 without labelled keypoints"):
        load(tmp_path, [record(joints_vis=[0] * 16)])
    with pytest.raises(InputError, match=r"none\.json does not exist"):
        load_mpii(tmp_path / "none.json", tmp_path, MPII)
    with pytest.raises(InputError, match=r"skeleton 'coco' does not have MPII's 16 keypoints.*data\.skeleton=mpii"):
        load_mpii(tmp_path / "valid.json", tmp_path, COCO)
    with pytest.raises(InputError, match=r"head box file .*none\.mat does not exist"):
        load(tmp_path, [record()], heads=tmp_path / "none.mat")


def test_no_broken_record_crashes_or_is_lost(tmp_path):
    for seed in range(60):
        records, tally = [record(), *spoiled([record(), record("b.jpg", head_box=[10, 10, 40, 50])], seed)], Tally()
        persons = load(tmp_path, records, skip_invalid=True, tally=tally)
        assert tally.taken == len(persons) and tally.taken + sum(tally.left_out.values()) == len(records)
        table = InstanceTable(persons)
        assert np.isfinite(table.box).all() and np.isfinite(table.keypoints).all() and (table.box[:, 2:] > 0).all()


def points(index: range | list[int] = range(16)) -> np.ndarray:
    rows = [{"x": JOINTS[i, 0], "y": JOINTS[i, 1], "id": i, "is_visible": "1" if i % 2 else 0} for i in index]
    # The real file leaves it empty for the head.
    return structs(*({k: v for k, v in row.items() if k != "is_visible" or row["id"] not in (8, 9)} for row in rows))


BOX = {"x1": 10, "y1": 10, "x2": 40, "y2": 50}
PLACE = {"scale": 2.0, "objpos": structs({"x": 301, "y": 201})}


def release(path: Path, *images: tuple[str, np.ndarray], train: list[int] | None = None) -> Path:
    rows = [{"image": structs({"name": n}), "annorect": r, "frame_sec": [], "vididx": []} for n, r in images]
    content = {
        "annolist": structs(*rows),
        "img_train": np.array([[1] * len(images) if train is None else train], np.uint8),
        "single_person": np.array([[[1]] * len(images)], object),
    }
    savemat(path / "mpii.mat", {"RELEASE": structs(content)})
    return path / "mpii.mat"


@pytest.fixture
def original(tmp_path) -> Path:
    whole = {**BOX, **PLACE, "annopoints": structs({"point": points()})}
    some = {**BOX, **PLACE, "annopoints": structs({"point": points([1, 2, 9])})}
    only = {**PLACE, "scale": 1, "annopoints": structs({"point": points([3])})}
    nobody = {**PLACE, "annopoints": structs()}, {**PLACE, "annopoints": structs({"point": structs()})}
    return release(
        tmp_path,
        ("a.jpg", structs(whole, some, {**BOX, "annopoints": structs({"point": points()})})),
        ("empty.jpg", structs()),
        ("boxes.jpg", structs(BOX)),
        ("b.jpg", structs(only, *nobody)),
        ("test.jpg", structs(PLACE, PLACE)),
        train=[1, 1, 1, 1, 0],
    )


def test_the_original_release_gives_the_persons_with_scale_position_and_joints(original, tmp_path):
    tally = Tally()
    whole, some, only = load_mpii(original, tmp_path, MPII, tally=tally)
    assert [p.image.name for p in (whole, some, only)] == ["a.jpg", "a.jpg", "b.jpg"]
    assert [(p.image_id, p.id) for p in (whole, some, only)] == [(0, 0), (0, 1), (1, 2)]
    assert whole.box.tolist() == [100.0, 30.0, 400.0, 400.0] and only.box.tolist() == [200.0, 115.0, 200.0, 200.0]
    # Occluded joints are labelled.
    assert whole.weight.all()
    np.testing.assert_array_equal(whole.keypoints, JOINTS - 1)
    assert np.flatnonzero(some.weight).tolist() == [1, 2, 9]
    assert [p.head for p in (whole, some, only)] == [pytest.approx(30), pytest.approx(30), 0]
    assert tally.taken == 3
    assert tally.left_out == {"without scale, position or joints": 4, "of test images": 2}


def test_the_conversion_is_the_release_in_the_published_form(original, tmp_path, capsys):
    target = tmp_path / "annot" / "trainval.json"
    words = ["data", "convert", "mpii", str(original), str(target)]
    assert cli.main(words) == 0 and capsys.readouterr().out.startswith(f"{target}: 3 taken; left out: ")
    assert cli.main(words) == 2 and "exists; remove it" in capsys.readouterr().err
    assert [f.name for f in target.parent.iterdir()] == ["trainval.json"]
    records = json.loads(target.read_text())
    some = records[1]
    assert list(some) == ["image", "center", "scale", "joints", "joints_vis", "head_box"]
    assert some["joints"][0] == [-1, -1] and "head_box" not in records[2]
    loaded, direct = load_mpii(target, tmp_path, MPII), load_mpii(original, tmp_path, MPII)
    for name in ("image_id", "id", "box", "keypoints", "weight", "head"):
        np.testing.assert_array_equal(getattr(InstanceTable(loaded), name), getattr(InstanceTable(direct), name))


def test_a_release_of_one_image_and_one_person_is_read(tmp_path):
    strange = points([1, 2])
    strange[0, 1]["id"] = 99
    file = release(tmp_path, ("a.jpg", structs({**PLACE, "annopoints": structs({"point": strange})})))
    tally = Tally()
    (only,) = read_mat(file, tally)
    assert only["joints_vis"] == [0, 1] + [0] * 14
    assert tally.mended == {"joints without coordinates or known id": 1}


def test_broken_releases_are_refused(tmp_path):
    target = tmp_path / "out.json"
    with pytest.raises(InputError, match=r"mpii\.mat does not exist"):
        convert_mat(tmp_path / "mpii.mat", target)
    nameless, mat = structs({**PLACE, "annopoints": structs({"point": points()})}), tmp_path / "mpii.mat"
    for write, message in (
        (lambda: mat.write_bytes(b"nothing of the kind" * 20), r"is not a MATLAB file.*fetch it anew"),
        (lambda: savemat(mat, {"other": 1}), r"has no RELEASE\.annolist"),
        (lambda: release(tmp_path, ("a.jpg", structs(PLACE)), train=[0]), r"no person has scale.*1 of test images"),
        (lambda: release(tmp_path, ("a.jpg", structs(PLACE)), train=[0, 1]), "img_train has 2 entries for 1 images"),
        (lambda: release(tmp_path, ("", nameless)), "has no name"),
    ):
        write()
        with pytest.raises(InputError, match=rf"mpii\.mat.*{message}"):
            convert_mat(tmp_path / "mpii.mat", target)
    assert not target.exists()
