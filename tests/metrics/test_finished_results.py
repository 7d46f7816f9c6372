"""Results of other programs: read, scored as pycocotools scores them, and matched with persons."""

import contextlib
import io
import json

import numpy as np
import pytest
from pycocotools.coco import COCO as CocoApi
from pycocotools.cocoeval import COCOeval

from poserep import cli
from poserep.config import compose
from poserep.errors import InputError
from poserep.metrics.coco import COCO_VALUES
from poserep.metrics.finished_results import count_matched, matched_with_persons, results_of
from poserep.training.evaluate_results import evaluate_results


@pytest.fixture(scope="module")
def made(tiny_sets, tmp_path_factory):
    """Results on the tiny COCO set: its configuration and annotation file, the records, and what writes them."""
    root = tiny_sets["coco"]
    truth = root / "annotations/person_keypoints_val2017.json"
    rng, rows = np.random.default_rng(0), []
    for person in json.loads(truth.read_text())["annotations"]:
        points = np.array(person["keypoints"], float).reshape(-1, 3)
        for noise in rng.uniform(0, 0.2, 25) * np.sqrt(person["area"]):
            moved = np.column_stack([points[:, :2] + rng.normal(0, noise, (17, 2)), rng.uniform(0, 1, 17)])
            # Few scores, so that some are equal.
            score, image = float(rng.integers(1, 9)) / 8, person["image_id"]
            rows.append({"image_id": image, "category_id": 1, "keypoints": moved.ravel().tolist(), "score": score})

    def write(change=None, rows=rows):
        file = tmp_path_factory.mktemp("results") / "theirs.json"
        rows = [dict(row) for row in rows]
        changed = change(rows) if change else None
        file.write_text(json.dumps(rows if changed is None else changed))
        return file

    return compose(["data=coco", f"data.root={root}"]).cfg, truth, rows, write


def points(row):
    return np.array(row["keypoints"]).reshape(-1, 3)


def each(**changes):
    """Change every record by functions of it; None removes a key."""

    def change(rows):
        for row in rows:
            row |= {key: value(row) for key, value in changes.items()}
            for key in [key for key, value in row.items() if value is None]:
                del row[key]

    return change


def test_results_have_the_values_of_pycocotools_alone(made, capsys):
    cfg, truth, rows, write = made
    file = write()
    found = evaluate_results(file, cfg)
    with contextlib.redirect_stdout(io.StringIO()):
        annotations = CocoApi(str(truth))
        reference = COCOeval(annotations, annotations.loadRes(str(file)), "keypoints")
        for step in (reference.evaluate, reference.accumulate, reference.summarize):
            step()
    values = found["metrics"]["unknown"]["results"]
    assert 0 < values["AP"] < 100
    expected = [100 * value if value >= 0 else -1 for value in reference.stats]
    assert [values[name] for name in COCO_VALUES] == pytest.approx(expected, abs=1e-9)
    out = capsys.readouterr().out
    assert f"written: {file.with_suffix('.evaluation.json')}" in out and "of another program, as they stand" in out
    protocol = found["protocol"]["unknown"]["results"]
    assert protocol["flip_test"] is None and "nms_threshold" not in protocol["metric"]
    by_image = np.unique([row["image_id"] for row in rows], return_counts=True)[1]
    beyond = int(np.maximum(by_image - 20, 0).sum())
    assert beyond and f"{beyond} beyond the 20 best of their image (data.metric.max_detections)" in out
    assert found["errors"]["unknown"]["results"]["labelled"] > 0
    assert 0 < found["calibration"]["unknown"]["results"]["ece"] < 1
    counts = found["matched"]
    assert counts["persons with a result"] + counts["results without a person"] == len(rows)


@pytest.mark.parametrize(
    "change",
    [
        each(keypoints=lambda r: points(r).tolist()),
        each(keypoints=lambda r: points(r)[:, :2].tolist(), keypoint_scores=lambda r: points(r)[:, 2].tolist()),
        each(keypoints=lambda r: points(r)[:, :2].ravel().tolist(), keypoint_scores=lambda r: points(r)[:, 2].tolist()),
        each(image_id=lambda r: str(r["image_id"])),
        each(image_id=lambda r: f"{r['image_id']:012d}.jpg"),
        each(category_id=lambda r: 0),
        each(category_id=lambda r: None),
        each(category_id=lambda r: "person"),
        lambda rows: rows.append({**rows[0], "image_id": 5}),
        lambda rows: rows.append({**rows[0], "category_id": 5}),
    ],
)
def test_what_files_of_other_programs_mean_is_understood(made, change):
    cfg, _, _, write = made
    scorer, expected, _, _ = results_of(cfg, write())
    _, found, _, tally = results_of(cfg, write(change))
    for name in ("index", "xy", "score", "image_id", "person_score"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    assert scorer.results(found) == scorer.results(expected)
    assert sum(tally.left_out.values()) + tally.taken >= len(expected.index)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: [], "is an empty list"),
        (lambda rows: {"annotations": rows}, "is an annotation file; results are a list of records with"),
        (lambda rows: {"results": rows}, "is an object with results; results are a list"),
        (lambda rows: ["a"], "does not hold results"),
        (each(keypoints=lambda r: None, bbox=lambda r: [1, 2, 3, 4]), "boxes without keypoints.*data.detections=FILE"),
        (each(keypoints=lambda r: None), "has no keypoints, but image_id, category_id, score"),
        (each(keypoints=lambda r: r["keypoints"][3:]), "result 0 has 16 joints; the annotation file has 17"),
        (each(keypoints=lambda r: r["keypoints"][1:]), "result 0 has 50 keypoint numbers"),
        (each(keypoints=lambda r: [float("nan"), *r["keypoints"][1:]]), "result 0 has nan among its keypoints"),
        (each(keypoint_scores=lambda r: [0.5]), r"17 joints and the keypoint_scores \[0.5\]"),
        (each(score=lambda r: None), "result 0 needs a score.*and has none"),
        (each(score=lambda r: "high"), "result 0 needs a score.*and has 'high'"),
        (each(image_id=lambda r: None), "result 0 has no image_id"),
        (each(image_id=lambda r: 3), r"\d+ on images that are not listed.*image_id 3.*images such as 100700 or"),
        (each(category_id=lambda r: 3), r"left out: \d+ of other categories.*category_id 3;.*and category_id 1"),
        (each(keypoints=lambda r: (points(r) % 1).ravel().tolist()), "seem to be fractions of the image"),
    ],
)
def test_files_that_cannot_be_scored_are_refused(made, change, message):
    cfg, _, _, write = made
    with pytest.raises(InputError, match=message):
        results_of(cfg, write(change))


