"""ONNX files: what they compute, what they say of themselves, and when none is left."""

import functools
import json
import re

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from omegaconf import OmegaConf

from poserep import cli
from poserep.codecs import Heatmap
from poserep.data.from_config import skeleton_of
from poserep.deploy import export, parity
from poserep.deploy.card import KEY, Card
from poserep.deploy.crops import crops
from poserep.deploy.estimators import OnnxEstimator
from poserep.deploy.graph import PoseGraph, restore_graph
from poserep.errors import InputError
from poserep.runs.create import prepare
from poserep.skeleton import COCO
from poserep.training import evaluate
from poserep.training.evaluate import checkpoint_of
from poserep.training.network import build_network


@pytest.fixture
def exported(run, tmp_path):
    """Train, export: run directory, configuration and file."""

    def go(*overrides, readout=None, change=(), check=6):
        run_dir, _ = run("boxes=[gt]", *overrides)
        cfg = evaluate.configure(run_dir, list(change))
        return run_dir, cfg, export.export(run_dir, cfg, tmp_path / "made" / "model.onnx", readout, check)

    return go


def evaluated(run_dir, cfg, images, readout=None):
    """What evaluation finds."""
    module = evaluate.restore(run_dir, cfg).module.eval()
    with torch.no_grad():
        points = module.codec.decode(module.predict_batch(torch.from_numpy(images)), readout or module.readouts[0])
    return points.xy.numpy(), points.score.numpy()


