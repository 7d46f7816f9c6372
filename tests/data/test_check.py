"""``poserep data check``: each defect breaks its own rule and no other; sound sets break none."""

import json
import re
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from poserep.data.check import person_rules, rules, validate
from poserep.data.check.findings import Finding, Rule
from poserep.data.pictures import read_picture
from poserep.skeleton import COCO
from spoiling import edit, spoiled

TRAIN, VAL = (f"annotations/person_keypoints_{split}2017.json" for split in ("train", "val"))
DETECTIONS = "person_detection_results/COCO_val2017_detections_AP_H_56_person.json"


def broken(cfg: Any, **options: Any) -> dict[Rule, list[Finding]]:
    groups: dict[Rule, list[Finding]] = {}
    for section in validate.validate(cfg, **options):
        for rule, findings in section.by_rule().items():
            groups.setdefault(rule, []).extend(findings)
    return groups


def person(data: Any, i: int = 1) -> Any:
    """A labelled person of the validation set; 2 and 1 are on one image."""
    return data["annotations"][i]


def image(data: Any) -> Any:
    """The image of `person`."""
    return data["images"][1]


def swap(record: Any) -> None:
    record["width"], record["height"] = record["height"], record["width"]


# What is done to the file, the rule that breaks or the reason by which the loader counts the record, and the place.
DEFECTS = [
    (lambda d: d["images"].append({"id": 7}), rules.ENTRY, "entry 4"),
    (lambda d: image(d).pop("width"), "on images without size", r"annotation 10 is on image 100701.*\(None, 320\)"),
    (lambda d: d["images"].append({**image(d), "width": 9}), "on images that share an id", "10 is on image 100701"),
    (lambda d: d["images"].append(image(d)), rules.REPEATED, "entries 1 and 4"),
    (lambda d: d["images"].append({**image(d), "id": 7}), rules.SEVERAL_IDS, "ids 100701 and 7"),
    (lambda d: swap(image(d)), rules.EXCHANGED, "annotated 320x426, 426x320 in the file"),
    (lambda d: image(d).update(width=430), rules.OTHER_SIZE, "annotated 430x320, 426x320 in the file"),
    (lambda d: person(d).pop("category_id"), "without category", "annotation 10"),
    (lambda d: person(d).pop("id"), "without id", "annotation 1 "),
    (lambda d: person(d, 2).update(id=10), "with an id that repeats", "annotation 10"),
    (lambda d: person(d).update(image_id=5), "on images that are not listed", "annotation 10 names image 5"),
    (lambda d: person(d)["keypoints"].pop(), "with keypoints of another skeleton", "10 has 50 keypoint numbers"),
    (lambda d: person(d)["keypoints"].__setitem__(0, float("nan")), "with keypoints that are no numbers", " 10 "),
    (lambda d: person(d).update(bbox=[1, 2, 3]), "without a box of four numbers", r"annotation 10 .*\[1, 2, 3\]"),
    (lambda d: person(d)["bbox"].__setitem__(2, 0), "with a box without area", r"annotation 10 .*0.0, 1"),
    (lambda d: person(d)["bbox"].__setitem__(slice(0, 3, 2), [-9, 300]), person_rules.ACROSS, r"\[-9.0, 90.0"),
    (lambda d: person(d).update(area=0), person_rules.UNSCALED, "annotation 10 .*: area 0"),
    (lambda d: person(d).update(area=9000), person_rules.AREA_LARGER, "area 9000, box 5459"),
    (lambda d: person(d)["keypoints"].__setitem__(0, 600), person_rules.OUTSIDE, r"nose \[600.0, .* in 426x320 px"),
    (lambda d: person(d)["keypoints"].__setitem__(slice(0, 2), [0, 0]), person_rules.ORIGIN, r"nose \[0.0, 0.0\]"),
    (lambda d: person(d).update(bbox=[1, 1, 9, 9], area=80), person_rules.BOX_ELSEWHERE, r"\[1.0, 1.0, 9.0, 9.0\]"),
    (lambda d: person(d)["keypoints"].__setitem__(2, 3), "with a visibility outside 0 to 2", "visibility 3 of nose"),
    (lambda d: person(d)["keypoints"].__setitem__(2, 0.5), person_rules.VISIBILITY, "nose 0.5"),
    (lambda d: person(d).update(num_keypoints=3), person_rules.NUM_KEYPOINTS, "3, labelled are 16"),
    (lambda d: d["categories"][0]["keypoints"].reverse(), validate.OTHER_KEYPOINTS, "set data.skeleton"),
    (lambda d: d.pop("annotations"), validate.REFUSED_SPLIT, "lists no annotations"),
    (lambda d: d.pop("images"), validate.REFUSED_SPLIT, "is it COCO format"),
]
DETECTION_DEFECTS = [
    (lambda d: d[0].pop("score"), "that lack fields", r"has no \['score'\]"),
    (lambda d: d[0].update(bbox=[0, 0, 5, 0]), "with a box without area", "5.0, 0.0"),
    (lambda d: d[0].update(score=float("nan")), "without score", "score nan"),
    (lambda d: d[0].update(image_id=5), rules.DETECTION_IMAGE, "image 5"),
    (lambda d: d[0].update(category_id=5), rules.OTHER_CATEGORY, "category 5"),
    (lambda d: d[0].update(score=1.5), "with a score outside [0, 1]", "the score 1.5"),
]


