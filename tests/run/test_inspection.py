"""``poserep data``: each defect breaks its own rule and no other; sound sets break none."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.io import loadmat

from layouts import generate_coco, generate_crowdpose, generate_human4d, generate_mpii
from poserep import cli
from poserep.data.check import check, detection_rules, image_rules, person_rules, persons
from poserep.data.check.command import configure
from poserep.data.check.findings import Finding, Rule
from poserep.data.check.headers import header
from poserep.data.check.loading import reader
from poserep.data.check.overlap import overlaps
from poserep.data.check.preview import picture, rows, sides
from poserep.data.check.stats import parts, quantiles, stats
from poserep.errors import InputError
from poserep.skeleton import COCO

TRAIN, VAL = (f"annotations/person_keypoints_{split}2017.json" for split in ("train", "val"))
DETECTIONS = "person_detection_results/COCO_val2017_detections_AP_H_56_person.json"
Edit = Callable[[Any], None]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, list[str]]]:
    """Folder and overrides of a tiny set of each format."""
    root = tmp_path_factory.mktemp("tiny")
    folders = {
        "coco": generate_coco(root),
        "crowdpose": generate_crowdpose(root),
        "mpii": generate_mpii(root),
        "human4d": generate_human4d(root),
    }
    more = {
        "coco": [f"data.detections={DETECTIONS}"],
        "crowdpose": ["data.detections=annotations/det_for_crowd_test_0.1_0.5.json"],
        "human4d": ["size=160x320", "augment=none"],
    }
    return {n: (path, [f"data={n}", f"data.root={path}", *more.get(n, [])]) for n, path in folders.items()}


@pytest.fixture(scope="module")
def cfgs(tiny):
    """Their configurations."""
    return {name: configure(overrides)[0] for name, (_, overrides) in tiny.items()}


@pytest.fixture
def copy(tiny, cfgs, tmp_path):
    """A copy of a tiny set to break, and its configuration."""

    def make(name: str = "coco", **data: Any):
        root = tmp_path / name
        shutil.copytree(tiny[name][0], root)
        cfg = cfgs[name].copy()
        cfg.data.root = str(root)
        for key, value in data.items():
            cfg.data[key] = value
        return root, cfg

    return make


def edit(path: Path, change: Edit) -> None:
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def broken(cfg: Any, **options: Any) -> dict[Rule, list[Finding]]:
    groups: dict[Rule, list[Finding]] = {}
    for section in check.check(cfg, **options):
        for rule, found in section.by_rule().items():
            groups.setdefault(rule, []).extend(found)
    return groups


def person(data: Any, i: int = 1) -> Any:
    """A labelled person of the validation set; 2 and 1 are on one image."""
    return data["annotations"][i]


def image(data: Any) -> Any:
    """The image of `person`."""
    return data["images"][1]


def swap(record: Any) -> None:
    record["width"], record["height"] = record["height"], record["width"]


# What is done to the file, the rule that breaks, and what the finding says.
DEFECTS: list[tuple[Edit, Rule, str]] = [
    (lambda d: image(d).pop("width"), image_rules.ENTRY, "entry 1"),
    (lambda d: d["images"].append({**image(d), "width": 9}), image_rules.SHARED_ID, "image 100766, entries 1 and 5"),
    (lambda d: d["images"].append(image(d)), image_rules.REPEATED, "entries 1 and 5"),
    (lambda d: d["images"].append({**image(d), "id": 7}), image_rules.SEVERAL_IDS, "ids 100766 and 7"),
    (lambda d: swap(image(d)), image_rules.EXCHANGED, "320x426 in person_keypoints_val2017.json, 426x320 in the file"),
    (lambda d: image(d).update(width=430), image_rules.OTHER_SIZE, "430x320 in .*, 426x320 in the file"),
    (lambda d: person(d).pop("category_id"), persons.RECORD, "annotation 10"),
    (lambda d: person(d, 2).update(id=10), persons.SHARED_ID, "annotation 10"),
    (lambda d: person(d).update(image_id=5), persons.NO_IMAGE, "annotation 10: image 5"),
    (lambda d: person(d)["keypoints"].pop(), persons.KEYPOINTS, "50 of 51 numbers"),
    (lambda d: person(d)["keypoints"].__setitem__(0, float("nan")), persons.KEYPOINTS, "annotation 10: 51 of 51"),
    (lambda d: person(d).update(bbox=[1, 2, 3]), persons.BOX, r"\[1, 2, 3\]"),
    (lambda d: person(d)["bbox"].__setitem__(2, float("inf")), persons.BOX, "annotation 10"),
    (lambda d: person(d)["bbox"].__setitem__(2, 0), person_rules.NO_AREA, "annotation 10 on 000000100766.jpg"),
    (lambda d: person(d)["bbox"].__setitem__(0, 900), person_rules.NO_AREA, r"\[900.0, 90.0, .* in 426x320 px"),
    (lambda d: person(d)["bbox"].__setitem__(0, -9), person_rules.ACROSS, r"\[-9.0, 90.0"),
    (lambda d: person(d).update(area=0), person_rules.UNSCALED, "annotation 10 .*: area 0"),
    (lambda d: person(d).update(area=9000), person_rules.AREA_LARGER, "area 9000, box 5459"),
    (lambda d: person(d)["keypoints"].__setitem__(0, 600), person_rules.OUTSIDE, r"nose \[600.0, .* in 426x320 px"),
    (lambda d: person(d)["keypoints"].__setitem__(2, 3), person_rules.VISIBILITY, "nose 3"),
    (lambda d: person(d).update(num_keypoints=3), person_rules.COUNT, "3, labelled are 16"),
    (lambda d: d["categories"][0]["keypoints"].reverse(), check.CATEGORY, "set data.skeleton"),
    (lambda d: d.pop("annotations"), check.REFUSED, "lists no annotations"),
    (lambda d: d.pop("images"), check.REFUSED, "is it COCO format"),
]


@pytest.mark.parametrize(("change", "rule", "says"), DEFECTS, ids=[str(i) for i in range(len(DEFECTS))])
def test_a_defect_breaks_its_own_rule(copy, change, rule, says):
    root, cfg = copy(detections=None)
    edit(root / VAL, change)
    found = broken(cfg)
    assert list(found) == [rule]
    (finding,) = found[rule]
    assert re.search(says, f"{finding.where}: {finding.value}")


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (lambda d: d[0].pop("score"), detection_rules.RECORD),
        (lambda d: d[0].update(bbox=[0, 0, 5, 0]), detection_rules.BOX),
        (lambda d: d[0].update(image_id=5), detection_rules.NO_IMAGE),
        (lambda d: d[0].update(category_id=5), detection_rules.CATEGORY),
        (lambda d: d[0].update(score=1.5), detection_rules.SCORE),
        (lambda d: d[0].update(score=float("nan")), detection_rules.SCORE),
    ],
)
def test_a_defect_of_detections_breaks_its_own_rule(copy, change, rule):
    root, cfg = copy()
    edit(root / DETECTIONS, change)
    found = broken(cfg)
    assert list(found) == [rule] and len(found[rule]) == 1
    assert found[rule][0].where.startswith("detection 0")


JUNK = [None, True, -1, 10**400, float("nan"), 1e300, "", "\0", "x", [], [None], {}, {"id": 1}]


def leaves(value: Any) -> list[tuple[Any, Any]]:
    """Everything in some JSON that can be replaced, as (container, key)."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, inner in items for found in [(value, key), *leaves(inner)]]


