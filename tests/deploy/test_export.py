"""ONNX files: what they compute, what they say of themselves, and when none is left."""

import functools
import json
import re
import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from poserep import cli
from poserep.codecs import Heatmap
from poserep.deploy import export
from poserep.deploy.card import METADATA_KEY, Card
from poserep.deploy.export import Parity, equally_good, parity
from poserep.deploy.inference import Estimator, InferenceModule, onnx_estimator, restore_inference
from poserep.deploy.samples import sample_crops
from poserep.errors import Failed, InputError
from poserep.runs.rundir import checkpoint_of
from poserep.skeleton import COCO
from poserep.training.evaluate import configure, restore
from reference.vectors import listed


def evaluated(run_dir, cfg, images, readout=None):
    """Points and scores as evaluation predicts them."""
    module = restore(run_dir, cfg).module.eval()
    with torch.no_grad():
        points = module.codec.decode(module.predict_batch(torch.from_numpy(images)), readout or module.readouts[0])
    return points.xy.numpy(), points.score.numpy()


# Overrides, readout, and the temperature of the scores. `exported` has a maximum's refinement, and a file of a flip
# test is twice as large.
CASES = {
    "simcc": (["representation=simcc", "align=corner", "representation.codec.k=1.5"], "argmax", 2.0),
    "sr": (["representation=sr", "flip_test=false"], "shift", 1.0),
    "srpose": (["representation=srpose", "flip_test=false"], "argmax", 1.0),
    "nerpe": (["representation=nerpe", "flip_test=false"], "argmax", 1.0),
    "ipr": (["representation=ipr", "flip_test=false"], "mean", 1.0),
    "probmap": (["representation=probmap", "flip_test=false"], "oks", 1.0),
}


