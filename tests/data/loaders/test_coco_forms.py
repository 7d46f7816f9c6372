"""Forms of COCO's format that other programs write: understood where the meaning is clear, else refused with it."""

import json
from pathlib import Path

import numpy as np
import pytest

from poserep.config import compose
from poserep.data import load_coco
from poserep.data.coco_categories import categories_of
from poserep.data.coco_file import read_coco
from poserep.data.from_config import instances_of, skeleton_of
from poserep.data.json_fields import Invalid
from poserep.data.listed_images import ListedImages
from poserep.errors import InputError
from poserep.geometry import Size
from poserep.instances import CocoForm, Tally, Truth
from poserep.metrics.coco import CocoAP
from poserep.metrics.scorer import Predictions
from poserep.skeleton import COCO, Skeleton

JOINTS = ("a", "b", "c")
THREE = Skeleton("three", JOINTS, (), (), (0.1,) * 3)
FIVE = Skeleton("five", (*JOINTS, "d", "e"), (), (), (0.1,) * 5)
PERSON = {"keypoints": [20, 30, 2, 60, 70, 1, 30, 40, 2], "bbox": [10, 20, 60, 60], "area": 900.0}


def write(path: Path, *people: dict, names: tuple[str, ...] | None = JOINTS, images=((7, "7.jpg"),), first=1) -> Path:
    category = {"id": 1, "name": "person"} | ({"keypoints": list(names)} if names else {})
    base = {"image_id": images[0][0], "category_id": 1, "iscrowd": 0}
    annotations = [{"id": number, **base, **person} for number, person in enumerate(people, first)]
    listed = [{"id": key, "file_name": name, "width": 100, "height": 90} for key, name in images]
    path.write_text(json.dumps({"images": listed, "annotations": annotations, "categories": [category]}))
    return path


def without(*keys: str, **changes) -> dict:
    return {key: value for key, value in {**PERSON, **changes}.items() if key not in keys}


def test_persons_without_joints_are_unlabelled_and_hidden_joints_may_be_anywhere(tmp_path):
    nan, tally = float("nan"), Tally()
    hidden = {"keypoints": [20, 30, 2, nan, None, 0, 30, 40, 2]}
    path = write(
        tmp_path / "a.json", PERSON, without("keypoints"), {**PERSON, "keypoints": []}, {**PERSON, **hidden},
        {**PERSON, "keypoints": [[20, 30, 2], [60, 70, 1], [30, 40, 2]]}, {**PERSON, "keypoints": None},
    )  # fmt: skip
    people = load_coco(path, tmp_path, THREE, tally=tally)
    assert [i.id for i in people] == [1, 4, 5] and tally.left_out == {"without labelled keypoints": 3}
    assert people[1].keypoints.tolist() == [[20, 30], [0, 0], [30, 40]] and people[1].weight.tolist() == [1, 0, 1]
    scorer = CocoAP(Truth(people, THREE, path, Size(64, 64)), nms_threshold=None)
    exact = Predictions(np.arange(3), np.stack([i.keypoints for i in people]), np.ones((3, 3), np.float32))
    assert scorer(exact).values["AP"] == pytest.approx(100) and scorer.persons()[1] == []


def test_boxes_follow_from_joints_if_asked_for(tmp_path):
    line = [10, 50, 2, 50, 50, 2, 30, 50, 1]
    single = [10, 50, 2, 0, 0, 0, 0, 0, 0]
    path = write(tmp_path / "a.json", without("bbox"), {**PERSON, "keypoints": line, "bbox": [10, 50, 40, 0]})
    with pytest.raises(InputError, match=r"annotation 1 has no bbox.*set data.boxes=joints to take boxes from joints"):
        load_coco(path, tmp_path, THREE)
    people = load_coco(path, tmp_path, THREE, boxes="joints", clip="none")
    # Extent 40x40 and 40x0, an eighth of the longer side more on each side.
    assert [i.box.tolist() for i in people] == [[15, 25, 50, 50], [5, 45, 50, 10]]
    scorer = CocoAP(Truth(people, THREE, path, Size(64, 64), form=CocoForm("joints")), area="box")
    assert [person["area"] for person in scorer.persons()[0]] == [0.53 * 2500, 0.53 * 500]
    tally = Tally()
    nested = [[10, 50, 2], [50, 50, 2], [30, 50, 1]]
    path = write(tmp_path / "b.json", without("bbox", keypoints=nested))
    assert load_coco(path, tmp_path, THREE, boxes="joints", clip="none")[0].box.tolist() == [5, 45, 50, 10]
    path = write(tmp_path / "b.json", PERSON, without("bbox", keypoints=single), without("bbox", "keypoints"))
    assert len(load_coco(path, tmp_path, THREE, boxes="joints", tally=tally)) == 1
    assert tally.left_out == {"with a single labelled joint, which gives no box": 1, "without labelled keypoints": 1}
    with pytest.raises(InputError, match=r"data\.boxes='joint' is not one of"):
        load_coco(path, tmp_path, THREE, boxes="joint")