@pytest.mark.parametrize("seed", range(30))
def test_whatever_stands_in_a_file_is_reported(copy, seed):
    root, cfg = copy()
    rng = np.random.default_rng(seed)

    def spoil(data):
        for _ in range(3):
            places = leaves(data)
            container, key = places[rng.integers(len(places))]
            container[key] = JUNK[rng.integers(len(JUNK))]

    edit(root / VAL, spoil)
    edit(root / DETECTIONS, spoil)
    check.check(cfg)


def test_a_detection_file_that_is_no_list(copy):
    root, cfg = copy()
    (root / DETECTIONS).write_text('{"image_id": 1}')
    assert list(broken(cfg)) == [detection_rules.NO_LIST]


def test_files_that_are_missing_or_no_json(copy):
    root, cfg = copy()
    (root / DETECTIONS).unlink()
    assert {f.where for f in broken(cfg)[check.FILE]} == {str(root / DETECTIONS)}
    (root / TRAIN).write_text("{")
    assert set(broken(cfg)) == {check.FILE, check.UNREADABLE}
    (root / TRAIN).unlink()
    assert [f.value for f in broken(cfg)[check.FILE]] == ["annotations", "detections"]


def test_images_that_are_missing_or_cut_short(copy):
    root, cfg = copy(detections=None)
    first, second, third, *_ = sorted((root / "images/val2017").glob("*.jpg"))
    first.unlink()
    second.write_bytes(second.read_bytes()[:-40])
    third.write_bytes(b"")
    found = broken(cfg)
    assert [f.where for f in found.pop(image_rules.MISSING)] == [str(first)]
    assert [(f.where, f.value[:12]) for f in found.pop(image_rules.BROKEN)] == [
        (str(second), "is cut short"),
        (str(third), "Unidentified"),
    ]
    assert not found


