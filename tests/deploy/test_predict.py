"""People in images, from a run directory or a file, as evaluation finds them; and what is said of bad input."""

import json
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch
from PIL import Image

from poserep.deploy.box_arguments import read_boxes
from poserep.deploy.command import export_parser, predict_parser
from poserep.deploy.frame_poses import crops_of, estimated
from poserep.deploy.inference import open_model
from poserep.deploy.media import frames_of
from poserep.deploy.predict import predict
from poserep.drawing import LEFT, MIDDLE, RIGHT, paint_people, side_colours
from poserep.errors import InputError
from poserep.overrides import CONF
from poserep.skeleton import COCO
from reference.vectors import listed


def poses_in(model, path, requests):
    frames = frames_of(path, model.card.reader)
    (found,) = estimated(model, (crops_of(model.card, frame, requests) for frame in frames), 32)
    return found


def points(records):
    return np.array([r["keypoints"] for r in records]).reshape(len(records), -1, 3)


def test_a_run_and_its_file_find_what_evaluation_found(models, images, go):
    run_dir, file = models
    annotations = images[0].parents[2] / "annotations" / "val.json"
    code, records, out, _ = go(*images, "--model", run_dir, "--readout", "dark", "--boxes", annotations)
    assert code == 0 and len(records) == 6 and f"{images[0].stem}-pose.jpg: 1 person\n" in out
    code, same, _, _ = go(*images, "--model", file, "--boxes", annotations, "--batch", "2")
    assert code == 0
    np.testing.assert_allclose(points(same)[..., :2], points(records)[..., :2], atol=0.05)
    np.testing.assert_allclose(points(same)[..., 2], points(records)[..., 2], atol=1e-3)

    with np.load(run_dir / "predictions.npz") as file:
        order = [list(file["gt/image_id"]).index(r["image_id"]) for r in records]
        xy, score, box = (file[f"gt/{key}"][order] for key in ("dark/xy", "dark/score", "box"))
    np.testing.assert_allclose(points(records)[..., :2], xy, atol=2e-3)
    np.testing.assert_allclose(points(records)[..., 2], score, atol=2e-3)
    np.testing.assert_allclose([r["bbox"] for r in records], box)
    mean = [s[s > 0.2].mean() if (s > 0.2).any() else 0 for s in score]
    np.testing.assert_allclose([r["score"] for r in records], mean, atol=1e-5)
    assert {r["category_id"] for r in records} == {1} and records[0]["file_name"] == images[0].name


def test_boxes_are_found_by_name_and_by_id(models, images, go, tmp_path):
    assert images[3].stem == "000003"
    results = [
        {"image_id": 3, "bbox": [10, 10, 60, 120], "score": 0.5, "category_id": 1},
        {"image_id": "000003", "bbox": [20, 10, 60, 120]},
        {"image_id": 3, "bbox": [10, 10, 60, 120], "score": 0.1},
        {"image_id": 3, "bbox": [10, 10, 60, 120], "category_id": 2},
        {"image_id": 777, "bbox": [10, 10, 60, 120]},
    ]
    (tmp_path / "found.json").write_text(json.dumps(results))
    words = [*images[3:5], "--model", models[1], "--boxes", tmp_path / "found.json", "--box-threshold", "0.3"]
    code, records, out, err = go(*words)
    assert code == 0 and [(r["image_id"], r["bbox"][0]) for r in records] == [(3, 10), (3, 20)]
    assert f"0 persons; no box in {tmp_path / 'found.json'}" in out
    assert "left out, of other categories than 1: 1" in err and "left out, of a score below 0.3: 1" in err

    listed = {
        "images": [{"id": 50, "file_name": f"val/{images[3].name}"}],
        "annotations": [{"image_id": 50, "bbox": [10, 10, 60, 120]}, {"image_id": 3, "bbox": [10, 10, 60, 120]}],
    }
    (tmp_path / "listed.json").write_text(json.dumps(listed))
    code, records, _, err = go(images[3], "--model", models[1], "--boxes", tmp_path / "listed.json")
    assert [r["image_id"] for r in records] == [50] and "left out, on images that the file does not list: 1" in err


BOX = "10,10,60,120"


