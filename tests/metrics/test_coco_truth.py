"""The ground truth of COCO AP: whatever annotation files lack, whatever their ids, parsed once."""

import json

import numpy as np
import pytest
from coco_files import SIZE, annotations, person, predicted, scorer, skeleton
from test_coco_ap import each, moved_to_another_image

from poserep.data import load_coco
from poserep.errors import InputError
from poserep.instances import Truth
from poserep.metrics.coco import CocoAP
from spoiling import spoiled


def without_optional_fields(data):
    for annotation in data["annotations"]:
        del annotation["iscrowd"], annotation["num_keypoints"]


def another_category(data):
    hand = {"id": 9, "name": "hand", "keypoints": ["thumb", "palm"], "skeleton": []}
    data["categories"] = [hand, *data["categories"]]
    fields = {"category_id": 9, "num_keypoints": 2, "keypoints": [12, 22, 2, 30, 40, 2]}
    data["annotations"].append(person(4, 7, [10, 20, 30, 30], **fields))


def another_id_of_the_category(data):
    data["categories"] = [{"id": 4, "name": "car"}, {**data["categories"][0], "id": 3}]
    each(category_id=3)(data)


def ids(*values):
    return lambda data: [a.update(id=value) for a, value in zip(data["annotations"], values, strict=True)]


@pytest.mark.parametrize(
    "change",
    [without_optional_fields, another_category, another_id_of_the_category, ids(0, 5, 5), ids("a", None, 3)],
)
def test_files_that_say_the_same_otherwise_score_a_hundred(tmp_path, change):
    data = annotations()
    change(data)
    subject = scorer(tmp_path, data)
    assert list(subject(predicted(subject)).values.values()) == pytest.approx([100] * 10)


def test_images_that_the_file_does_not_list_are_refused(tmp_path):
    data = annotations()
    moved_to_another_image(data)
    data["images"] = data["images"][-1:]
    subject = scorer(tmp_path, data)
    with pytest.raises(InputError, match=r"scored\.json.*\[7, 8\]"):
        subject(predicted(subject))


def test_without_area_a_part_of_the_box_is_the_remedy(tmp_path):
    data = annotations()
    for annotation in data["annotations"]:
        del annotation["area"]
    subject = scorer(tmp_path, data)
    with pytest.raises(InputError, match=r"annotation 1 has no area.*0\.53"):
        subject(predicted(subject))
    by_box = scorer(tmp_path, data, area="box")
    values, _ = by_box(predicted(by_box, 9.0))
    for annotation in data["annotations"]:
        annotation["area"] = 0.53 * annotation["bbox"][2] * annotation["bbox"][3]
    written = scorer(tmp_path, data)
    assert values == written(predicted(written, 9.0)).values
    assert (by_box.area, written.area) == ("box", "annotation")
    with pytest.raises(InputError, match=r"data\.metric\.area='mask' is not one of"):
        scorer(tmp_path, area="mask")


def test_results_have_the_files_category_and_can_be_written(tmp_path):
    data = annotations()
    another_id_of_the_category(data)
    subject = scorer(tmp_path, data)
    predictions = predicted(subject)
    results = json.loads(json.dumps(subject.results(predictions)))
    assert [(r["image_id"], r["category_id"], r["score"]) for r in results] == [(7, 3, 1.0), (8, 3, 1.0), (8, 3, 1.0)]
    assert sorted(r["keypoints"][0] for r in results) == sorted(predictions.xy[:, 0, 0].tolist())


def test_annotations_that_cannot_be_read_are_reported(tmp_path):
    for changes in ({"keypoints": [1, 2]}, {"bbox": None}, {"area": "big"}, {"image_id": [7]}, {"iscrowd": "no"}):
        data = annotations()
        data["annotations"].append(person(4, 7, [10, 20, 80, 90], **changes))
        subject = scorer(tmp_path, data)
        values, diagnosis = subject(predicted(subject))
        assert values["AP"] == pytest.approx(100) and diagnosis.startswith("1 annotations of")
        assert "scored.json cannot be read and are not scored, the first has id 4" in diagnosis


def test_what_an_evaluation_writes_into_annotations_reaches_no_other(tmp_path):
    subjects = [scorer(tmp_path), scorer(tmp_path)]
    first, *others = (subject(predicted(subject, 9.0)).values for subject in [*subjects, *subjects])
    assert others == [first] * 3
    data = annotations()
    del data["annotations"][0]
    subjects[0].truth.annotations.write_text(json.dumps(data))
    assert subjects[0](predicted(subjects[0], 9.0)).values != first


def test_no_annotation_breaks_the_scorer(tmp_path):
    more = [person(4, 7, [10, 20, 80, 90]), person(5, 8, [20, 30, 60, 70]), None]
    for seed in range(150):
        data = annotations()
        data["annotations"] += spoiled(more, seed)
        data["images"] += spoiled([{"id": 9, "file_name": "9.png"}, 1], seed, 1)
        subject = scorer(tmp_path, data, area="box" if seed % 2 else "annotation")
        try:
            values, _ = subject(predicted(subject))
        except InputError as error:
            assert "has no area" in str(error) and seed % 2 == 0
        else:
            assert values["AP"] > 0 and np.isfinite(list(values.values())).all()


def crowd_of(count: int) -> dict:
    """A picture of so many people, in rows."""
    places = [[12.0 * (i % 6), 20.0 * (i // 6), 10.0, 18.0] for i in range(count)]
    return annotations() | {"annotations": [person(i, 7, place) for i, place in enumerate(places, 1)]}


def of_file(folder, data: dict, **options) -> CocoAP:
    path = folder / "file.json"
    path.write_text(json.dumps(data))
    return CocoAP(Truth(load_coco(path, folder, skeleton()), skeleton(), path, SIZE), nms_threshold=None, **options)


def test_more_people_than_count_are_told_and_the_limit_is_an_option(tmp_path):
    for limit, left in ((20, 10), (29, 1), (30, 0), (31, 0)):
        subject = of_file(tmp_path, crowd_of(30), max_detections=limit)
        values = subject(predicted(subject)).values
        assert values["AR"] == pytest.approx(100 * (30 - left) / 30)
        assert (values["AP"] == pytest.approx(100)) == (not left)
        told = {f"beyond the {limit} predictions of an image that count": left}
        assert subject.uncounted() == {reason: count for reason, count in told.items() if count}
        resampled = subject.resampler(predicted(subject), ["AP"])(np.ones((1, 2)))
        assert resampled["AP"][0] == pytest.approx(values["AP"])
    with pytest.raises(InputError, match="max_detections=0 is not a whole number of at least 1"):
        of_file(tmp_path, crowd_of(2), max_detections=0)


def test_people_who_cannot_be_found_are_counted(tmp_path):
    data = crowd_of(8)
    for i, changes in enumerate([{"area": 0}, {"area": 0}, {"num_keypoints": 0}, {"iscrowd": 1, "area": 0}]):
        data["annotations"][i].update(changes)
    data["annotations"][4].update(keypoints=[0] * 15, num_keypoints=0, area=0)
    subject = of_file(tmp_path, data)
    assert subject.uncounted() == {"of area 0": 2, "with num_keypoints 0 though joints are labelled": 1}
    assert of_file(tmp_path, data, area="box").uncounted() == {"with num_keypoints 0 though joints are labelled": 1}
