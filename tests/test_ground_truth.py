"""The annotation file as COCO AP reads it: once, whatever it lacks, whatever its ids."""

import json
import os

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from poserep.batch import Points
from poserep.errors import InputError
from poserep.geometry import Size
from poserep.instances import Instance
from poserep.metrics import CocoAP
from poserep.metrics import truth as module
from test_metrics import answers, metric, moved_to_another_image, person, run, skeleton, truth


def test_images_that_the_file_does_not_list_are_refused(tmp_path):
    data = truth()
    moved_to_another_image(data)
    data["images"] = data["images"][-1:]
    subject = metric(tmp_path, data)
    with pytest.raises(InputError, match=r"scored\.json.*\[7, 8\]"):
        run(subject, answers(subject))


def test_annotations_without_area_field_are_refused_with_a_remedy(tmp_path):
    data = truth()
    del data["annotations"][1]["area"]
    subject = metric(tmp_path, data)
    with pytest.raises(InputError, match=r"annotation 2 has no area.*0\.53"):
        run(subject, answers(subject))


def test_fields_that_custom_files_leave_out_are_filled_in(tmp_path):
    data = truth()
    for annotation in data["annotations"]:
        del annotation["iscrowd"], annotation["num_keypoints"]
    subject = metric(tmp_path, data)
    assert run(subject, answers(subject))["AP"] == pytest.approx(100)


@pytest.mark.parametrize("first", [True, False])
def test_categories_with_other_keypoints_are_left_alone(tmp_path, first):
    data = truth()
    hand = {"id": 9, "name": "hand", "keypoints": ["thumb", "palm"], "skeleton": []}
    data["categories"] = [hand, *data["categories"]] if first else [*data["categories"], hand]
    data["annotations"].append(
        person(4, 7, [10, 20, 30, 30], category_id=9, num_keypoints=2, keypoints=[12, 22, 2, 30, 40, 2])
    )
    subject = metric(tmp_path, data)
    assert run(subject, answers(subject))["AP"] == pytest.approx(100)


def test_the_category_may_have_any_id(tmp_path):
    data = truth()
    data["categories"] = [{"id": 4, "name": "car"}, {**data["categories"][0], "id": 3}]
    for annotation in data["annotations"]:
        annotation["category_id"] = 3
    subject = metric(tmp_path, data)
    assert run(subject, answers(subject))["AP"] == pytest.approx(100)


@pytest.mark.parametrize("ids", [[0, 1, 2], [5, 5, 5], ["a", None, 3]])
def test_ids_of_annotations_decide_nothing(tmp_path, ids):
    data = truth()
    for annotation, key in zip(data["annotations"], ids, strict=True):
        annotation["id"] = key
    subject = metric(tmp_path, data)
    assert list(run(subject, answers(subject)).values()) == pytest.approx([100] * 10)


def test_area_may_be_a_part_of_the_box(tmp_path):
    data = truth()
    for annotation in data["annotations"]:
        del annotation["area"]
    by_box = metric(tmp_path, data, area="box")
    points = answers(by_box, 9.0)
    values = run(by_box, points)
    for annotation in data["annotations"]:
        annotation["area"] = 0.53 * annotation["bbox"][2] * annotation["bbox"][3]
    written = metric(tmp_path, data)
    assert values == run(written, points) and (by_box.area, written.area) == ("box", "annotation")
    with pytest.raises(InputError, match="area='mask' is neither"):
        metric(tmp_path, area="mask")


def test_results_carry_the_files_category_and_can_be_written(tmp_path):
    data = truth()
    data["categories"][0]["id"] = 3
    subject = metric(tmp_path, data)
    points = answers(subject)
    subject.update(torch.arange(3), points)
    results = json.loads(json.dumps(subject.results(subject.predictions())))
    assert [(r["image_id"], r["category_id"], r["score"]) for r in results] == [(7, 3, 1.0), (8, 3, 1.0), (8, 3, 1.0)]
    assert sorted(r["keypoints"][0] for r in results) == sorted(points.xy[:, 0, 0].tolist())


