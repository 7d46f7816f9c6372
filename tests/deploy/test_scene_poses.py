"""Bottom-up runs: people of whole images, from a run directory or a file, as evaluation finds them."""

import contextlib
import io
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from test_predict_media import film

from poserep import cli
from poserep.config import compose
from poserep.data.from_config import skeleton_of
from poserep.deploy import export
from poserep.deploy.card import Card
from poserep.deploy.inference import Estimator, onnx_estimator, open_model, restore_inference, torch_estimator
from poserep.deploy.media import Frame
from poserep.deploy.samples import sample_scenes
from poserep.deploy.scene_poses import scene_of, scenes_estimated
from poserep.drawing import paint_people
from poserep.errors import Failed, InputError
from poserep.overrides import CONF
from poserep.runs.create import prepare
from poserep.skeleton import COCO
from poserep.training.evaluate import configure, restore
from poserep.training.evaluation import evaluate
from poserep.training.module import PoseModule
from poserep.training.network import build_network
from poserep.training.trainer import make_trainer
from tiny import TINY
from tiny_backbone import on_tiny_backbone

WORDS = ("representation=bottomup", "data.level=scenes", "augment=scenes", "input_size=128x128", "align=corner")
SCENES = ("representation.scenes.centre=half_up", "representation.codec.parser={kernel: 11, threshold: 0.4}")


@pytest.fixture(scope="module")
def run_dir(synthetic, tmp_path_factory):
    """A run whose random network finds some people, with another checkpoint that is calibrated, of temperature 2."""
    own = [f"data.root={synthetic}", f"runs={tmp_path_factory.mktemp('runs')}"]
    cfg = on_tiny_backbone(compose([*TINY, *WORDS, *SCENES, *own]).cfg)
    folder, skeleton = prepare(cfg, "backbone").path, skeleton_of(cfg)
    torch.manual_seed(0)
    net, codec = build_network(cfg, skeleton)
    with torch.no_grad():
        for weights, factor in zip(net.head.final_layer.weight.chunk(2), (200, 300), strict=True):
            weights *= factor
    state = PoseModule(net, codec, skeleton.flip_perm(), {}, cfg.readouts).state_dict()
    (folder / "checkpoints").mkdir()
    for name, temperature in {"last": 1.0, "calibrated": 2.0}.items():
        state["codec.temperature"] = torch.tensor(temperature)
        torch.save({"state_dict": state}, folder / "checkpoints" / f"{name}.ckpt")
    return folder


def evaluated(run_dir, *overrides):
    """What evaluation finds, by readout, and the paths of the images by their ids."""
    cfg = configure(run_dir, overrides)
    run = restore(run_dir, cfg)
    evaluate(run, make_trainer(cfg, [], []))
    dataset = run.data.evaluation["scene"]
    paths = dict(zip(dataset.scenes.image_id.tolist(), dataset.paths(), strict=True))
    return {name: scored.predictions for name, scored in run.module.scored["scene"].items()}, paths


@pytest.fixture(scope="module")
def evaluation(run_dir):
    return evaluated(run_dir)