@pytest.mark.parametrize(
    ("file", "defects", "where"), [(VAL, DEFECTS, ""), (DETECTIONS, DETECTION_DEFECTS, "detection 0")]
)
def test_a_defect_breaks_its_own_rule(copy, file, defects, where):
    root, cfg = copy(**{"detections": None} if file == VAL else {})
    sound = (root / file).read_text()
    for change, expected, says in defects:
        (root / file).write_text(sound)
        edit(root / file, change)
        ((rule, (finding, *_)),) = broken(cfg).items()
        assert rule == expected or (rule.name == f"invalid record: {expected}" and rule.error and rule.remedy)
        assert finding.where.startswith(where) and re.search(says, f"{finding.where}: {finding.value}")


def test_whatever_stands_in_a_file_is_reported(copy):
    root, cfg = copy()
    cfg.data.train = cfg.data.val
    sound = {file: json.loads((root / file).read_text()) for file in (VAL, DETECTIONS)}
    for seed in range(15):
        for file, content in sound.items():
            (root / file).write_text(json.dumps(spoiled(content, seed)))
        validate.validate(cfg)


def test_files_that_are_missing_or_of_another_kind(copy):
    root, cfg = copy()
    (root / DETECTIONS).write_text('{"image_id": 1}')
    (finding,) = broken(cfg)[validate.UNREADABLE]
    assert "is no list of detections" in finding.value
    (root / DETECTIONS).unlink()
    assert {f.where for f in broken(cfg)[validate.FILE]} == {str(root / DETECTIONS)}
    (root / TRAIN).write_text("{")
    assert set(broken(cfg)) == {validate.FILE, validate.UNREADABLE}
    (root / TRAIN).unlink()
    assert [f.value for f in broken(cfg)[validate.FILE]] == ["annotations", "detections"]


def test_images_that_are_missing_or_cut_short(copy):
    root, cfg = copy(detections=None)
    first, second, third, *_ = sorted((root / "images/val2017").glob("*.jpg"))
    first.unlink()
    second.write_bytes(second.read_bytes()[:-40])
    third.write_bytes(b"")
    findings = broken(cfg)
    assert [f.where for f in findings.pop(rules.MISSING)] == [str(first)]
    faults = {f.where: f.value[:12] for f in findings.pop(rules.BROKEN)}
    assert faults == {str(second): "is cut short", str(third): "Unidentified"}
    assert not findings


