"""`poserep cost`: what it prints and writes, from overrides and from runs, what it refuses, and how it times."""

import json
import re
import time

import pytest
import torch
from torch import nn

from model_cases import build
from poserep import cli
from poserep.codecs import RLE
from poserep.config import compose
from poserep.deploy import latency
from poserep.deploy.cost_sheets import sheets_of
from poserep.deploy.latency import TURNS, WAYS, Timing, cores, onnx, timings
from poserep.errors import InputError
from poserep.geometry import Size
from poserep.models import RLEHead
from poserep.models.cost import summary
from poserep.skeleton import COCO
from poserep.training.network import build_network
from reference.vectors import listed
from tiny_backbone import TinyMaps


def say(capsys, *words):
    assert cli.main(["cost", *map(str, words)]) == 0
    # A title wraps where its table ends.
    return " ".join(capsys.readouterr().out.split())


def test_numbers_are_those_of_simcc_s_table():
    cfg = compose(["backbone=hrnet_w32", "representation=simcc", "size=256x192"]).cfg
    found = summary(build_network(cfg, COCO)[0], 256, 192)
    assert found["params"] == 31_289_521 and found["gmacs"] == pytest.approx(7.692, abs=0.001)
    assert {"backbone", "backbone.trunk.stage4", "head.mlp_head_x"} <= {part["path"] for part in found["parts"]}


def test_neither_data_nor_weights_are_needed(capsys, tmp_path):
    words = ["data=coco", "data.root=nowhere", "backbone=resnet18", "backbone.weights=nowhere.pth"]
    path = tmp_path / "new" / "cost.json"
    words += ["representation=srpose", "input_size=32x32", "--batches", 1, 2, "--json", path]
    printed = say(capsys, *words)
    assert "training only: neither run nor counted when poses are predicted" in printed and "tables" not in printed
    found = json.loads(path.read_text())
    assert f"{found['params']:,}" in printed and f"{found['gmacs']:.3f}" in printed and f"written: {path}" in printed
    assert found["config"]["representation"]["name"] == "srpose" and found["provenance"]["packages"]["torch"]
    one, two = found["memory"]
    # The innermost map has one position: too little for a batch norm to train on with one image.
    assert one["training_bytes"] is None and two["training_bytes"] > two["forward_bytes"] > one["forward_bytes"]
    assert "-: too few values" in printed


def test_a_run_directory_and_its_overrides(capsys, untrained):
    run_dir = untrained("representation=simcc")
    plain = say(capsys, run_dir, "--batches", 1)
    changed = say(capsys, run_dir, "representation.codec.k=4", "--batches", 1)
    assert "AxisLinear (simcc), 64x64, 17 joints" in plain and plain != changed


def test_fixed_positions_are_counted_apart():
    cfg = compose(["backbone=tokenpose_s"]).cfg
    record = {"backbone": "", "head": "", "representation": "", "size": "", "keypoints": 17, "memory": [{"batch": 1}]}
    counted = summary(build_network(cfg, COCO)[0], *Size.parse(cfg.input_size))
    notes = next(sheets_of(record | counted)).notes
    assert any(note.startswith("tables: fixed positions") for note in notes) and "training only" not in str(notes)


def test_times_and_ways_that_are_not_available(capsys, tmp_path, monkeypatch, untrained):
    run_dir = untrained("representation=heatmap")

    def broken(*_):
        raise RuntimeError("no compiler")

    monkeypatch.setitem(latency.WAYS, "compiled", broken)
    words = ["--time", "--ways", "eager", "compiled", "--threads", 1, "--batches", 1, "--seconds", 0.01]
    printed = say(capsys, run_dir, *words, "--json", tmp_path / "cost.json")
    assert "ms a batch" in printed and "with shift" in printed
    assert "compiled: not available: RuntimeError: no compiler" in printed
    eager, compiled = json.loads((tmp_path / "cost.json").read_text())["time"]["variants"]
    assert eager["images_s"] > 0 and compiled["unavailable"]


@pytest.mark.parametrize(("words", "message"), listed("refused_words")["cost"])
def test_mistakes_are_one_line(capsys, words, message):
    assert cli.main(["cost", *words]) == 2
    said = capsys.readouterr().err
    assert re.match(message, said) and said.count("\n") == 1


SHAPE = (3, 64, 64)


def test_network_and_decoding_are_timed_apart(monkeypatch):
    order, given = [], torch.get_num_threads()

    def way(name, seconds):
        def call():
            order.append((name, torch.get_num_threads()))
            time.sleep(seconds)

        return lambda *_: call

    monkeypatch.setitem(WAYS, "fast", way("fast", 0.01))
    monkeypatch.setitem(WAYS, "slow", way("slow", 0.02))
    timing = Timing(("fast", "slow"), (2,), seconds=0.1)
    variants = timings(nn.Identity(), lambda out: time.sleep(0.01), SHAPE, timing)
    assert torch.get_num_threads() == given
    ways = [(way, 2, threads) for threads in dict.fromkeys((1, cores())) for way in ("fast", "slow")]
    assert [(v.way, v.batch, v.threads) for v in variants] == ways
    fast, slow = (v.record() for v in variants[:2])
    assert fast["forward_ms"]["median"] > 9 and fast["with_decoding_ms"]["median"] > 19
    assert fast["images_s"] == pytest.approx(2 * 1000 / fast["forward_ms"]["median"])
    assert slow["forward_ms"]["median"] > 19 and slow["calls"] >= 3
    # The first call of a turn is not counted, nor the one that prepares.
    assert len(variants[0].forward + variants[0].decoded) == order.count(("fast", 1)) - 2 * TURNS - 1
    runs = [now for now, before in zip(order, [None, *order], strict=False) if now != before]
    assert runs.count(("fast", 1)) == 1 + TURNS


def test_ways_give_the_same_output_tuples_with_none_too():
    model = build(TinyMaps(), RLEHead, RLE("64x64")).eval()
    image = torch.randint(0, 256, (2, *SHAPE), dtype=torch.uint8)
    with torch.inference_mode():
        (xy, sigma, flow), found = WAYS["eager"](model, image, 1)(), onnx(model, image, 1)()
        torch.testing.assert_close(found[:2], (xy, sigma), rtol=1e-3, atol=1e-5)
    assert xy.shape == sigma.shape == (2, 17, 2) and flow is found[2] is None


def test_a_gpu_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="--device cuda is not available here; take --device cpu"):
        Timing(device="cuda")