def test_fields_of_joints_are_joined(tmp_path):
    foot = {"foot_kpts": [1, 2, 2, 0, 0, 0], "num_keypoints": 3}
    path = write(tmp_path / "a.json", {**PERSON, **foot}, PERSON)
    tally = Tally()
    assert load_coco(path, tmp_path, THREE, tally=tally)[0].weight.tolist() == [1, 1, 1]
    assert tally.line() == "2 taken; not read: 2 persons' foot_kpts, which data.fields joins"
    fields = ["keypoints", "foot_kpts"]
    first, second = load_coco(path, tmp_path, FIVE, fields=fields)
    assert first.keypoints[3].tolist() == [1, 2] and first.weight.tolist() == [1, 1, 1, 1, 0]
    assert second.weight.tolist() == [1, 1, 1, 0, 0]
    scorer = CocoAP(Truth([first, second], FIVE, path, Size(64, 64), form=CocoForm(fields=tuple(fields))))
    assert [person["num_keypoints"] for person in scorer.persons()[0]] == [4, 3]
    with pytest.raises(InputError, match=r"or join its fields: data\.fields=\[keypoints,foot_kpts\]"):
        load_coco(path, tmp_path, FIVE)
    with pytest.raises(InputError, match=r"face_kpts, which no annotation of .* has; fields of joints: keypoints"):
        load_coco(path, tmp_path, FIVE, fields=["keypoints", "face_kpts"])


def test_categories_without_joint_names_are_taken_if_chosen(tmp_path):
    path = write(tmp_path / "a.json", PERSON, names=None)
    with pytest.raises(InputError, match=r"category 'person' \(1\) does not name its joints; .* set data.category=1"):
        load_coco(path, tmp_path, THREE)
    assert [len(load_coco(path, tmp_path, THREE, category=chosen)) for chosen in (1, "person", [1])] == [1, 1, 1]
    with pytest.raises(InputError, match="annotations have 3, skeleton 'five' has 5; write their names into"):
        load_coco(path, tmp_path, FIVE, category=1)
    points = [{"id": number, "name": name} for number, name in enumerate(JOINTS, 1)]
    data = json.loads(path.read_text()) | {"categories": points, "annotations": [{"id": 1, "category_id": 1}]}
    path.write_text(json.dumps(data))
    with pytest.raises(InputError, match=r"categories are joints \(a, b, c, \.\.\.\) and each annotation is one"):
        load_coco(path, tmp_path, THREE)


def test_joints_may_be_called_by_numbers(tmp_path):
    numbered = Skeleton.from_category(
        {"keypoints": [1, 2, 3], "pairs": [[1, 3]], "edges": [[1, 2]], "sigmas": {1: 0.1, 2: 0.1, 3: 0.2}, "upper": [2]}
    )
    assert numbered.names == ("1", "2", "3") and numbered.pairs == (("1", "3"),) and numbered.sigmas[2] == 0.2
    for names in ((1, 2, 3), ("1", "2", "3")):
        path = write(tmp_path / "a.json", PERSON, names=names)
        assert categories_of(read_coco(path), numbered) == {1: "person"}