def test_bad_boxes_are_named_and_the_others_are_done(models, images, go, tmp_path):
    bad = {
        "10,10,0,50": r"--boxes  10,10,0,50: .* has no area \(width 0, height 50\); leave it out",
        "nan,10,5,50": "is no box of four finite numbers",
        "5000,10,30,50": r"5000.* lies outside the image of \d+x\d+ px",
        "-50,10,50,50": "-50.* lies outside the image",
    }
    code, records, _, err = go(images[0], "--model", models[1], "--boxes", BOX, *(f" {box}" for box in bad))
    assert code == 1 and len(records) == 1 and "4 files or boxes could not be read" in err
    assert all(re.search(message, err) for message in bad.values()) and "Traceback" not in err
    rows = [[1, 2, 3], None, [float("nan"), 1, 2, 3], [10, 10, 50, 100]]
    records = [{"image_id": 0, "bbox": row} for row in rows]
    records.append({"image_id": 0, "bbox": rows[-1], "score": None})
    (tmp_path / "b.json").write_text(json.dumps(records))
    code, found, _, err = go(images[0], "--model", models[1], "--boxes", tmp_path / "b.json")
    assert code == 1 and len(found) == 1
    for number in (0, 1, 2, 4):
        assert f"b.json, record {number}:" in err


def test_bad_images_are_named_and_the_others_are_done(models, images, go, tmp_path):
    (tmp_path / "text.jpg").write_text("no image")
    words = [tmp_path / "gone.jpg", images[1], tmp_path / "text.jpg", tmp_path]
    code, records, _, err = go(*words, "--model", models[1])
    assert code == 1 and [r["file_name"] for r in records] == [images[1].name]
    assert "gone.jpg does not exist; give photographs" in err and "text.jpg is not a readable image" in err
    assert "3 files or boxes could not be read" in err and "Traceback" not in err


@pytest.mark.parametrize(("words", "message"), listed("refused_words")["predict"])
def test_what_cannot_work_is_said_in_a_line(models, images, go, tmp_path, words, message):
    files = {"run": models[0], "file": models[1], "image": images[0], "folder": tmp_path}
    files |= {name: tmp_path / f"{name}.onnx" for name in ("bad", "other")}
    files["bad"].write_bytes(b"no model")
    other = onnx.load(models[1])
    del other.metadata_props[:]
    onnx.save(other, files["other"])
    for name, text in {"empty": "[]", "words": '["a"]', "object": '{"a": []}'}.items():
        files[name] = tmp_path / f"{name}.json"
        files[name].write_text(text)
    code, _, _, err = go(images[0], *(word.format(**files) for word in words))
    assert code == 2 and re.search(message, err) and "Traceback" not in err


def test_folders_are_taken_and_what_is_not_read_is_said_in_a_line(models, images, go, tmp_path):
    code, records, out, _ = go(images[0].parent, images[1], "--model", models[1])
    assert code == 0 and out.count("-pose") == len(images) + 1 == len(records)
    (tmp_path / "empty").mkdir()
    shutil.rmtree(tmp_path / "out")
    for word, message in {
        "https://there.org/a.jpg": "https:/there.org/a.jpg: addresses are not read; fetch the file",
        "0": "0: cameras are not read",
        "/dev/video7": "/dev/video7: cameras are not read",
        tmp_path / "empty": f"folder {tmp_path / 'empty'} holds no image (.jpg, ",
    }.items():
        code, records, out, error = go(images[0], word, "--model", models[1])
        assert (code, records, out) == (2, None, "")
        assert error.startswith(f"error: {message}") and error.count("\n") == 1
    code, records, _, error = go(tmp_path / "nowhere.jpg", "--model", models[1])
    assert (code, records) == (1, None) and not (tmp_path / "out").exists()


def test_weights_that_are_no_numbers_are_said(models, images):
    broken = open_model(models[1])._replace(estimate=lambda _: (torch.full((1, 17, 2), torch.nan), torch.ones(1, 17)))
    found = poses_in(broken, images[0], None)
    assert len(found.xy) == 0 and "weights are not finite" in found.errors[0]


def test_images_of_one_name_get_two_pictures_and_turned_ones_a_note(models, images, go, tmp_path):
    (tmp_path / "a").mkdir()
    shutil.copy(images[0], tmp_path / "a" / images[1].name)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(images[0]).save(tmp_path / "a" / "turned.jpg", exif=exif)
    words = [images[1], tmp_path / "a" / images[1].name, tmp_path / "a" / "turned.jpg"]
    code, records, out, _ = go(*words, "--model", models[0])
    assert code == 0 and len(records) == 3 and out.count("EXIF") == 1
    # Without boxes the image is one.
    height, width = cv2.imread(str(images[1])).shape[:2]
    assert records[0]["bbox"] == [0, 0, width, height] and records[0]["image_id"] == 1
    names = {p.name for p in (tmp_path / "out").iterdir()}
    stem = images[1].stem
    assert names == {"keypoints.json", f"{stem}-pose.jpg", f"{stem}-pose-2.jpg", "turned-pose.jpg"}


