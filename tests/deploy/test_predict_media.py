"""Videos and many pictures: frames are numbered and drawn, batches are filled across pictures, damage is named."""

import json
import re
import struct
from itertools import count
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from poserep.deploy.frame_poses import crops_of, estimated
from poserep.deploy.inference import open_model
from poserep.deploy.media import Frame, read_ahead
from poserep.deploy.predict import AHEAD

FRAMES, RATE, WIDTH, HEIGHT = 7, 12.5, 96, 64


def film(path, frames=FRAMES, width=WIDTH):
    """Write a video of brightening frames."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), RATE, (width, HEIGHT))
    for i in range(frames):
        writer.write(np.full((HEIGHT, width, 3), 6 * i, np.uint8))
    writer.release()
    return path


def facts(path):
    video, length = cv2.VideoCapture(str(path)), 0
    values = video.get(cv2.CAP_PROP_FPS), video.get(cv2.CAP_PROP_FRAME_WIDTH), video.get(cv2.CAP_PROP_FRAME_HEIGHT)
    while video.read()[0]:
        length += 1
    return *values, length


def test_a_video_becomes_a_drawn_video_and_numbered_records(models, go, tmp_path):
    path = film(tmp_path / "walk.mp4")
    code, records, out, _ = go(path, "--model", models[1], "--boxes", "5,5,40,50", "--batch", "3")
    assert code == 0 and [(r["image_id"], r["frame"]) for r in records] == [(i, i) for i in range(FRAMES)]
    assert {r["file_name"] for r in records} == {"walk.mp4"} and {p.name for p in (tmp_path / "out").iterdir()} == {
        "walk-pose.mp4",
        "keypoints.json",
    }
    assert facts(tmp_path / "out/walk-pose.mp4") == (RATE, WIDTH, HEIGHT, FRAMES)
    assert "walk-pose.mp4: 7 frames, 7 persons\n" in out
    assert re.search(r"\n7 images in \d+\.\d s: \d+\.\d images and \d+\.\d persons a second, reading and drawing", out)
    # What it wrote are boxes that it reads.
    again = tmp_path / "boxes.json"
    again.write_text(json.dumps([r for r in records if r["frame"] in (2, 5)]))
    code, found, _, _ = go(path, "--model", models[1], "--boxes", again)
    assert code == 0 and [r["frame"] for r in found] == [2, 5]
    assert [r["keypoints"] for r in found] == [records[i]["keypoints"] for i in (2, 5)]


def test_frames_of_one_of_several_files_are_named_by_video_and_number(models, images, go, tmp_path):
    (tmp_path / "films").mkdir()
    film(tmp_path / "films/a.mp4", 2)
    film(tmp_path / "films/b.avi", 2, width=95)
    code, records, out, _ = go(tmp_path / "films", images[0], "--model", models[1])
    assert code == 0
    assert [r["image_id"] for r in records] == ["a/000000", "a/000001", "b/000000", "b/000001", 0]
    assert facts(tmp_path / "out/b-pose.mp4")[1:] == (94, HEIGHT, 2), "the codec takes even sides"
    boxes = [{"image_id": "a/1", "bbox": [5, 5, 40, 50]}, {"image_id": "a/000000", "bbox": [5, 5, 40, 50]}]
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    code, records, out, _ = go(tmp_path / "films", "--model", models[1], "--boxes", tmp_path / "boxes.json")
    assert code == 0 and [r["image_id"] for r in records] == ["a/000000", "a/1"]
    assert f"b-pose.mp4: 2 frames, 0 persons; no box in {tmp_path / 'boxes.json'}\n" in out


def test_damaged_videos_are_named_and_what_was_read_is_kept(models, go, tmp_path):
    whole = film(tmp_path / "whole.mkv", 40)
    for i in range(3):
        (tmp_path / f"{i}.mp4").write_bytes((b"", b"no video", film(tmp_path / "c.mp4").read_bytes()[:900])[i])
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    code, records, out, err = go(*(tmp_path / f"{i}.mp4" for i in range(3)), cut, "--model", models[1])
    assert code == 1 and 0 < len(records) < 40 and f"cut-pose.mp4: {len(records)} frames" in out
    lines = err.splitlines()
    assert all(f"{i}.mp4 (" in lines[i] and "cannot be read as a video; copy it again" in lines[i] for i in range(3))
    assert lines[3] == f"error: {cut} ends after {len(records)} of 40 frames: it is cut short; what was read is kept"
    assert lines[4:] == ["error: 4 files or boxes could not be read; the others are done"]
    assert facts(tmp_path / "out/cut-pose.mp4")[-1] == len(records)
    # A stream tells neither how many frames it has nor how long it lasts.
    for sound, length in ((film(tmp_path / "stream.ts"), FRAMES), (whole, 40)):
        code, records, _, err = go(sound, "--model", models[1])
        assert (code, len(records), err) == (0, length, "")
    code, records, out, err = go(whole, "--model", models[1], "--boxes", "500,5,40,50")
    assert code == 1 and records == [] and err.count("lies outside the image") == 1, "said once, not for every frame"


def test_a_video_is_turned_as_its_camera_was_held(models, go, tmp_path):
    path = film(tmp_path / "phone.mp4", 2)
    data = bytearray(path.read_bytes())
    # The matrix of the track's header.
    at = data.index(b"tkhd") + 44
    data[at : at + 36] = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    code, records, out, _ = go(path, "--model", models[1])
    assert code == 0 and records[0]["bbox"] == [0, 0, HEIGHT, WIDTH] and "turned by 90 degrees, as it says" in out
    assert facts(tmp_path / "out/phone-pose.mp4")[1:3] == (HEIGHT, WIDTH)


def test_options_turn_photographs_and_scale_values_of_many_bits(models, images, go, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = Image.open(images[0])
    picture.save(tmp_path / "turned.jpg", exif=exif)
    code, (record,), out, _ = go(tmp_path / "turned.jpg", "--model", models[1], "--upright")
    assert code == 0 and record["bbox"] == [0, 0, picture.height, picture.width] and "EXIF" not in out
    cv2.imwrite(str(tmp_path / "deep.png"), cv2.imread(str(images[0])).astype(np.uint16) * 16)
    code, _, _, err = go(tmp_path / "deep.png", "--model", models[1])
    assert code == 1 and "say which become black and white" in err and "--range 0,4095" in err
    code, records, *_ = go(tmp_path / "deep.png", images[0], "--model", models[1], "--range", "0,4080")
    assert code == 0 and records[0]["keypoints"] == records[1]["keypoints"]


def test_batches_are_filled_across_pictures_and_change_nothing(models, images, go):
    model, sizes = open_model(models[1]), []
    counting = model._replace(estimate=lambda crops: sizes.append(len(crops)) or model.estimate(crops))
    frames = [Frame(path, model.card.reader(path)) for path in images]
    found = {}
    for batch in (1, 4, 32):
        sizes.clear()
        found[batch] = list(estimated(counting, (crops_of(model.card, frame, None) for frame in frames), batch))
        assert sizes == {1: [1] * 6, 4: [4, 2], 32: [6]}[batch]
        assert [p.frame.path for p in found[batch]] == images and all(len(p.crops) == 0 for p in found[batch])
    for one, many in zip(found[1], found[32], strict=True):
        np.testing.assert_allclose(many.xy, one.xy, atol=1e-3)
        np.testing.assert_allclose(many.joint_score, one.joint_score, atol=1e-5)


def test_pictures_without_people_do_not_pile_up(models, images):
    model, alive = open_model(models[1]), []
    frame = Frame(images[0], model.card.reader(images[0]))
    one = crops_of(model.card, frame, None)

    def pictures():
        for i in count():
            alive.append(i)
            yield one if i == 0 else crops_of(model.card, frame, [])

    results = estimated(model, pictures(), 8)
    assert len(next(results).xy) == 1 and len(alive) <= 10 and len(next(results).xy) == 0


def test_reading_ahead_keeps_order_errors_and_bounds():
    taken = []

    def items(fails=False):
        for i in range(50):
            taken.append(i)
            yield i
        if fails:
            raise ValueError("at the end")

    assert list(read_ahead(items(), AHEAD)) == list(range(50))
    taken.clear()
    ahead = read_ahead(items(), 4)
    assert next(ahead) == 0
    ahead.close()
    assert len(taken) <= 6
    with pytest.raises(ValueError, match="at the end"):
        list(read_ahead(items(fails=True), 4))


def test_a_model_of_depth_maps_takes_no_video(models, tmp_path, go, monkeypatch):
    path = film(tmp_path / "walk.mp4", 2)
    card = open_model(models[1]).card
    monkeypatch.setattr(type(card), "from_json", lambda *_: card)
    object.__setattr__(card, "reads", "depths")
    code, records, _, err = go(path, "--model", models[1])
    assert (code, records) == (1, None) and "walk.mp4: model" in err and "reads depths, and a video has none" in err
    assert not Path(tmp_path / "out").exists()
