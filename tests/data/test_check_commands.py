"""``poserep data stats``, ``overlap``, ``preview`` and ``convert``, and how all of them refuse wrong words."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image
from scipy.io import loadmat

from poserep.data.check.command import composed_data
from poserep.data.check.overlap import overlaps
from poserep.data.check.stats import count_parts, quantiles, stats
from poserep.drawing import as_rgb

VAL = "annotations/person_keypoints_val2017.json"


def test_stats_are_counted_as_by_hand(words, tiny_sets, tmp_path, data):
    path = tmp_path / "new" / "stats.json"
    code, out, _ = data("stats", *words["coco"], "--json", path)
    assert code == 0 and "labelled joints" in out
    numbers = json.loads(path.read_text())["splits"]
    val = numbers["val"]
    people = [a for a in json.loads((tiny_sets["coco"] / VAL).read_text())["annotations"] if a["num_keypoints"]]
    assert val["persons"] == len(people) == 6
    assert val["images"] == 4 and val["persons per image"]["mean"] == 1.5
    assert val["joints"]["left_ear"] == {"count": 3, "share": 0.5}
    assert [(name, part["count"]) for name, part in val["area"].items()] == [("small", 0), ("medium", 6), ("large", 0)]
    assert val["box height (px)"]["100%"] == 199
    assert "joints" not in numbers["detections"] and "area" not in numbers["detections"]


def test_stats_of_crowds_and_heads(cfgs, tiny_sets):
    val = stats(cfgs["crowdpose"])["val"]
    assert sum(part["count"] for part in val["crowd of images"].values()) == val["images"]
    assert sum(part["count"] for part in val["crowd"].values()) == val["persons"] and "crowd index" in val
    heads = loadmat(tiny_sets["mpii"] / "annot/gt_valid.mat")["headboxes_src"]
    lengths = 0.6 * np.linalg.norm(heads[1] - heads[0], axis=0)
    assert stats(cfgs["mpii"])["val"]["head length (px)"] == pytest.approx(quantiles(lengths))
    made = count_parts(("easy", "medium", "hard"), np.array([0.1, 0.2, 0.5, 0.8, 2.0]), (0.2, 0.8))
    assert [part["count"] for part in made.values()] == [1, 2, 2], "bounds belong to the upper part"


def test_a_file_is_cut_in_two_by_its_images(tiny_sets, tmp_path, data):
    source, parts = tiny_sets["coco"] / VAL, [tmp_path / "fit.json", tmp_path / "held-out.json"]
    code, out, _ = data("split", source, *parts, "--share", 0.5)
    whole, first, second = (json.loads(path.read_text()) for path in (source, *parts))
    assert code == 0 and f"{parts[0]}: 2 images, {len(first['annotations'])} people" in out
    assert first["images"] + second["images"] == whole["images"] and first["categories"] == whole["categories"]
    by_id = sorted(first["annotations"] + second["annotations"], key=lambda person: person["id"])
    assert by_id == sorted(whole["annotations"], key=lambda person: person["id"])
    assert {person["image_id"] for person in first["annotations"]} <= {image["id"] for image in first["images"]}
    assert "exists; remove it" in data("split", source, *parts)[2]
    for part in parts:
        part.unlink()
    assert "--share 0.01 of 4 images" in data("split", source, *parts, "--share", 0.01)[2]
    assert "is given twice" in data("split", source, parts[0], parts[0])[2]
    # Ids as text, and a person of an image that is not listed.
    for image in whole["images"]:
        image["id"] = str(image["id"])
    whole["annotations"][0]["image_id"] = 10**6
    (tmp_path / "text.json").write_text(json.dumps(whole))
    out = data("split", tmp_path / "text.json", *parts)[1]
    assert "note: 1 people of images that" in out and len(json.loads(parts[1].read_text())["annotations"]) >= 1
    parts[0].write_text("[]")
    parts[1].unlink()
    assert "has no lists of images and annotations" in data("split", parts[0], parts[1], tmp_path / "x.json")[2]


def test_overlap_finds_a_planted_copy(copy, cfgs):
    root, cfg = copy()
    assert [(one.pairs, one.counts) for one in overlaps(cfg)] == [([], (1, 4))]
    theirs = sorted((root / "images/train2017").glob("*.jpg"))[0]
    mine = sorted((root / "images/val2017").glob("*.jpg"))[2]
    shutil.copy(theirs, mine)
    assert overlaps(cfg)[0].pairs == [(theirs, mine)]
    # The same pixels in another file, which only decoding shows.
    Image.open(theirs).save(mine, format="png")
    assert overlaps(cfg)[0].pairs == []
    assert overlaps(cfg, decode=True)[0].pairs == [(theirs, mine)]
    crowd, other = copy("crowdpose")
    twin = sorted((crowd / "images").glob("*.jpg"))[0]
    shutil.copy(theirs, twin)
    pairs = {one.names: one.pairs for one in overlaps(cfg, other) if one.pairs}
    assert pairs == {("coco train", "crowdpose train"): [(theirs, twin)]}


def test_overlap_of_splits_fails_and_of_sets_does_not(words, data):
    same = [*words["coco"], "data.train=${data.val}"]
    code, out, err = data("overlap", *same, "--show", "1")
    assert code == 1 and not err
    assert out.startswith("4 images of coco train (4) are in coco val (4)\n") and "and 3 more" in out
    assert data("overlap", *same, "--", *words["coco"])[0] == 0


def test_preview_is_a_sheet_of_crops(words, tmp_path, data):
    out = tmp_path / "new" / "sheet.png"
    code, text, _ = data("preview", *words["coco"], "--count", "4", "--out", out, "size=128x96", "augment=flip")
    assert (code, text) == (0, f"{out}: 4 persons, 4 crops of each\n")
    sheet = np.asarray(Image.open(out).convert("RGB"))
    # One person under the other, each with a caption and a margin, under the head; as wide as the title needs.
    assert sheet.shape[:2] == (64 + 4 * (173 + 15 + 16) + 16, 720)
    crop = sheet[64 : 64 + 173, 16 : 16 + 130]
    assert crop.std() > 20
    assert (sheet[:, :15] == 255).all() and (sheet[-15:] == 255).all()
    # Orange and blue are the left and the right of bodies.
    for colour in ((249, 115, 22), (37, 99, 235)):
        assert (np.abs(crop.astype(int) - colour).max(-1) < 12).sum() > 5
    # What is evaluated is not augmented.
    code, text, _ = data("preview", *words["human4d"], "--count", "3", "--out", out, "--split", "val")
    assert (code, text) == (0, f"{out}: 3 persons, 1 crop of each\n")


def test_sets_without_labels_have_detections_only(tiny_sets, tmp_path, data):
    words = ["data=coco_testdev", f"data.root={tiny_sets['coco']}"]
    code, out, _ = data("check", *words)
    assert code == 0 and out.endswith("no errors and no warnings\n")
    code, out, _ = data("overlap", *words)
    assert code == 0 and "one split only" in out
    assert data("preview", *words, "--split", "val", "--out", tmp_path / "sheet.png")[0] == 0
    code, _, err = data("preview", *words)
    assert code == 2 and "no annotated persons to train on" in err
    assert list(stats(composed_data(words).cfg)) == ["detections"]


def test_depths_are_grey_and_the_near_is_bright():
    shown = as_rgb(np.array([[[0.0, 1.0], [2.0, 3.0]]], np.float32))
    assert shown.shape == (2, 2, 3) and shown.dtype == np.uint8
    assert shown[..., 0].tolist() == [[0, 255], [146, 38]]
    assert as_rgb(np.zeros((1, 2, 2), np.float32)).max() == 0


def test_what_cannot_be_used_is_refused_in_one_line(words, data):
    coco = words["coco"]
    for arguments, message in (
        (["check", "data=lspet"], "data.root must be given, as in data.root=..."),
        (["check", "data=coco", "data"], "'data' sets nothing: write data=..."),
        (["stats", *coco, "data.val.annotations=gone.json"], "gone.json does not exist"),
        (["preview", *coco, "--epoch", "-1"], "epoch=-1 is no epoch: they count from 0"),
        (["preview", *coco, "--count", "0"], "no number of persons"),
        (["convert", "mpii", "gone.mat", "all.json"], "gone.mat does not exist; give the path of MPII's release"),
    ):
        code, _, err = data(*arguments)
        assert code == 2 and err.startswith("error: ") and message in err and err.count("\n") == 1
    for command in ("check", "preview"):
        code, _, err = data(command, "data=coco", "--", "data=mpii")
        assert code == 2 and "only overlap takes a" in err