def test_what_follows_an_image_does_no_harm(tiny, tmp_path):
    path = tmp_path / "a.jpg"
    data = next((tiny["coco"][0] / "images/val2017").glob("*.jpg")).read_bytes()
    path.write_bytes(data + bytes(9000))
    assert header(path).fault == "" and header(path).width > 0


def test_faults_inside_an_image_are_found_by_decoding(copy):
    root, cfg = copy(detections=None)
    path = sorted((root / "images/val2017").glob("*.jpg"))[0]
    Image.open(path).save(path.with_suffix(".png"))
    data = bytearray(path.with_suffix(".png").read_bytes())
    data[100:200] = bytes(100)
    path.write_bytes(data)
    assert not broken(cfg)
    assert list(broken(cfg, decode=reader(cfg))) == [image_rules.BROKEN]


def test_images_that_exif_turns_are_told(copy):
    root, cfg = copy(detections=None)
    path = root / "images/val2017/000000100766.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(path).save(path, exif=exif)
    edit(root / VAL, lambda d: swap(image(d)))
    (finding,) = broken(cfg)[image_rules.EXCHANGED]
    assert finding.value.endswith("orientation 6")


def test_what_crowdpose_puts_right_is_no_error(copy):
    root, cfg = copy("crowdpose")
    edit(root / cfg.data.val.annotations, lambda d: swap(d["images"][0]))
    found = broken(cfg)
    assert image_rules.MENDED in found and not any(rule.error for rule in found)


def test_left_out_persons_are_warnings_if_that_is_configured(copy):
    root, cfg = copy(detections=None)
    edit(root / VAL, lambda d: person(d)["bbox"].__setitem__(2, 0))
    assert [rule.error for rule in broken(cfg)] == [True]
    cfg.data.skip_invalid = True
    assert [rule.error for rule in broken(cfg)] == [False]


@pytest.mark.parametrize("change", [{"pairs": [["nose", "left_eye"], ["nose", "right_eye"]]}, {"sigmas": None}])
def test_a_skeleton_that_cannot_be_used(copy, tmp_path, change):
    category = {"keypoints": COCO.names, "pairs": COCO.pairs, "sigmas": COCO.sigmas, **change}
    (tmp_path / "skeleton.json").write_text(json.dumps(category))
    _, cfg = copy(skeleton=str(tmp_path / "skeleton.json"))
    found = broken(cfg)
    assert list(found) == [check.SKELETON]
    assert ("no involution" if "pairs" in change else "no `sigmas`") in found[check.SKELETON][0].value