@pytest.mark.parametrize("case", CASES)
def test_a_file_of_any_batch_finds_what_evaluation_finds(untrained, tmp_path, case):
    overrides, readout, temperature = CASES[case]
    run_dir = untrained("boxes=[gt]", *overrides)
    if temperature != 1:
        state = torch.load(run_dir / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        tempered = state | {"codec.temperature": torch.tensor(temperature)}
        torch.save({"state_dict": tempered}, run_dir / "checkpoints" / "calibrated.ckpt")
    cfg = configure(run_dir, ["checkpoint=calibrated"] if temperature != 1 else [])
    images, _ = sample_crops(cfg, "photographs", 6)
    module, card = restore_inference(run_dir, cfg, readout)
    assert images.shape == (6, 3, 64, 64) and images.dtype == np.uint8
    assert card.temperature == temperature and card.score_threshold == pytest.approx(0.2 ** (1 / temperature))
    export.write_onnx(module, card, images[:1], tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    for batch in (images[:1], images[1:]):
        xy, score = session.run(None, {"image": batch})
        expected_xy, expected_score = evaluated(run_dir, cfg, batch, readout)
        assert xy.shape == (len(batch), 17, 2) and score.shape == (len(batch), 17)
        assert xy.dtype == score.dtype == np.float32 and (score >= 0).all() and (score <= 1).all()
        np.testing.assert_allclose(xy, expected_xy, atol=0.05, rtol=0)
        np.testing.assert_allclose(score, expected_score, atol=1e-3, rtol=0)


def test_files_say_what_they_are(trained, exported):
    path, printed = exported
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert path == trained / "last-dark-flip.onnx" and [p.name for p in trained.glob("*.onnx*")] == [path.name]
    assert [o.version for o in model.opset_import if o.domain == ""] == [export.OPSET]
    assert b"/src/poserep/" not in path.read_bytes(), "nothing of this machine"
    (image,) = onnxruntime.InferenceSession(path).get_inputs()
    assert image.shape == ["batch", 3, 64, 64] and image.type == "tensor(uint8)"
    card = onnx_estimator(path).card
    assert card == Card.from_json(next(p.value for p in model.metadata_props if p.key == METADATA_KEY), path)
    assert (card.run, card.checkpoint, card.readout, card.representation) == (trained.name, "last", "dark", "heatmap")
    assert (card.size, card.channels, card.align, card.padding) == ((64, 64), 3, "centre", 1.25)
    assert card.skeleton == COCO and card.flip_test and card.score_threshold == 0.2
    assert "6 evaluation crops of synthetic-easy, 102 joints: ONNX Runtime and PyTorch differ by" in printed


def test_flip_test_checkpoint_and_name_follow_the_overrides(untrained):
    run_dir = untrained("boxes=[gt]", "representation=rle")
    shutil.copy(run_dir / "checkpoints" / "last.ckpt", run_dir / "checkpoints" / "best.ckpt")
    words = ["flip_test=false", "readout=point", "--check", "2", "checkpoint=best"]
    assert cli.main(["export", str(run_dir), *words]) == 0
    model, cfg = onnx_estimator(run_dir / "best-point.onnx"), configure(run_dir, ["flip_test=false"])
    images, _ = sample_crops(cfg, "photographs", 2)
    assert not model.card.flip_test
    np.testing.assert_allclose(model.estimate(images)[0], evaluated(run_dir, cfg, images)[0], atol=1e-3)


def test_neither_data_nor_first_weights_are_needed(untrained, tmp_path):
    run_dir = untrained("boxes=[gt]", "representation=regression")
    cfg = configure(run_dir, [f"data.root={tmp_path}/gone", "backbone.weights=gone.pth"])
    assert restore_inference(run_dir, cfg)[1].data == "synthetic-easy"
    images, source = sample_crops(cfg, "photographs", 3)
    assert (len(images), source) == (3, "drawn people") and not (tmp_path / "gone").exists()


def test_depth_models_take_metres(untrained, tmp_path, capsys):
    human4d = ["data=human4d", f"data.root={tmp_path}/gone", "size=160x320", "augment=none", "flip_test=false"]
    run_dir = untrained(*human4d, "representation=regression")
    path = export.export(run_dir, configure(run_dir, []), check=3)
    assert "3 drawn people, brightness taken for depth, 54 joints" in capsys.readouterr().out
    (image,) = onnxruntime.InferenceSession(path).get_inputs()
    assert image.shape == ["batch", 1, 160, 320] and image.type == "tensor(float)"
    card = onnx_estimator(path).card
    assert card.reads == "depths" and card.whole and card.channels == 1


def test_no_file_is_left_if_both_differ(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "write_onnx", lambda module, card, example, path: path.write_bytes(b""))
    monkeypatch.setattr(export, "onnx_estimator", lambda path: Estimator(None, None))
    monkeypatch.setattr(export, "parity", lambda *_: Parity(1.5, 0.0, 34, 3, 0))
    with pytest.raises(Failed, match=r"differ by 1\.5 px .*3 joints by more than .*model\.onnx is not written"):
        export.export(trained, configure(trained, []), tmp_path / "out" / "model.onnx", check=2)
    assert list((tmp_path / "out").iterdir()) == []


def test_differences_are_seen_and_counted():
    images, sizes = np.zeros((40, 3, 4, 4), np.uint8), []

    def model(shift):
        def call(batch):
            sizes.append(len(batch))
            return np.full((len(batch), 2, 2), [[0, 0], [0, shift]], np.float32), np.zeros((len(batch), 2))

        return call

    assert parity(model(0.0), model(0.5), images) == (0.5, 0.0, 80, 40, 0) and sizes == [1, 1, 32, 32, 7, 7]
    assert parity(model(0.0), model(0.04), images).apart == 0
    assert parity(model(0.0), model(float("nan")), images).apart == 40


@pytest.mark.parametrize(("margin", "ties"), [(1e-7, 1), (1e-4, 0)])
def test_equal_bins_are_ties_and_others_are_not(margin, ties):
    # The maps of two joints, which the network hands on; two bins of the first differ by a margin.
    maps = np.zeros((1, 2, 8, 8), np.float32)
    maps[..., 2, 3], maps[..., 5, 6] = 1.0, 0.4
    maps[0, 0, 5, 6] = 1 - margin
    module = InferenceModule(torch.nn.Identity(), Heatmap("32x32"), torch.arange(2))
    xy, score = (values.numpy() for values in module(torch.from_numpy(maps)))
    wrong = xy.copy()
    wrong[:, 0] = module.codec.to_px(torch.tensor([6.0, 5.0]))
    tied = functools.partial(equally_good, module)
    difference = parity(lambda _: (xy, score), lambda _: (wrong, score), maps, tied)
    assert (difference.ties, difference.apart) == (ties, 1 - ties) and difference.px == (0 if ties else 12)


@pytest.mark.parametrize(("words", "message"), listed("refused_words")["export"])
def test_what_cannot_be_exported_is_said_in_a_line(trained, capsys, words, message):
    assert cli.main(["export", str(trained), *words]) == 2
    text = capsys.readouterr().err
    assert re.match(message, text) and text.count("\n") == 1


def test_a_run_without_checkpoint(tmp_path):
    with pytest.raises(InputError, match=r"checkpoint=typo: .* has no checkpoint yet"):
        checkpoint_of(tmp_path, "typo")


def test_other_cards_are_refused():
    for text in ("[]", "{", json.dumps({"format": 1}), json.dumps({"format": 99})):
        with pytest.raises(InputError, match="exported by another version of poserep"):
            Card.from_json(text, Path("model.onnx"))