def test_several_files_are_read_as_one(tmp_path):
    other, tally = {**PERSON, "bbox": [11, 20, 60, 60]}, Tally()
    paths = [
        write(tmp_path / "a.json", PERSON, {**PERSON, "area": 500.0}),
        # The same image again under another id, someone of the first file, and an id of an annotation that it has.
        write(tmp_path / "b.json", {**PERSON, "area": 600.0}, other, images=((9, "7.jpg"),)),
        write(tmp_path / "c.json", {**PERSON, "area": 700.0}, images=((7, "other.jpg"),), first=40),
    ]
    people = load_coco(paths, tmp_path, THREE, tally=tally)
    assert [(i.id, i.image_id, i.image.name, i.box[0]) for i in people] == [
        (1, 7, "7.jpg", 10), (2, 7, "7.jpg", 10), (3, 7, "7.jpg", 11), (40, 8, "other.jpg", 10)
    ]  # fmt: skip
    assert tally.mended == {"annotations that an earlier file has too": 1}
    scorer = CocoAP(Truth(people, THREE, paths, Size(64, 64)))
    exact = Predictions(np.arange(4), np.stack([i.keypoints for i in people]), np.ones((4, 3), np.float32))
    assert scorer(exact).values["AR"] > 0 and len(scorer.persons()[0]) == 4
    odd = json.loads(paths[1].read_text())
    odd["categories"] += ["person", {"id": [2]}]
    odd["images"] += [{"id": [1]}, "x"]
    odd["annotations"] += [{**odd["annotations"][0], "id": 9, "category_id": [1]}]
    (tmp_path / "odd.json").write_text(json.dumps(odd))
    assert len(load_coco([paths[0], tmp_path / "odd.json"], tmp_path, THREE, skip_invalid=True)) == 3
    broken = write(tmp_path / "b.json", {**PERSON, "bbox": [1, 2, 3]})
    with pytest.raises(InputError, match=r"b\.json: annotation 1 has no bbox"):
        load_coco([paths[0], broken], tmp_path, THREE)
    with pytest.raises(InputError, match="keypoints are not those of skeleton 'three'"):
        load_coco([write(tmp_path / "e.json", PERSON, names=("x", "y", "z"))], tmp_path, THREE)


def test_wholebody_is_read_as_133_joints(tmp_path):
    counts = {"keypoints": 17, "foot_kpts": 6, "face_kpts": 68, "lefthand_kpts": 21, "righthand_kpts": 21}
    labels, first = {}, 0
    for field, count in counts.items():
        labels[field] = [number for i in range(first, first + count) for number in (i, 5, 1)]
        first += count
    write(tmp_path / "a.json", {**PERSON, **labels}, names=COCO.names)
    cfg = compose(["data=coco_wholebody", f"data.root={tmp_path}", "data.val.annotations=a.json", "data.clip=none"]).cfg
    (person,) = instances_of(cfg, "val", skeleton_of(cfg), tmp_path)
    assert person.keypoints[:, 0].tolist() == list(range(133))


def test_images_are_told_by_id_or_by_file(tmp_path):
    images = [(1, "0003.jpg"), (2, "0001.jpg"), (3, "0002.jpg"), (101, "7.jpg"), (7, "b.jpg")]
    listed = ListedImages(read_coco(write(tmp_path / "a.json", PERSON, images=images)), tmp_path, Tally())
    asked = {1: 1, "2": 2, "0001": 2, "0001.jpg": 2, "b": 7, "0009": 9, "none": None}
    assert {image_id: listed.id_of(image_id) for image_id in asked} == asked
    with pytest.raises(Invalid, match="'7', which is the id of one image and the file name of another"):
        listed.id_of("7")
    assert not listed.name_by_numbers([1, 2, 7]) and not listed.name_by_numbers([1, 99])
    # Not all of them are ids, but all are files.
    far = ListedImages(
        read_coco(write(tmp_path / "b.json", PERSON, images=[(5, "1.jpg"), (1, "2.jpg")])), tmp_path, Tally()
    )
    assert far.name_by_numbers([1, 2]) and (far.id_of(1), far.id_of(2)) == (5, 1)


def test_names_are_looked_for_one_by_one(tmp_path):
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        (tmp_path / name).touch()
    names = ["gone.jpg", "a.jpg", "C:\\data\\b.jpg", "s3://bucket/c.jpg?versionId=1"]
    file = read_coco(write(tmp_path / "f.json", PERSON, images=[*enumerate(names, 7)]))
    assert [file.locator(tmp_path)(name).name for name in names] == ["gone.jpg", "a.jpg", "b.jpg", "c.jpg"]