def test_heads_missing_where_pckh_needs_them(copy):
    root, cfg = copy("mpii")
    cfg.data.val.heads = None
    edit(root / cfg.data.val.annotations, lambda d: [record.pop("head_box", None) for record in d])
    (finding,) = broken(cfg)[check.METRIC]
    assert finding.where == "PCKh" and "6 of 6 persons have no head length" in finding.value


def test_persons_of_other_formats_are_held_against_their_images(copy):
    root, cfg = copy("mpii")
    path = root / cfg.data.train.annotations
    edit(path, lambda d: d[2]["joints"].__setitem__(9, [5000.0, 20.0]))
    assert [(r, f[0].where.split(" on ")[0]) for r, f in broken(cfg).items()] == [(person_rules.OUTSIDE, "person 2")]
    edit(path, lambda d: d[1].update(scale=0))
    assert set(broken(cfg)) == {person_rules.OUTSIDE, check.REFUSED}


@pytest.mark.parametrize("name", ["coco", "crowdpose", "mpii", "human4d"])
def test_sound_sets_break_no_rule(cfgs, name):
    assert not broken(cfgs[name])
    assert not broken(cfgs[name], decode=reader(cfgs[name]))


def test_the_embedded_set_breaks_no_rule(configure, synthetic):
    assert not broken(configure())


def run(*words: str) -> Any:
    return cli.main(["data", *map(str, words)])


def test_check_prints_rules_examples_remedies_and_counts(tiny, tmp_path, capsys):
    root = tmp_path / "set"
    shutil.copytree(tiny["coco"][0], root)
    edit(root / VAL, lambda d: [a.update(area=10**6) for a in d["annotations"]])
    words = ["check", "data=coco", f"data.root={root}", "--show", "2"]
    assert run(*words) == 0
    out = capsys.readouterr().out
    assert f"val: {root / VAL}\n  annotated boxes: 6 taken; left out: 1 crowds, 1 without labelled keypoints" in out
    assert "  warning area larger than its box: 6\n      annotation 9 on 000000100765.jpg: area 1e+06, box 13532" in out
    assert "      and 4 more\n      → correct area or bbox" in out
    assert out.endswith("no errors and 1 warning in 6 places\n")
    assert run(*words, "--strict") == 1
    edit(root / VAL, lambda d: [a.update(area=0) for a in d["annotations"]])
    assert run(*words) == 1
    assert capsys.readouterr().out.endswith("1 error in 6 places and no warnings\n")


def test_stats_are_counted_as_by_hand(cfgs, tiny):
    found = stats(cfgs["coco"])
    data = json.loads((tiny["coco"][0] / VAL).read_text())
    people = [a for a in data["annotations"] if a["num_keypoints"]]
    assert found["val"]["persons"] == len(people) == 6
    assert found["val"]["images"] == 4
    assert found["val"]["persons per image"]["mean"] == 1.5
    assert found["val"]["joints"]["left_ear"] == {"count": 3, "share": 0.5}
    assert found["val"]["area"] == {
        "small": {"count": 0, "share": 0},
        "medium": {"count": 6, "share": 1},
        "large": {"count": 0, "share": 0},
    }
    assert found["val"]["box height (px)"]["100%"] == 199
    assert "joints" not in found["detections"] and "area" not in found["detections"]


def test_stats_of_crowds_and_heads(cfgs, tiny):
    found = stats(cfgs["crowdpose"])["val"]
    assert sum(part["count"] for part in found["crowd of images"].values()) == found["images"]
    assert sum(part["count"] for part in found["crowd"].values()) == found["persons"]
    heads = loadmat(tiny["mpii"][0] / "annot/gt_valid.mat")["headboxes_src"]
    lengths = 0.6 * np.linalg.norm(heads[1] - heads[0], axis=0)
    assert stats(cfgs["mpii"])["val"]["head length (px)"] == pytest.approx(quantiles(lengths))