PYRAMID = "backbone=resnet18_pyramid"
CASES = {
    "shift": (["representation=heatmap"], "shift"),
    "dark": (["representation=heatmap", "align=corner"], "dark"),
    "argmax": (["representation=heatmap"], "argmax"),
    "simcc": (["representation=simcc", "align=corner", "representation.codec.k=1.5"], "argmax"),
    "sr": (["representation=sr"], "shift"),
    "srpose": (["representation=srpose", PYRAMID], "argmax"),
    "ipr": (["representation=ipr"], "mean"),
    "regression": (["representation=regression"], "point"),
    "rle": (["representation=rle"], "point"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_file_finds_what_evaluation_finds(exported, case):
    overrides, readout = CASES[case]
    run_dir, cfg, path = exported(*overrides, readout=readout)
    session = onnxruntime.InferenceSession(path)
    images, _ = crops(cfg, "photographs", 6)
    assert cfg.flip_test and images.shape == (6, 3, 64, 64) and images.dtype == np.uint8
    for batch in (images[:1], images[1:]):
        xy, score = session.run(None, {"image": batch})
        there, sure = evaluated(run_dir, cfg, batch, readout)
        assert xy.shape == (len(batch), 17, 2) and score.shape == (len(batch), 17)
        assert xy.dtype == score.dtype == np.float32 and (score >= 0).all() and (score <= 1).all()
        np.testing.assert_allclose(xy, there, atol=0.05, rtol=0)
        np.testing.assert_allclose(score, sure, atol=1e-3, rtol=0)


def test_files_say_what_they_are(exported, capsys):
    run_dir, _, path = exported("representation=simcc")
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert [o.version for o in model.opset_import if o.domain == ""] == [export.OPSET]
    assert [p.name for p in path.parent.iterdir()] == ["model.onnx"]
    assert b"/src/poserep/" not in path.read_bytes(), "nothing of this machine"
    (image,) = onnxruntime.InferenceSession(path).get_inputs()
    assert image.shape == ["batch", 3, 64, 64] and image.type == "tensor(uint8)"
    card = OnnxEstimator(path).card
    assert card == Card.from_json(next(p.value for p in model.metadata_props if p.key == KEY), path)
    assert (card.run, card.checkpoint, card.readout, card.representation) == (run_dir.name, "last", "argmax", "simcc")
    assert (card.size, card.channels, card.align, card.padding) == ((64, 64), 3, "centre", 1.25)
    assert card.skeleton == COCO and card.flip_test and card.score_threshold == 0.2
    told = capsys.readouterr().out
    assert "6 evaluation crops of synthetic-easy, 102 joints: ONNX Runtime and PyTorch differ by" in told


def test_flip_test_and_name_follow_the_overrides(run, monkeypatch):
    run_dir, _ = run("boxes=[gt]", "representation=regression")
    found = []
    for words in (["flip_test=false"], [], ["readout=point", "--check", "2", "checkpoint=best"]):
        assert cli.main(["export", str(run_dir), *words]) == 0
    for name in ("last-point", "last-point-flip", "best-point-flip"):
        model = OnnxEstimator(run_dir / f"{name}.onnx")
        found.append(model.card.flip_test)
        images, _ = crops(evaluate.configure(run_dir, []), "photographs", 2)
        there, _ = evaluated(run_dir, evaluate.configure(run_dir, [f"flip_test={model.card.flip_test}"]), images)
        np.testing.assert_allclose(model(images)[0], there, atol=1e-3)
    assert found == [False, True, True]


def test_calibrated_checkpoints_keep_their_temperature(run):
    run_dir, _ = run("boxes=[gt]", "representation=simcc")
    state = torch.load(run_dir / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    tempered = state | {"codec.temperature": torch.tensor(2.0)}
    torch.save({"state_dict": tempered}, run_dir / "checkpoints" / "calibrated.ckpt")
    images, _ = crops(evaluate.configure(run_dir, []), "photographs", 3)
    models = [
        OnnxEstimator(export.export(run_dir, evaluate.configure(run_dir, [f"checkpoint={name}"]), check=2))
        for name in ("last", "calibrated")
    ]
    (xy, score), (same, root) = (model(images) for model in models)
    np.testing.assert_array_equal(same, xy)
    np.testing.assert_allclose(root, score**0.5, rtol=1e-4)
    assert models[1].card.temperature == 2 and models[1].card.score_threshold == pytest.approx(0.2**0.5)


def test_neither_data_nor_first_weights_are_needed(run, tmp_path, capsys):
    run_dir, _ = run("boxes=[gt]", "representation=regression")
    cfg = OmegaConf.load(run_dir / "config.yaml")
    cfg.data.root, cfg.backbone.weights = str(tmp_path / "gone"), str(tmp_path / "gone.pth")
    OmegaConf.save(cfg, run_dir / "config.yaml")
    export.export(run_dir, evaluate.configure(run_dir, []), check=3)
    assert "3 drawn people, 51 joints" in capsys.readouterr().out and not (tmp_path / "gone").exists()


def test_depth_models_take_metres(configure, tmp_path, capsys):
    human4d = ["data=human4d", f"data.root={tmp_path}/gone", "size=160x320", "augment=none", "flip_test=false"]
    cfg = configure(*human4d, "representation=regression")
    run_dir = prepare(cfg, "backbone")
    net, codec = build_network(cfg, skeleton_of(cfg))
    state = {f"net.{k}": v for k, v in net.state_dict().items()} | {
        f"codec.{k}": v for k, v in codec.state_dict().items()
    }
    (run_dir / "checkpoints").mkdir()
    torch.save({"state_dict": state}, run_dir / "checkpoints" / "last.ckpt")
    path = export.export(run_dir, evaluate.configure(run_dir, []), check=3)
    assert "3 drawn depth maps, 54 joints" in capsys.readouterr().out
    (image,) = onnxruntime.InferenceSession(path).get_inputs()
    assert image.shape == ["batch", 1, 160, 320] and image.type == "tensor(float)"
    card = OnnxEstimator(path).card
    assert card.reads == "depths" and card.whole and card.channels == 1


def test_one_crop_is_enough_to_export_any_batch(run, tmp_path):
    run_dir, _ = run("boxes=[gt]", "representation=regression")
    graph, card = restore_graph(run_dir, evaluate.configure(run_dir, []))
    export.write(graph, card, np.zeros((1, 3, 64, 64), np.uint8), tmp_path / "model.onnx")
    assert OnnxEstimator(tmp_path / "model.onnx")(np.zeros((3, 3, 64, 64), np.uint8))[0].shape == (3, 17, 2)


def test_no_file_is_left_if_both_differ(run, tmp_path, monkeypatch):
    run_dir, _ = run("boxes=[gt]", "representation=regression")
    monkeypatch.setattr(parity, "PX", -1.0)
    out = tmp_path / "out"
    with pytest.raises(InputError, match=r"differ by .* px and .*34 joints by more than .*model\.onnx is not written"):
        export.export(run_dir, evaluate.configure(run_dir, []), out / "model.onnx", check=2)
    assert list(out.iterdir()) == []


def test_differences_are_seen_and_counted():
    images = np.zeros((40, 3, 4, 4), np.uint8)
    sizes = []

    def model(shift):
        def call(batch):
            sizes.append(len(batch))
            return np.full((len(batch), 2, 2), [[0, 0], [0, shift]], np.float32), np.zeros((len(batch), 2))

        return call

    found = parity.compare(model(0.0), model(0.5), images)
    assert found == (0.5, 0.0, 80, 40, 0) and sizes == [1, 1, 32, 32, 7, 7]
    assert parity.compare(model(0.0), model(0.04), images).apart == 0
    assert parity.compare(model(0.0), model(float("nan")), images).apart == 40


class Maps(torch.nn.Module):
    """A net that emits the same maps for every image; two bins of the first joint differ by as much as told."""

    def __init__(self, margin):
        super().__init__()
        maps = torch.zeros(1, 2, 8, 8)
        maps[..., 2, 3], maps[..., 5, 6] = 1.0, 0.4
        maps[0, 0, 5, 6] = 1 - margin
        self.maps = maps

    def forward(self, image):
        return self.maps.expand(len(image), -1, -1, -1)


@pytest.mark.parametrize(("margin", "ties"), [(1e-7, 1), (1e-4, 0)])
def test_equal_bins_are_ties_and_others_are_not(margin, ties):
    graph = PoseGraph(Maps(margin), Heatmap("32x32"), torch.arange(2))
    images = np.zeros((1, 3, 32, 32), np.uint8)
    xy, score = (found.numpy() for found in graph(torch.from_numpy(images)))
    wrong = xy.copy()
    wrong[:, 0] = graph.codec.to_px(torch.tensor([6.0, 5.0]))
    found = parity.compare(
        lambda _: (xy, score), lambda _: (wrong, score), images, functools.partial(parity.equally_good, graph)
    )
    assert (found.ties, found.apart) == (ties, 1 - ties) and found.px == (0 if ties else 12)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["readout=soft"], r"Heatmap has no readout 'soft'; it has \['shift', 'argmax', 'dark'\]"),
        (["model.pt"], r"model\.pt: give a file whose name ends in \.onnx"),
        (["a.onnx", "b.onnx"], r"expected one file to write, got a\.onnx, b\.onnx"),
        (["--check", "1"], "--check 1 is too few"),
        (["checkpoint=none"], r"checkpoint=none: .* has best, last"),
        (["readot=dark"], "no key or group readot; did you mean readouts"),
    ],
)
def test_what_cannot_be_exported_is_said_in_a_line(run, capsys, words, message):
    run_dir, _ = run("boxes=[gt]")
    capsys.readouterr()
    assert cli.main(["export", str(run_dir), *words]) == 2
    text = capsys.readouterr().err
    assert re.match(f"error: .*{message}", text) and text.count("\n") == 1


def test_a_folder_that_is_no_run(tmp_path, capsys):
    assert cli.main(["export", str(tmp_path)]) == 2
    assert "is no run directory" in capsys.readouterr().err


def test_other_cards_are_refused(tmp_path):
    for text in ("[]", "{", json.dumps({"format": 1}), json.dumps({"format": 99})):
        with pytest.raises(InputError, match="exported by another version of poserep"):
            Card.from_json(text, tmp_path)


def test_checkpoints_that_are_not_there_are_told_with_those_that_are(run):
    run_dir, _ = run("representation=heatmap", "boxes=[gt]", "flip_test=false")
    for name, message in (("calibrated", "poserep calibrate .* makes it"), ("typo", "checkpoint=typo: .* has .*last")):
        with pytest.raises(InputError, match=message):
            checkpoint_of(run_dir, name)
