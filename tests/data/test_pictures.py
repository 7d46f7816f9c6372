"""The pictures of a run: part of what it is, known again without being read, refused where they do not fit."""

import json
import os
import shutil

import cv2
import numpy as np
import pytest
from PIL import Image

from poserep.data import pictures
from poserep.data.from_config import root_of
from poserep.data.pictures import known_pictures
from poserep.data.split_pictures import check_pictures, listed_pictures, picture_hashes
from poserep.errors import InputError
from poserep.instances import Tally
from poserep.runs.create import create_run, resolved
from poserep.runs.rundir import RunDir
from poserep.sweeps import train
from spoiling import edit

VAL = "annotations/person_keypoints_val2017.json"


def images(root):
    return sorted((root / "images/val2017").glob("*.jpg"))


def turn(path):
    cv2.imwrite(str(path), cv2.imread(str(path))[::-1, ::-1])


def checked(cfg):
    tally, root = Tally(), root_of(cfg)
    check_pictures(cfg, "val", root, listed_pictures(cfg, "val", root), tally)
    return dict(tally.mended)


def test_the_same_pictures_elsewhere_are_the_same_and_others_are_not(copy, tmp_path):
    root, cfg = copy()
    before = picture_hashes(cfg)
    assert before.keys() == {"pictures train", "pictures val"}
    shutil.copytree(root, tmp_path / "elsewhere")
    cfg.data.root = str(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/images/val2017/unlisted.jpg").write_text("anything")
    assert picture_hashes(cfg) == before
    turn(images(tmp_path / "elsewhere")[0])
    after = picture_hashes(cfg)
    assert after["pictures val"] != before["pictures val"] and after["pictures train"] == before["pictures train"]
    first, second = images(root)[:2]
    contents = first.read_bytes(), second.read_bytes()
    for path, content in zip((second, first), contents, strict=True):
        path.write_bytes(content)
    cfg.data.root = str(root)
    assert picture_hashes(cfg) != before, "exchanged pictures are others"
    shutil.rmtree(root / "images")
    assert picture_hashes(cfg) == {}


def test_pictures_of_fewer_persons_and_of_other_formats_are_hashed(copy):
    root, cfg = copy()
    every = picture_hashes(cfg)
    cfg.trainer.limit = 1
    fewer = picture_hashes(cfg)
    assert fewer.keys() == every.keys() and fewer != every
    turn(images(root)[-1])
    assert picture_hashes(cfg) == fewer, "its persons are left out"
    for name in ("mpii", "human4d"):
        assert picture_hashes(copy(name)[1]).keys() == every.keys()


def test_size_and_time_decide_whether_a_picture_is_read(copy, monkeypatch):
    root, _ = copy()
    folder, paths, read = root / "images/val2017", images(root), []
    known = known_pictures(folder, paths)
    monkeypatch.setattr(pictures, "read_picture", lambda path: read.append(path) or known[path])
    assert known_pictures(folder, paths) == known and not read
    os.utime(paths[1], ns=(1, 1))
    paths[2].write_bytes(paths[2].read_bytes() + b"\0")
    known_pictures(folder, paths)
    assert sorted(read) == paths[1:3]
    (cache,) = (f for f in pictures_folder().glob("*.json") if json.loads(f.read_text())["folder"] == str(folder))
    for damaged in ("", "[]", '{"version": 0}', cache.read_text().replace('"version":', '"v":')):
        cache.write_text(damaged)
        read.clear()
        known_pictures(folder, paths)
        assert sorted(read) == paths


def pictures_folder():
    return pictures.Path(os.environ["XDG_CACHE_HOME"]) / "poserep/pictures"


def test_a_cache_folder_that_cannot_be_written_is_said(copy, monkeypatch, tmp_path, capsys):
    root, _ = copy()
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(pictures, "MANY", 2)
    known = known_pictures(root / "images/val2017", images(root))
    assert known == {path: pictures.read_picture(path) for path in images(root)}
    error = capsys.readouterr().err
    assert f"reading {len(known)} pictures of " in error and "cannot be written (Not a directory)" in error


def test_what_does_not_fit_the_annotations_is_refused(copy):
    root, cfg = copy()
    first = images(root)[0]
    assert checked(cfg) == {}
    sound, (height, width) = first.read_bytes(), cv2.imread(str(first)).shape[:2]
    count = len(images(root))

    def refused(says):
        with pytest.raises(InputError, match=f"{first.name}: {says}, so are 1 of {count} val images; "):
            checked(cfg)

    cv2.imwrite(str(first), np.full((height // 2, width // 2, 3), 90, np.uint8))
    sizes = f"annotated {width}x{height}, {width // 2}x{height // 2} in the file"
    refused(rf"image of another size than annotated \({sizes}\)")
    first.write_bytes(sound)
    exif = Image.Exif()
    exif[0x0112] = 8
    Image.open(first).save(first, exif=exif)
    refused(rf"image with an EXIF orientation \(orientation 8, {width}x{height} px as stored\)")
    cfg.data.orientation = "stored"
    assert checked(cfg) == {}
    cfg.data.orientation = "upright"
    refused(rf"width and height exchanged \(annotated {width}x{height}, {height}x{width} in the file\)")
    edit(root / VAL, lambda d: d["images"][0].update(width=height, height=width))
    assert checked(cfg) == {"images turned as their EXIF orientation says": 1}
    first.write_bytes(cv2.imencode(".png", np.full((width, height), 900, np.uint16))[1].tobytes())
    refused(r"image of more than 8 bits \(16 bits\)")
    cfg.data.range = [0, 1000]
    assert checked(cfg) == {"images of more than 8 bits, 0 black and 1000 white": 1}
    first.unlink()
    refused("image file missing")
    cfg.data.prepare = {"_target_": "drawn"}
    check_pictures(cfg, "val", root, [first], Tally())
    assert picture_hashes(cfg) == {}


def test_other_pictures_make_another_run_which_names_the_first(copy, tmp_path, monkeypatch, capsys):
    root, cfg = copy()
    cfg.runs = str(tmp_path / "runs")
    begun = []
    monkeypatch.setattr(train, "run_single", begun.append)
    monkeypatch.setattr(train, "chief_value", lambda _: None)
    monkeypatch.setattr(RunDir, "result", lambda run: {})
    older = create_run(resolved(cfg, "backbone"))

    def go():
        train.run_composed(cfg, "backbone", several=False)
        begun[-1].result_file().touch()
        return begun[-1].name, capsys.readouterr().out

    first, out = go()
    assert out == "" and go() == (first, "")
    turn(images(root)[0])
    older.result_file().touch()
    second, out = go()
    what = {first: "had other images", older.name: "did not record its images"}
    says = "everything else is the same, but this is another run"
    expected = [f"note: {cfg.runs}/default/{name} {what[name]}; {says}" for name in sorted(what)]
    assert second != first and out.splitlines() == expected