@pytest.fixture(scope="module")
def exported(run_dir):
    """The run's file under its default name, and what the export printed."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        path = export.export(run_dir, configure(run_dir, []), check=3)
    return path, printed.getvalue()


@pytest.fixture(scope="module")
def images(evaluation):
    return list(evaluation[1].values())


def same(records, predictions, paths):
    """Compare records with predictions, image by image in order."""
    names = {path.name: key for key, path in paths.items()}
    assert [names[record["file_name"]] for record in records] == predictions.image_id.tolist()
    points = np.array([record["keypoints"] for record in records]).reshape(len(records), -1, 3)
    np.testing.assert_allclose(points[..., :2], predictions.xy, atol=1e-3, rtol=0)
    np.testing.assert_allclose(points[..., 2], predictions.score, atol=1e-3, rtol=0)
    np.testing.assert_allclose([r["score"] for r in records], predictions.person_score, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", ["run", "file"])
def test_whole_images_show_the_people_of_evaluation(run_dir, exported, evaluation, go, kind):
    predictions, paths = evaluation
    assert len(predictions["dark"].xy) > len(paths) > 1 and (predictions["dark"].score == 0).any()
    words = ["--batch", "2"] if kind == "file" else []
    code, records, out, _ = go(*paths.values(), "--model", run_dir if kind == "run" else exported[0], *words)
    assert code == 0 and [r["image_id"] for r in records] == [int(Path(r["file_name"]).stem) for r in records]
    same(records, predictions["dark"], paths)
    for record in records:
        points = np.array(record["keypoints"]).reshape(-1, 3)
        known = points[points[:, 2] > 0, :2]
        box = [*known.min(0), *np.ptp(known, axis=0)]
        np.testing.assert_allclose(record["bbox"], box, atol=2e-3)
    assert len(re.findall(r"\d-pose.jpg: \d+ persons?\n", out)) == len(paths)


def test_readout_scales_channels_flip_test_and_temperature_are_the_run_s(run_dir):
    words = ["checkpoint=calibrated", "flip_test=false", "data.crop.bgr=true"]
    words += ["representation.scenes.scales=[0.5,1,2]", "+representation.scenes.rounding=float"]
    predictions, paths = evaluated(run_dir, *words)
    cfg = configure(run_dir, words)
    module, card = restore_inference(run_dir, cfg, "adjust")
    assert card.temperature == 2 and card.scenes["scales"] == [0.5, 1, 2] and card.scenes["centre"] == "half_up"
    model = torch_estimator(module, Card.from_json(card.to_json(), run_dir))
    # The codec of the card is that of the run.
    model = model._replace(codec=model.card.decoder(run_dir))
    found = list(scenes_estimated(model, (scene_of(card, Frame(p, card.reader(p))) for p in paths.values()), 4))
    records = [record for picture in found for record in picture.results(0)]
    assert records
    same(records, predictions["adjust"], paths)


def test_files_say_what_they_are(run_dir, exported):
    path, printed = exported
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert path == run_dir / "last-dark-flip.onnx" and b"/src/poserep/" not in path.read_bytes()
    session = onnxruntime.InferenceSession(path)
    (image,), outputs = session.get_inputs(), session.get_outputs()
    assert image.shape == ["batch", 3, "64*rows", "64*columns"] and image.type == "tensor(uint8)"
    assert [o.name for o in outputs] == ["maps", "tags"] and [o.shape[1] for o in outputs] == [17, 17]
    assert len(outputs[0].shape) == 4 and outputs[1].shape[4] == 2
    card = onnx_estimator(path).card
    assert card.scenes == {"multiple": 64, "scales": [1], "centre": "half_up", "rounding": "exact"}
    assert not card.takes_boxes and card.flip_test and card.codec["parser"]["threshold"] == 0.4
    assert re.search(r"multiples of 64 px, readout dark, flip test on, checkpoint last\n", printed)
    assert re.search(r"3 evaluation images of synthetic-scenes: heatmaps and tags of .* differ by \S+ of", printed)


def test_maps_of_any_size_are_those_of_the_network(run_dir, exported):
    module, card = restore_inference(run_dir, configure(run_dir, []))
    model = onnx_estimator(exported[0])
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 192, 64), np.uint8)
    for given, wanted in zip(model.estimate(images), torch_estimator(module, card).estimate(images), strict=True):
        assert given.shape[:4] == (2, 17, 48, 16)
        torch.testing.assert_close(given, wanted, rtol=1e-4, atol=1e-5)
    with pytest.raises(InputError, match=r"takes images whose sides are multiples of 64 px, not 192x65"):
        model.estimate(np.zeros((1, 3, 192, 65), np.uint8))


def test_several_stages_are_one_map_in_the_file(untrained, capsys):
    words = ["representation=bottomup_higher", "+representation.head.blocks=0", "representation.scenes.multiple=32"]
    run_dir = untrained(*WORDS[1:], *words, "flip_test=false")
    path = export.export(run_dir, configure(run_dir, []), check=2)
    assert "multiples of 32 px" in capsys.readouterr().out
    given = onnx_estimator(path).estimate(np.zeros((1, 3, 96, 160), np.uint8))
    assert [tuple(values.shape) for values in given] == [(1, 17, 48, 80), (1, 17, 48, 80, 1)]


def test_no_file_is_left_if_maps_differ(run_dir, tmp_path, monkeypatch):
    zeros = Estimator(None, lambda images: tuple(torch.full((1,), np.nan) for _ in range(2)))
    monkeypatch.setattr(export, "write_onnx", lambda module, card, example, path: path.write_bytes(b""))
    monkeypatch.setattr(export, "onnx_estimator", lambda path: zeros)
    with pytest.raises(Failed, match=r"differ by nan of the greatest value, more than 0.0001: .* not written"):
        export.export(run_dir, configure(run_dir, []), tmp_path / "out" / "model.onnx", check=2)
    assert list((tmp_path / "out").iterdir()) == []


def test_neither_data_nor_classes_of_others_are_taken(run_dir, tmp_path, capsys):
    cfg = configure(run_dir, [f"data.root={tmp_path}/gone"])
    _, card = restore_inference(run_dir, cfg)
    images, source = sample_scenes(cfg, card, 2)
    assert (len(images), source) == (2, "drawn people") and images[0].ndim == 3
    foreign = replace(card, codec=card.codec | {"readouts": {"dark": {"_target_": "os.system", "command": "false"}}})
    with pytest.raises(InputError, match=r"a\.onnx: os\.system, .* is not one of the classes of poserep\.codecs"):
        Card.from_json(foreign.to_json(), tmp_path).decoder(Path("a.onnx"))
    capsys.readouterr()
    # Another name of the class that the run has.
    word = "representation.codec.readouts.argmax._target_=poserep.codecs.readouts.Argmax"
    assert cli.main(["export", str(run_dir), word, "--check", "2"]) == 2
    assert re.search(r"\.onnx: poserep\.codecs\.readouts\.Argmax, with which", capsys.readouterr().err)


def test_boxes_are_refused_and_photographs_of_nobody_are_none(run_dir, images, go, tmp_path):
    code, records, _, err = go(images[0], "--model", run_dir, "--boxes", "10,10,60,120")
    assert (code, records) == (2, None) and err.count("\n") == 1
    assert re.search(r"error: model \S+ was trained on whole images and takes no boxes; leave --boxes out", err)
    cv2.imwrite(str(tmp_path / "black.png"), np.zeros((90, 70, 3), np.uint8))
    code, records, out, _ = go(tmp_path / "black.png", "--model", run_dir)
    assert (code, records) == (0, []) and "black-pose.jpg: 0 persons" in out
    assert cv2.imread(str(tmp_path / "out/black-pose.jpg")).max() < 20, "nothing is drawn"


def test_neighbours_of_one_size_are_a_batch(run_dir, go, tmp_path):
    model, shapes = open_model(run_dir), []

    def estimate(images):
        shapes.append(images.shape[:1] + images.shape[2:])
        return model.estimate(images)

    sizes = [(60, 80)] * 3 + [(80, 60)] * 2 + [(60, 81)]
    frames = [Frame(Path(f"{i}.jpg"), np.zeros((*size, 3), np.uint8)) for i, size in enumerate(sizes)]
    found = scenes_estimated(model._replace(estimate=estimate), (scene_of(model.card, frame) for frame in frames), 2)
    assert [p.frame.path.stem for p in found] == list("012345")
    assert shapes == [(2, 128, 192), (1, 128, 192), (2, 192, 128), (1, 128, 192)]
    code, records, out, _ = go(film(tmp_path / "walk.mp4"), "--model", run_dir)
    assert code == 0 and "walk-pose.mp4: 7 frames" in out
    assert all(record["image_id"] == record["frame"] for record in records)


def test_weights_that_are_no_numbers_are_said(run_dir, images):
    model = open_model(run_dir)
    broken = model._replace(estimate=lambda given: tuple(v * torch.nan for v in model.estimate(given)))
    (found,) = scenes_estimated(broken, [scene_of(model.card, Frame(images[0], model.card.reader(images[0])))], 1)
    assert len(found.xy) == 0 and "weights are not finite" in found.errors[0]


def test_joints_that_were_not_found_are_not_drawn():
    pixels, xy = np.full((600, 800, 3), 90, np.uint8), np.full((1, 17, 2), np.nan)
    assert (paint_people(pixels, xy, np.zeros((1, 17)), COCO, 0.2, np.zeros((1, 4))) == 90).all()
    xy[0, 0] = 400, 300
    found = paint_people(pixels, xy, np.ones((1, 17)), COCO, 0.2, np.array([[300, 200, 200, 200]]))
    assert (found != 90).any() and (found[:250] == 90).all() and (found[:, :350] == 90).all()


def test_costs_and_times(run_dir, capsys, tmp_path):
    words = ["--time", "--ways", "eager", "--threads", "1", "--batches", "1", "--seconds", "0.01"]
    assert cli.main(["cost", str(run_dir), *words, "--json", str(tmp_path / "cost.json")]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "BottomUp (bottomup), 128x128" in printed and "with dark: the parser too, which finds hardly any" in printed
    assert json.loads((tmp_path / "cost.json").read_text())["time"]["variants"][0]["images_s"] > 0


def test_the_page_s_lines_for_whole_images(run_dir, exported, evaluation, tmp_path, monkeypatch, capsys):
    page = (CONF.parent / "docs" / "deploy.md").read_text()
    code = re.findall(r"```python\n(.*?)```", page, re.DOTALL)[1]
    predictions, paths = evaluation
    key = int(predictions["dark"].image_id[-1])
    shutil.copy(exported[0], tmp_path / "bottomup.onnx")
    shutil.copy(paths[key], tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "page", "exec"), names := {})
    own = predictions["dark"].take(predictions["dark"].image_id == key)
    np.testing.assert_allclose(names["xy"].numpy(), own.xy, atol=1e-3)
    assert len(capsys.readouterr().out.splitlines()) == len(own.xy)
