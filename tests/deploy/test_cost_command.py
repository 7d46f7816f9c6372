"""`poserep cost`: what it prints and writes, from overrides and from runs, and what it refuses."""

import json
import re

import pytest

from poserep import cli
from poserep.config import compose
from poserep.deploy import latency
from poserep.deploy.cost_command import sheets_of
from poserep.geometry import Size
from poserep.models.cost import summary
from poserep.skeleton import COCO
from poserep.training.network import build_network


def say(capsys, *words):
    assert cli.main(["cost", *map(str, words)]) == 0
    # A title wraps where its table ends.
    return " ".join(capsys.readouterr().out.split())


def refuse(capsys, *words):
    assert cli.main(["cost", *map(str, words)]) == 2
    return capsys.readouterr().err.removesuffix("\n")


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


def test_options_of_timing_are_checked(capsys):
    for option in (["--seconds", 3], ["--device", "cpu"], ["--threads", 1], ["--ways", "eager"]):
        assert "add --time" in refuse(capsys, *option)


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


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "error: nowhere is not a run directory: it has no config.yaml"),
        (["backbone=hrnet_w32", "input_size=100x100"], "error: input_size=100x100 does not suit backbone HRNet"),
        (["--batches", "0"], "error: --batches 0: give 1 or more images"),
        (["--time", "--threads", "-1"], "error: --threads -1: give 1 or more, or 0 for all cores"),
        (["--time", "--seconds", "nan"], "error: --seconds=nan must be a positive number"),
        (["--time", "--device", "tpu"], "error: --device='tpu' is not one of .'cpu', 'cuda'"),
        (["--time", "--ways", "tensorrt"], "error: --ways='tensorrt' is not one of .'eager', 'compiled', 'onnx'"),
    ],
)
def test_mistakes_are_one_line(capsys, words, message):
    code = refuse(capsys, *words)
    assert re.match(message, code) and "\n" not in code
