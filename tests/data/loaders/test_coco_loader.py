"""COCO-format files: every person is returned or counted, whatever stands in the file; boxes are cut as asked."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from poserep.data import load_coco, load_crowdpose
from poserep.data.coco_file import read_coco
from poserep.data.loaders.clip_box import clip_box
from poserep.errors import InputError
from poserep.instances import InstanceTable, Tally
from poserep.skeleton import COCO, Skeleton
from reference.vectors import arrays, full, listed
from spoiling import spoiled

PAIR = Skeleton("pair", ("left", "right"), (("left", "right"),), (), (0.1, 0.1))
JOINTS = [30, 40, 2, 50, 60, 1]


def person(number: int, **changes) -> dict:
    fields = {"id": number, "image_id": 7, "category_id": 1, "bbox": [20, 30, 60, 50], "area": 900.0, "iscrowd": 0}
    return {**fields, "keypoints": JOINTS, **changes}


def detection(**changes) -> dict:
    return {"image_id": 7, "category_id": 1, "bbox": [20.5, 30, 60, 50], "score": 0.5, **changes}


def content(*annotations, **changes) -> dict:
    images = [{"id": i, "file_name": f"{i}.jpg", "width": 100, "height": 90} for i in (7, 8)]
    categories = [{"id": 1, "name": "person", "keypoints": ["left", "right"]}]
    return {"images": images, "annotations": list(annotations), "categories": categories, **changes}


def load(folder: Path, data, detections=None, loader=load_coco, images="images", **options):
    (folder / "a.json").write_text(json.dumps(data))
    if detections is not None:
        (folder / "d.json").write_text(json.dumps(detections))
        options["detections"] = folder / "d.json"
    return loader(folder / "a.json", images, PAIR, **options)


def test_invalid_persons_are_refused_with_a_remedy_or_left_out_and_counted(tmp_path):
    for changes, reason, message in listed("invalid_records")["coco"]:
        data, tally = content(person(1), person(2, **changes)), Tally()
        with pytest.raises(InputError, match=rf"a\.json: annotation .*{message}.*data\.skip_invalid=true"):
            load(tmp_path, data)
        assert [i.id for i in load(tmp_path, data, skip_invalid=True, tally=tally)] == [1]
        assert tally == Tally(1, Counter({reason: 1}))


def test_what_is_left_out_as_a_rule_is_counted_too(tmp_path):
    tally = Tally()
    data = content(
        person(1), person(2, iscrowd=1), person(3, keypoints=[0] * 6), person(4, category_id=5), person(5, area=None)
    )
    assert [(i.id, i.area) for i in load(tmp_path, data, tally=tally)] == [(1, 900), (5, 0)]
    assert tally.line() == "2 taken; left out: 1 crowds, 1 of other categories, 1 without labelled keypoints"
    with pytest.raises(InputError, match=r"no person .*0 taken; left out: 1 crowds, 1 without a box"):
        load(tmp_path, content(person(1, iscrowd=1), person(2, bbox=None)), skip_invalid=True)


def test_images_listed_twice_are_one_unless_they_differ(tmp_path):
    tally = Tally()
    data = content(person(1), person(2, image_id=8))
    data["images"] += [data["images"][0], {**data["images"][1], "file_name": "other.jpg"}, {"id": None}]
    assert len(load(tmp_path, data, skip_invalid=True, tally=tally)) == 1
    assert tally.mended == {"images listed twice": 2, "image entries without id or file name": 1}
    assert tally.left_out == {"on images that share an id": 1}
    with pytest.raises(InputError, match="annotation 2 is on image 8, an id that two images of the file have"):
        load(tmp_path, data)


def test_images_without_size_matter_only_where_boxes_are_cut(tmp_path):
    data = content(person(1))
    data["images"][0]["width"] = None
    with pytest.raises(InputError, match="annotation 1 is on image 7, of which the file has no size"):
        load(tmp_path, data)
    assert load(tmp_path, data, clip="none")[0].box.tolist() == [20, 30, 60, 50]


def test_detections_are_taken_or_counted(tmp_path):
    for changes, reason in (
        ({"category_id": 2}, "of other categories"),
        ({"image_id": 99}, "on images that are not listed"),
        ({"bbox": [1, 2, 3, 0]}, "with a box without area"),
        ({"bbox": "all"}, "without a box of four numbers"),
        ({"score": None}, "without score"),
        ({"score": 87.5}, "with a score outside [0, 1]"),
    ):
        tally, records = Tally(), [detection(**changes), detection()]
        boxes = load(tmp_path, content(), records, skip_invalid=True, tally=tally)
        assert [(i.id, i.score, i.box.tolist(), i.weight.sum()) for i in boxes] == [(1, 0.5, [20.5, 30, 60, 50], 0)]
        assert tally == Tally(1, Counter({reason: 1}))
    for records, message in (
        ([detection(), detection(score=None)], r"d\.json: detection 1 has the score None.*skip_invalid=true"),
        ({}, r"d\.json is no list of detections"),
        ([detection(category_id=3)] * 2, r"d\.json: no detection of category 1 .*2 of other categories"),
    ):
        with pytest.raises(InputError, match=message):
            load(tmp_path, content(), records)


def test_test_images_need_detections_and_nothing_else(tmp_path):
    data = content(categories=[{"id": 2, "name": "dog"}, {"id": 1, "name": "person"}])
    del data["annotations"]
    assert len(load(tmp_path, data, [detection(), detection(category_id=2)])) == 1
    with pytest.raises(InputError, match=r"a\.json lists no annotations.*data\.detections"):
        load(tmp_path, data)
    with pytest.raises(InputError, match="no category has keypoints; this is a detection or caption file"):
        load(tmp_path, {**data, "annotations": []})
    with pytest.raises(InputError, match="none is called 'person'"):
        load(tmp_path, data | {"categories": data["categories"][:1]}, [detection()])


def test_a_file_is_parsed_once_until_it_is_written_again(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(content({**person(1), "segmentation": [[1, 2, 3, 4]]})))
    file = read_coco(path)
    assert read_coco(str(path)) is file and "segmentation" not in file.annotations[0]
    path.write_text(json.dumps(content(person(1), person(2))))
    assert len(read_coco(path).annotations) == 2


def test_boxes_are_cut_as_asked(tmp_path):
    data = content(person(1, bbox=[-5, 30, 100, 80]), person(2, area=0))
    for rule, expected in {
        "exact": [0, 30, 95, 60], "hrnet": [0, 30, 99, 59], "dark": [0, 30, 100, 60], "none": [-5, 30, 100, 80]
    }.items():  # fmt: skip
        tally = Tally()
        persons = load(tmp_path, data, clip=rule, tally=tally)
        assert persons[0].box.tolist() == expected
        # The papers' code asks for an area.
        dropped = int(rule in ("hrnet", "dark"))
        assert len(persons) == 2 - dropped and tally.left_out["without area by the papers' code"] == dropped
    with pytest.raises(InputError, match="clip='round' is not one of"):
        load(tmp_path, data, clip="round")


@pytest.mark.parametrize("file", full("geom_clean_bbox"))
def test_cut_boxes_are_those_of_published_code(file):
    v = arrays(file)
    for rule in ("hrnet", "dark"):
        valid = v[f"{rule}_valid"] > 0
        ours = [clip_box(tuple(box), *size, rule) for box, size in zip(v["box_xywh"], v["image_wh"], strict=True)]
        assert [box is not None for box in ours] == (valid | (v["area"] <= 0)).tolist() and (v["area"] <= 0).any()
        kept = [box for box, yes in zip(ours, valid, strict=True) if yes]
        np.testing.assert_array_equal(kept, v[f"{rule}_clean"][valid])


def survives(folder, data, detections=None, **options):
    """Loads or refuses, and counts everything."""
    tally = Tally()
    try:
        instances = load(folder, data, detections, tally=tally, **options)
    except InputError as error:
        assert "a.json" in str(error) or (detections is not None and "d.json" in str(error))
        assert not options.get("skip_invalid") or not tally.taken
        return
    total = len(data["annotations"] if detections is None else detections)
    assert tally.taken == len(instances) and tally.taken + sum(tally.left_out.values()) == total
    for instance in InstanceTable(instances):
        assert np.isfinite(instance.keypoints).all() and np.isfinite(instance.box).all()
        assert instance.box[2:].max() > 0 and np.isfinite([instance.area, instance.score]).all()
    assert options.get("skip_invalid") or not set(tally.left_out) - {
        "crowds", "of other categories", "without labelled keypoints", "on images that are not listed",
        "that the evaluation ignores", "without area by the papers' code",
    }  # fmt: skip


def test_no_annotation_breaks_the_loader_or_gets_lost(tmp_path):
    sound = content(person(1), person(2, num_keypoints=2), person(3, image_id=8))
    for seed in range(200):
        options = {"skip_invalid": seed % 2 > 0, "clip": "hrnet" if seed % 4 > 1 else "exact"}
        loader = load_crowdpose if seed % 8 > 3 else load_coco
        survives(tmp_path, spoiled(sound, seed), loader=loader, **options)
        survives(tmp_path, {**sound, "annotations": spoiled(sound["annotations"], seed)}, loader=loader, **options)


def test_no_detection_breaks_the_loader_or_gets_lost(tmp_path):
    for seed in range(100):
        detections = [detection(), *spoiled([detection(), detection()], seed)]
        survives(tmp_path, content(), detections, skip_invalid=seed % 2 > 0)


@pytest.mark.real
def test_real_annotations_and_detections(real_data):
    tally = Tally()
    folder = real_data / "coco_annotations"
    load_coco(folder / "person_keypoints_val2017_subset.json", folder, COCO, tally=tally)
    left_out = Counter({"crowds": 49, "without labelled keypoints": 810})
    assert tally == Tally(1354, left_out, Counter({"images listed twice": 1675}))
    folder = real_data / "coco_four"
    files = folder / "test_coco.json", folder / "images", COCO
    assert len(load_coco(*files)) == 12 and len(load_coco(*files, folder / "test_coco_det_AP_H_56.json")) == 118


def test_all_categories_with_the_skeletons_joints_are_taken_or_those_asked_for(tmp_path):
    kinds = [{"id": i, "name": name, "keypoints": ["left", "right"]} for i, name in ((3, "bear"), (5, "horse"))]
    categories = [*kinds, {"id": 9, "name": "bird", "keypoints": ["beak"]}]
    data = content(*(person(n, category_id=c) for n, c in ((1, 3), (2, 5), (3, 9), (4, [5]))), categories=categories)
    for chosen, taken in {None: [1, 2], "horse": [2], 3: [1], ("bear", 5): [1, 2]}.items():
        tally = Tally()
        assert [i.id for i in load(tmp_path, data, category=chosen, tally=tally)] == taken
        assert tally.left_out == {"of other categories": 4 - len(taken)}
    for chosen in ("bird", 9, ["bear", "cow"]):
        with pytest.raises(InputError, match=r"data.category=.*no such category.* it has bear \(3\), horse \(5\)"):
            load(tmp_path, data, category=chosen)
    boxes = [detection(category_id=c) for c in (3, 5, 9)]
    assert [i.id for i in load(tmp_path, data, boxes, category="horse")] == [1]


def test_ids_may_be_texts(tmp_path):
    data = content(person("1", image_id="0007", category_id="1"), person("2", image_id="8", category_id="1"))
    data["images"][0]["id"], data["categories"][0]["id"] = "000007", "1"
    assert [(i.id, i.image_id) for i in load(tmp_path, data)] == [(1, 7), (2, 8)]
    boxes = [detection(image_id=i, category_id="1") for i in ("7", "007", "8", "8.jpg", "nine", "9")]
    tally = Tally()
    assert [i.image_id for i in load(tmp_path, data, boxes, tally=tally)] == [7, 7, 8, 8]
    assert tally.left_out == {"on images that are not listed": 2}


def test_detections_may_name_files_and_count_categories_from_0(tmp_path):
    data, tally = content(person(1)), Tally()
    data["images"] = [{**i, "file_name": f"cam/{n}_a.jpg"} for i, n in zip(data["images"], "pq", strict=True)]
    boxes = [detection(image_id=i, category_id=0) for i in ("p_a", "q_a.jpg", "q", "cam/p_a")]
    assert [i.image_id for i in load(tmp_path, data, boxes, tally=tally)] == [7, 8]
    named = "image ids of detections that are file names"
    assert tally.mended == {"detections of category 0, the only one": 4, named: 2}
    with pytest.raises(InputError, match="no detection of category 1 lies on an image"):
        load(tmp_path, data, [detection(category_id=2)])
    data["images"][1]["file_name"] = "other/p_a.jpg"
    with pytest.raises(InputError, match="no detection of category 0"):
        load(tmp_path, data, [detection(image_id="p_a", category_id=0)])


NAMES = {
    "windows": r"images\1\{}",
    "upload": r"..\..\media\upload\4\{}",
    "folder": "images/1/{}",
    "address": "/data/local-files/?d=set%20a/{}",
    "web": "http://there/set%20a/{}?x=1/{}",
}


@pytest.mark.parametrize("pattern", NAMES.values(), ids=NAMES)
def test_pictures_of_exports_are_found_by_the_last_part_of_their_names(tmp_path, pattern):
    images, data, tally = tmp_path / "images", content(person(1), person(2, image_id=8)), Tally()
    images.mkdir()
    for image, name in zip(data["images"], ("a b.jpg", "c.jpg"), strict=True):
        (images / name).touch()
        image["file_name"] = pattern.format(*[name.replace(" ", "%20" if "%" in pattern else " ")] * 2)
    found = load(tmp_path, data, images=images, tally=tally)
    assert [i.image for i in found] == [images / "a b.jpg", images / "c.jpg"]
    assert tally.mended == {"image files found by the last part of their names": 2}
    for image, name in zip(data["images"], (r"x\1\c.jpg", r"x\2\c.jpg"), strict=True):
        image["file_name"] = name
    with pytest.raises(InputError, match="share the last part of their names"):
        load(tmp_path, data, images=images)