def test_test_images_give_results_and_no_numbers(tmp_path):
    data = {"images": truth()["images"], "categories": [{"id": 2, "name": "dog"}, {"id": 1, "name": "person"}]}
    subject = metric(tmp_path, data)
    assert set(run(subject, answers(subject)).values()) == {-1}
    assert "annotates nobody" in subject.diagnosis
    assert {r["category_id"] for r in subject.results(subject.predictions())} == {1}


@pytest.mark.parametrize(
    "changes", [{"keypoints": [1, 2]}, {"bbox": None}, {"area": "big"}, {"image_id": [7]}, {"iscrowd": "no"}]
)
def test_annotations_that_cannot_be_read_are_told(tmp_path, changes):
    data = truth()
    data["annotations"].append(person(4, 7, [10, 20, 80, 90], **changes))
    subject = metric(tmp_path, data)
    assert run(subject, answers(subject))["AP"] == pytest.approx(100)
    assert "scored.json cannot be read and are not scored, the first has id 4" in subject.diagnosis
    assert subject.diagnosis.startswith("1 annotations of")


def test_a_file_is_read_once_until_it_changes(tmp_path, monkeypatch):
    subjects = [metric(tmp_path), metric(tmp_path)]
    path = subjects[0].annotations
    os.utime(path, ns=(1, 1))
    reads = []
    loads = json.loads
    monkeypatch.setattr(module.json, "loads", lambda text: reads.append(1) or loads(text))
    values = [run(subject, answers(subject, 9.0)) for subject in [*subjects, *subjects] if not subject.reset()]
    # What one evaluation writes into its annotations reaches no other.
    assert values == values[:1] * 4 and len(reads) == 1
    data = truth()
    del data["annotations"][0]
    path.write_text(json.dumps(data))
    subjects[0].reset()
    assert run(subjects[0], answers(subjects[0], 9.0)) != values[0] and len(reads) == 2


@pytest.mark.parametrize(
    ("text", "message"), [(None, "cannot be read"), ("{", "not valid JSON"), ("[]", "COCO format")]
)
def test_files_that_are_none_are_refused(tmp_path, text, message):
    subject = metric(tmp_path)
    if text is None:
        subject.annotations.unlink()
    else:
        subject.annotations.write_text(text)
    with pytest.raises(InputError, match=rf"scored\.json.*{message}"):
        run(subject, answers(subject))


JUNK = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.just(10**400), st.text(max_size=3)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=5,
)
FIELDS = ("image_id", "bbox", "area", "iscrowd", "num_keypoints", "keypoints", "category_id", "id")


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.dictionaries(st.sampled_from(FIELDS), JUNK, max_size=2) | JUNK, max_size=3),
    st.lists(JUNK, max_size=2),
    st.booleans(),
)
def test_no_annotation_breaks_the_metric(tmp_path_factory, rows, images, boxed):
    data = truth()
    valid = person(4, 7, [10, 20, 80, 90])
    data["annotations"] += [{**valid, **row} if isinstance(row, dict) else row for row in rows]
    data["images"] += images
    path = tmp_path_factory.mktemp("junk") / "a.json"
    path.write_text(json.dumps(data))
    box = np.array([10, 20, 80, 90.0])
    instance = Instance(path, 7, 1, box, np.zeros((5, 2), np.float32), np.ones(5, np.float32))
    subject = CocoAP([instance], path, skeleton(), Size(64, 64), area="box" if boxed else "annotation")
    xy = torch.tensor(valid["keypoints"]).view(1, 5, 3)[..., :2]
    try:
        values = run(subject, Points(xy, torch.ones(1, 5)))
    except InputError as error:
        assert "has no area" in str(error) and not boxed
    else:
        assert values["AP"] > 0 and np.isfinite(list(values.values())).all()