def test_models_of_whole_images_take_no_boxes(models, images, tmp_path):
    model = open_model(models[1])
    object.__setattr__(model.card, "whole", True)
    assert poses_in(model, images[0], None).xy.shape == (1, 17, 2)
    with pytest.raises(InputError, match="trained on whole images and takes no boxes"):
        predict(model, images, read_boxes([BOX]), tmp_path / "out")


def test_limbs_have_the_colour_of_their_side():
    limbs, joints = side_colours(COCO)
    of = dict(zip(COCO.edges, limbs, strict=True))
    assert of["left_ankle", "left_knee"] == LEFT and of["nose", "right_eye"] == RIGHT
    assert of["left_hip", "right_hip"] == MIDDLE and joints[0] == MIDDLE and joints[1:3] == [LEFT, RIGHT]


def test_drawn_joints_lie_where_they_were_found():
    pixels = np.full((600, 800, 3), 90, np.uint8)
    xy = np.stack([np.linspace(100, 700, 17), np.full(17, 300.0)], -1)[None]
    xy[0, 0], box = (400, 100), np.array([[100, 100, 600, 300]])
    score = np.ones((1, 17))
    score[0, 9] = 0.2
    found = paint_people(pixels, xy, score, COCO, 0.2, box)
    assert found.shape == pixels.shape and (pixels == 90).all()
    joints = np.array([tuple(bytes.fromhex(colour[1:])) for colour in side_colours(COCO)[1]])
    x, y = xy[0].round().astype(int).T
    apart = np.abs(found[y, x].astype(int) - joints).max(-1)
    assert np.flatnonzero(apart >= 3).tolist() == [9], "hollow"
    ring = np.abs(found[y[9] - 12 : y[9] + 13, x[9] - 12 : x[9] + 13].astype(int) - joints[9]).max(-1)
    assert (ring < 30).any()
    assert paint_people(pixels, xy * 1e9, score, COCO, 0.2, box).shape == pixels.shape
    assert paint_people(pixels[:60, :80], xy / 10, score, COCO, 0.2, box / 10).shape == (360, 480, 3)


def test_the_page_s_ten_lines(models, images, tmp_path, monkeypatch, capsys):
    page = (CONF.parent / "docs" / "deploy.md").read_text()
    code = re.search(r"```python\n(.*?)```", page, re.DOTALL)[1]
    assert "poserep" not in code.replace('["poserep"]', "") and len(code.strip().splitlines()) <= 13
    path = Path(shutil.copy(models[1], tmp_path / "model.onnx"))
    shutil.copy(images[0], tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "page", "exec"), names := {})
    poses = poses_in(open_model(path), images[0], read_boxes(["40,20,60,150"]).everywhere)
    printed = eval(capsys.readouterr().out.splitlines()[-1])
    assert list(printed) == list(COCO.names)
    np.testing.assert_allclose(list(printed.values()), poses.xy[0], atol=0.2)
    np.testing.assert_allclose(names["score"], poses.joint_score, atol=1e-2)


def test_the_page_s_commands_parse():
    page = (CONF.parent / "docs" / "deploy.md").read_text().replace("\\\n", "")
    lines = [re.sub(r"\s+#.*", "", line).split()[1:] for line in page.splitlines() if line.startswith("poserep ")]
    assert len(lines) == 14
    for program, *words in lines:
        parser = {"export": export_parser, "predict": predict_parser}[program]()
        assert parser.parse_intermixed_args(words)


def test_results_go_to_the_images_of_the_annotations_beside_them(tmp_path):
    # Ids begin at 1, file names at 0, as those of the drawn people do.
    images = [{"id": 1, "file_name": "000000.jpg"}, {"id": 2, "file_name": "000001.jpg"}]
    (tmp_path / "val.json").write_text(json.dumps({"images": images, "annotations": []}))
    detections = [{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}]
    for name, owner in (("val_detections", "000000.jpg"), ("others", "000001.jpg")):
        (tmp_path / f"{name}.json").write_text(json.dumps(detections))
        found = read_boxes([str(tmp_path / f"{name}.json")])
        assert [i["file_name"] for i in images if found.on(Path(i["file_name"]))] == [owner]
        assert any("those of val.json" in note for note in found.notes) == (name == "val_detections")