def test_bounds_belong_to_the_upper_part():
    made = parts(("easy", "medium", "hard"), np.array([0.1, 0.2, 0.5, 0.8, 2.0]), (0.2, 0.8))
    assert [part["count"] for part in made.values()] == [1, 2, 2]


def test_stats_writes_json(tiny, tmp_path, capsys):
    path = tmp_path / "new" / "stats.json"
    assert run("stats", *tiny["mpii"][1], "--json", path) == 0
    assert json.loads(path.read_text())["splits"]["train"]["persons"] == 6
    assert "labelled joints" in capsys.readouterr().out


def test_overlap_finds_a_planted_copy(copy):
    root, cfg = copy()
    assert [(one.pairs, one.counts) for one in overlaps(cfg)] == [([], (2, 5))]
    theirs = sorted((root / "images/train2017").glob("*.jpg"))[0]
    mine = sorted((root / "images/val2017").glob("*.jpg"))[2]
    shutil.copy(theirs, mine)
    assert overlaps(cfg)[0].pairs == [(theirs, mine)]
    # The same pixels in another file, which only decoding shows.
    Image.open(theirs).save(mine, format="png")
    assert overlaps(cfg)[0].pairs == []
    assert overlaps(cfg, decode=True)[0].pairs == [(theirs, mine)]


def test_overlap_of_two_sets(copy, cfgs, capsys):
    root, cfg = copy("crowdpose")
    theirs = sorted((Path(cfgs["coco"].data.root) / "images/val2017").glob("*.jpg"))[0]
    mine = sorted((root / "images").glob("*.jpg"))[0]
    shutil.copy(theirs, mine)
    found = {one.names: one.pairs for one in overlaps(cfgs["coco"], cfg)}
    assert found.pop(("coco val", "crowdpose train")) == [(theirs, mine)]
    assert set(found) == {(f"coco {a}", f"crowdpose {b}") for a in ("train", "val") for b in ("train", "val")} - {
        ("coco val", "crowdpose train")
    }
    assert not any(found.values())


def test_overlap_of_splits_fails_and_of_sets_does_not(tiny, capsys):
    same = [*tiny["coco"][1], "data.train.annotations=" + VAL, "data.train.images=images/val2017"]
    assert run("overlap", *same, "--show", "1") == 1
    out = capsys.readouterr().out
    assert out.startswith("5 images of coco train (5) are in coco val (5)\n") and "and 4 more" in out
    assert run("overlap", *same, "--", *tiny["coco"][1]) == 0


def test_preview_is_a_sheet_of_crops(tiny, tmp_path, capsys):
    out = tmp_path / "new" / "sheet.png"
    assert run("preview", *tiny["coco"][1], "--count", "4", "--out", out, "size=128x96", "augment=flip") == 0
    assert capsys.readouterr().out == f"{out}: 4 persons, 4 crops of each\n"
    sheet = np.asarray(Image.open(out).convert("RGB"))
    # One person under the other, each with a caption and a margin, under the head; as wide as the title needs.
    assert sheet.shape[:2] == (64 + 4 * (173 + 15 + 16) + 16, 720)
    crop = sheet[64 : 64 + 173, 16 : 16 + 130]
    assert crop.std() > 20
    assert (sheet[:, :15] == 255).all() and (sheet[-15:] == 255).all()
    # Orange and blue are the left and the right of bodies.
    for colour in ((249, 115, 22), (37, 99, 235)):
        assert (np.abs(crop.astype(int) - colour).max(-1) < 12).sum() > 5