def test_faults_inside_an_image_are_found_by_decoding_and_what_follows_it_does_no_harm(copy):
    root, cfg = copy(detections=None)
    path, other, *_ = sorted((root / "images/val2017").glob("*.jpg"))
    other.write_bytes(other.read_bytes() + bytes(9000))
    assert read_picture(other).fault == "" and read_picture(other).width > 0
    Image.open(path).save(path.with_suffix(".png"))
    content = bytearray(path.with_suffix(".png").read_bytes())
    content[100:200] = bytes(100)
    path.write_bytes(content)
    assert not broken(cfg)
    assert list(broken(cfg, decode=True)) == [rules.BROKEN]


@pytest.mark.parametrize("tag", range(2, 9))
def test_every_exif_orientation_is_named_unless_an_option_says_what_it_means(copy, tag):
    root, cfg = copy(detections=None)
    path = root / "images/val2017/000000100701.jpg"
    exif = Image.Exif()
    exif[0x0112] = tag
    Image.open(path).save(path, exif=exif)
    (rule, (finding,)) = next(iter(broken(cfg).items()))
    assert rule == rules.TURNED and finding.value == f"orientation {tag}, 426x320 px as stored"
    cfg.data.orientation = "stored"
    assert not broken(cfg)
    assert "1 images with an EXIF orientation, left as they are stored" in validate.validate(cfg)[1].notes
    cfg.data.orientation = "upright"
    assert list(broken(cfg)) == [rules.EXCHANGED] * (tag >= 5)
    edit(root / VAL, lambda d: swap(image(d)))
    assert list(broken(cfg)) == [rules.EXCHANGED] * (tag < 5)
    if tag >= 5:
        cfg.data.orientation = "refuse"
        assert broken(cfg)[rules.TURNED][0].value.endswith("annotated upright")


def test_images_of_many_bits_and_of_one_colour_are_named(copy):
    root, cfg = copy(detections=None)
    first, second, third, *_ = sorted((root / "images/val2017").glob("*.jpg"))
    deep = cv2.imread(str(first)).astype(np.uint16) * 16
    first.write_bytes(cv2.imencode(".png", deep)[1].tobytes())
    height, width = cv2.imread(str(second)).shape[:2]
    second.write_bytes(cv2.imencode(".jpg", np.zeros((height, width, 3), np.uint8))[1].tobytes())
    # Uncompressed, so that its size does not tell.
    height, width = cv2.imread(str(third)).shape[:2]
    third.write_bytes(cv2.imencode(".bmp", np.full((height, width, 3), 9, np.uint8))[1].tobytes())
    findings = broken(cfg)
    assert findings.keys() == {rules.DEEP, rules.BLANK}
    assert findings[rules.DEEP][0][1:] == (str(first), "16 bits")
    assert [f.where for f in findings[rules.BLANK]] == [str(second)]
    cfg.data.range = [0, 4080]
    findings = broken(cfg, decode=True)
    assert findings.keys() == {rules.BLANK} and len(findings[rules.BLANK]) == 2
    cfg.data.range = [4080, 9000]
    assert [f.where for f in broken(cfg, decode=True)[rules.BLANK]] == [str(first), str(second), str(third)]


def test_what_crowdpose_puts_right_is_no_error(copy):
    root, cfg = copy("crowdpose")
    edit(root / cfg.data.val.annotations, lambda d: swap(d["images"][0]))
    findings = broken(cfg)
    assert rules.MENDED in findings and not any(rule.error for rule in findings)


def test_left_out_persons_are_warnings_if_that_is_configured(copy):
    root, cfg = copy(detections=None, skip_invalid=True)
    edit(root / VAL, lambda d: person(d)["bbox"].__setitem__(2, 0))
    (rule,) = broken(cfg)
    assert (rule.name, rule.error) == ("invalid record: with a box without area", False)