def test_invalid_results_are_left_out_if_that_is_asked_for(made):
    cfg, _, rows, write = made
    file = write(lambda rows: rows[0].pop("score") and None)
    lenient = cfg.copy()
    lenient.data.skip_invalid = True
    _, results, _, tally = results_of(lenient, file)
    assert tally.left_out["without score"] == 1 and results.index.tolist() == list(range(1, len(rows)))


def test_several_annotation_files_are_scored_as_one_if_their_ids_differ(made, tmp_path):
    cfg, truth, _, write = made
    expected = results_of(cfg, write()).scorer
    content = json.loads(truth.read_text())
    first, *others = [image["id"] for image in content["images"]]
    parts = [tmp_path / "first.json", tmp_path / "others.json"]

    def split(rename):
        for path, ids in zip(parts, ([first], others), strict=True):
            part = {
                key: [r for r in content[key] if r[name] in ids]
                for key, name in (("images", "id"), ("annotations", "image_id"))
            }
            path.write_text(json.dumps({**content, **part}).replace(f": {others[0]},", f": {rename},"))

    both = cfg.copy()
    both.data.val.annotations = list(map(str, parts))
    split(others[0])
    scorer, results, *_ = results_of(both, write())
    assert scorer(results).values == expected(results).values
    split(first)
    with pytest.raises(InputError, match=f"image ids such as {first} do not tell an image.*others.json"):
        results_of(both, write())


def test_the_best_results_take_the_nearest_persons(made):
    cfg, truth, _, write = made
    people = [a for a in json.loads(truth.read_text())["annotations"] if a["num_keypoints"] and not a["iscrowd"]]
    rows = []
    for person in people[1:]:
        row = {"image_id": person["image_id"], "category_id": 1}
        exact, off = person["keypoints"], (np.array(person["keypoints"]) + 1).tolist()
        rows += [{**row, "keypoints": off, "score": 0.5}, {**row, "keypoints": exact, "score": 0.9}]
    rows.append({**rows[0], "keypoints": [9000, 9000, 1] * 17, "score": 1.0})
    scorer, results, _, _ = results_of(cfg, write(rows=rows))
    matched = matched_with_persons(results, scorer.truth, 20)
    assert sorted(scorer.truth.instances.id[matched.index]) == sorted(person["id"] for person in people[1:])
    np.testing.assert_allclose(matched.xy, scorer.truth.instances.keypoints[matched.index], atol=1e-4)
    assert list(count_matched(matched, results, scorer.truth).values()) == [len(people) - 1, 1, len(people)]


def test_scores_of_joints_that_are_no_scores_leave_calibration_out(made, capsys):
    cfg, _, _, write = made
    for change, reason in (
        (each(keypoints=lambda r: points(r)[:, :2].tolist()), "not every joint has a score"),
        (each(keypoints=lambda r: np.column_stack([points(r)[:, :2], [2] * 17]).tolist()), "these are from 2 to 2"),
    ):
        found = evaluate_results(write(change), cfg)
        assert "calibration" not in found and "errors" in found
        assert f"note: calibration is left out: {reason}" in capsys.readouterr().err.replace(
            "scores of joints must differ and lie in [0, 1]; ", ""
        )


def test_metrics_that_need_a_person_for_each_result_are_refused(made, tiny_sets, capsys):
    file = made[3]()
    for more, reason in (
        (["data=human4d", f"data.root={tiny_sets['human4d']}"], "as data.metric Human4DError needs to know"),
        (["data=mpii", f"data.root={tiny_sets['mpii']}"], "as data.metric PCKh needs to know"),
        (["data=coco_testdev", f"data.root={tiny_sets['coco']}"], "its server scores results"),
        (["data=lspet"], "data.root must be given"),
        (["runs/mine", "data=coco"], "takes settings such as data=coco, not runs/mine"),
    ):
        assert cli.main(["evaluate", "--results", str(file), *more]) == 2
        assert reason in capsys.readouterr().err