def test_preview_of_what_is_evaluated_shows_no_augmentation(tiny, tmp_path, capsys):
    out = tmp_path / "sheet.png"
    assert run("preview", *tiny["human4d"][1], "--count", "3", "--out", out, "--split", "val") == 0
    assert capsys.readouterr().out == f"{out}: 3 persons, 1 crop of each\n"
    assert np.asarray(Image.open(out)).std() > 20


def test_sets_without_labels_have_detections_only(tiny, tmp_path, capsys):
    words = ["data=coco_testdev", f"data.root={tiny['coco'][0]}"]
    assert run("check", *words) == 0
    assert capsys.readouterr().out.endswith("no errors and no warnings\n")
    assert run("overlap", *words) == 0
    assert "one split only" in capsys.readouterr().out
    assert run("preview", *words, "--split", "val", "--out", tmp_path / "sheet.png") == 0
    assert run("preview", *words) == 2
    assert "no annotated persons to train on" in capsys.readouterr().err
    assert list(stats(configure(words)[0])) == ["detections"]


def test_depths_are_grey_and_the_near_is_bright():
    depth = np.array([[[0.0, 1.0], [2.0, 3.0]]], np.float32)
    shown = picture(depth)
    assert shown.shape == (2, 2, 3) and shown.dtype == np.uint8
    assert shown[..., 0].tolist() == [[0, 255], [146, 38]]
    assert picture(np.zeros((1, 2, 2), np.float32)).max() == 0


def test_sides_of_a_skeleton():
    assert sides(COCO)[:5].tolist() == [2, 0, 1, 0, 1]


def test_convert_writes_the_published_records(tiny, tmp_path, capsys):
    root = tiny["mpii"][0]
    mat = next(root.rglob("mpii_human_pose_v1_u12_1.mat"))
    target = tmp_path / "all.json"
    assert run("convert", "mpii", mat, target) == 0
    assert f"{target}: " in capsys.readouterr().out
    assert len(json.loads(target.read_text())) >= 12
    assert run("convert", "mpii", mat, target) == 2
    assert "exists; remove it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["data.rot=3"], "no key data.rot; did you mean data.root?"),
        (["root=3"], "no key or group root; did you mean data.root"),
        (["data=cooc"], "no data 'cooc'; did you mean coco?"),
        (["data=lspet"], "data.root must be given, as in data.root=..."),
        (["data=coco", "data"], "'data' sets nothing: write data=..."),
    ],
)
def test_overrides_that_are_none_are_told_with_the_nearest(capsys, words, says):
    with pytest.raises(Exception) as error:
        configure(words)
    assert says in str(error.value)
    assert run("check", *words) == 2
    text = capsys.readouterr().err
    assert text.startswith("error: ") and says in text and text.count("\n") == 1


def test_split_that_cannot_be_read_is_one_line(tiny, capsys):
    assert run("stats", *tiny["coco"][1], "data.val.annotations=gone.json") == 2
    text = capsys.readouterr().err
    assert text.startswith("error: annotation file ") and "gone.json does not exist" in text
    assert run("preview", *tiny["coco"][1], "--epoch", "-1") == 2
    assert capsys.readouterr().err == "error: epoch=-1 is no epoch: they count from 0\n"
    with pytest.raises(InputError, match="no number of persons"):
        rows(configure(tiny["coco"][1])[0], "train", 0, 0)


def test_usage_and_exit_codes_of_the_command(tiny, capsys):
    assert run("-h") == 0
    assert "data overlap" in capsys.readouterr().out
    assert run("overlap", "-h") == 0
    assert "--pixels" in capsys.readouterr().out
    assert run("chek") == 2
    assert "did you mean data check?" in capsys.readouterr().err
    for command in ("check", "stats", "preview"):
        assert run(command, "data=coco", "--", "data=mpii") == 2
        assert "only overlap takes a second set" in capsys.readouterr().err
    assert run("overlap", *tiny["coco"][1], "data.train=${data.val}") == 1
    said = capsys.readouterr()
    assert "are in coco val" in said.out and not said.err