@pytest.mark.parametrize("change", [{"pairs": [["nose", "left_eye"], ["nose", "right_eye"]]}, {"sigmas": None}])
def test_a_skeleton_that_cannot_be_used(cfgs, tmp_path, change):
    category = {"keypoints": COCO.names, "pairs": COCO.pairs, "sigmas": COCO.sigmas, **change}
    (tmp_path / "skeleton.json").write_text(json.dumps(category))
    cfg = cfgs["coco"].copy()
    cfg.data.skeleton = str(tmp_path / "skeleton.json")
    findings = broken(cfg)
    assert list(findings) == [validate.UNUSABLE_SKELETON]
    assert ("no involution" if "pairs" in change else "no `sigmas`") in findings[validate.UNUSABLE_SKELETON][0].value


def test_heads_missing_where_pckh_needs_them(copy):
    root, cfg = copy("mpii")
    cfg.data.val.heads = None
    edit(root / cfg.data.val.annotations, lambda d: [record.pop("head_box", None) for record in d])
    (finding,) = broken(cfg)[validate.METRIC]
    assert finding.where == "PCKh" and "6 of 6 persons have no head length" in finding.value


def test_a_file_of_persons_without_joints_is_named(copy):
    root, cfg = copy("mpii")
    strip = ("joints", "joints_vis", "head_box")
    edit(root / cfg.data.val.annotations, lambda d: [record.pop(key, None) for record in d for key in strip])
    for heads, rule in ((cfg.data.val.heads, validate.REFUSED_SPLIT), (None, validate.UNLABELLED)):
        cfg.data.val.heads = heads
        (finding,) = broken(cfg)[rule]
        assert "nobody has joints, as in MPII's test.json" in finding.value


def test_persons_beyond_the_predictions_that_count_are_a_warning(copy):
    _, cfg = copy(detections=None)
    cfg.data.metric.max_detections = 1
    ((rule, findings),) = broken(cfg).items()
    assert rule == rules.CROWDED and not rule.error
    assert findings[0].where.endswith("000000100701.jpg") and findings[0].value == "2 persons, 1 predictions"


def test_persons_of_other_formats_are_held_against_their_images(copy):
    root, cfg = copy("mpii")
    path = root / cfg.data.train.annotations
    edit(path, lambda d: d[2]["joints"].__setitem__(9, [5000.0, 20.0]))
    assert [(r, f[0].where.split(" on ")[0]) for r, f in broken(cfg).items()] == [(person_rules.OUTSIDE, "person 2")]
    edit(path, lambda d: d[1].update(scale=0))
    assert [rule.name for rule in broken(cfg)] == ["invalid record: without scale", person_rules.OUTSIDE.name]
    edit(path, lambda d: [record["center"].__setitem__(0, 9000) for record in d])
    assert person_rules.BOX_OUTSIDE in broken(cfg)


def test_sound_sets_break_no_rule(cfgs):
    for cfg in cfgs.values():
        assert not broken(cfg) and not broken(cfg, decode=True)


def test_check_prints_rules_examples_remedies_and_counts(copy, data):
    root, _ = copy()
    edit(root / VAL, lambda d: [a.update(area=10**6) for a in d["annotations"]])
    words = ["check", "data=coco", f"data.root={root}", "--show", "2"]
    code, out, _ = data(*words)
    assert code == 0
    assert f"val: {root / VAL}\n  annotated boxes: 6 taken; left out: 1 crowds, 1 without labelled keypoints" in out
    assert "  warning area larger than its box: 6\n      annotation 9 on 000000100700.jpg: area 1e+06, box 13532" in out
    assert "      and 4 more\n      → correct area or bbox" in out
    assert out.endswith("no errors and 1 warning in 6 places\n")
    assert data(*words, "--strict")[0] == 1
    edit(root / VAL, lambda d: [a.update(area=0) for a in d["annotations"]])
    code, out, _ = data(*words)
    assert code == 1 and out.endswith("1 error in 6 places and no warnings\n")
