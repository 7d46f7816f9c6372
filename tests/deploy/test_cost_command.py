"""`poserep cost`: what it prints and writes, from overrides and from runs, and what it refuses."""

import json
import re

import pytest

from poserep import cli
from poserep.deploy import cost
from poserep.runs.create import prepare


def say(capsys, *words):
    assert cli.main(["cost", *map(str, words)]) == 0
    # A title wraps where its table ends.
    return " ".join(capsys.readouterr().out.split())


def refuse(capsys, *words):
    assert cli.main(["cost", *map(str, words)]) == 2
    return capsys.readouterr().err.removesuffix("\n")


def test_overrides_are_enough(capsys, tmp_path):
    path = tmp_path / "new" / "cost.json"
    words = ["backbone=hrnet_w32", "representation=simcc", "size=256x192", "--json", path, "--batches", 1]
    printed = say(capsys, *words)
    # As in SimCC's table: 31.3 M parameters.
    assert "31,289,521" in printed and "7.692" in printed and f"written: {path}" in printed
    found = json.loads(path.read_text())
    assert found["params"] == 31_289_521 and found["gmacs"] == pytest.approx(7.692, abs=0.001)
    assert {"backbone", "backbone.trunk.stage4", "head.mlp_head_x"} <= {part["path"] for part in found["parts"]}
    assert found["memory"][0]["training_bytes"] > found["memory"][0]["forward_bytes"] > 0
    assert found["config"]["backbone"]["width"] == 32 and found["provenance"]["packages"]["torch"]


def test_run_directory_and_its_overrides(capsys, configure):
    run_dir = prepare(configure("representation=simcc"), "backbone").path
    plain = say(capsys, run_dir, "--batches", 1)
    changed = say(capsys, run_dir, "representation.codec.k=4", "--batches", 1)
    assert "AxisLinear (simcc), 64x64, 17 joints" in plain and plain != changed


def test_neither_data_nor_weights_are_needed(capsys):
    printed = say(capsys, "data=coco", "data.root=nowhere", "backbone.weights=nowhere.pth", "--batches", 1)
    assert "GMACs" in printed


def test_what_is_not_counted_is_told_apart(capsys):
    printed = say(capsys, "backbone=resnet18", "representation=srpose", "--batches", 1)
    assert "training only: neither run nor counted when poses are predicted" in printed
    printed = say(capsys, "backbone=tokenpose_s", "--batches", 1)
    assert "tables: fixed positions" in printed and "training only" not in printed


def test_stacks_are_counted(capsys, tmp_path):
    path = tmp_path / "cost.json"
    words = ["backbone=hg4", "backbone.stacks=2", "representation=simcc", "--batches", 1, 2, "--json", path]
    printed = say(capsys, *words)
    one, two = json.loads(path.read_text())["memory"]
    # At 64x64 the innermost map has one position: too little for a batch norm to train on with one image.
    assert one["training_bytes"] is None and two["training_bytes"] > two["forward_bytes"] > one["forward_bytes"]
    assert "-: too few values" in printed


def test_options_of_timing_are_checked(capsys):
    for option in (["--seconds", 3], ["--device", "cpu"], ["--threads", 1], ["--ways", "eager"]):
        assert "add --time" in refuse(capsys, *option)
    for seconds in ("nan", "inf", "0", "-1"):
        assert "give a number above 0" in refuse(capsys, "--time", "--seconds", seconds)


def test_times_and_ways_that_are_not_available(capsys, tmp_path, monkeypatch):
    def broken(*_):
        raise RuntimeError("no compiler")

    monkeypatch.setitem(cost.WAYS, "compiled", broken)
    words = ["--time", "--ways", "eager", "compiled", "--threads", 1, "--batches", 1, "--seconds", 0.01]
    printed = say(capsys, *words, "--json", tmp_path / "cost.json")
    assert "ms a batch" in printed and "with shift" in printed
    assert "compiled: not available: RuntimeError: no compiler" in printed
    eager, compiled = json.loads((tmp_path / "cost.json").read_text())["time"]["variants"]
    assert eager["images_s"] > 0 and compiled["unavailable"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["backbone=hrnet_w99"], "error: no backbone .hrnet_w99.; did you mean hrnet_w18"),
        (["trainer.epoch=3"], "error: no key trainer.epoch; did you mean trainer.epochs"),
        (["nowhere"], "error: nowhere is not a run directory: it has no config.yaml"),
        (["backbone=hrnet_w32", "input_size=100x100"], "error: input_size=100x100 does not suit backbone HRNet"),
        (["backbone=hrnet_w32_pyramid"], "error: no backbone .hrnet_w32_pyramid.; did you mean hrnet_w32"),
        (["representation=srpose", "backbone=hrnet_4s"], r"error: .*gives strides \[4\]; take resnet50"),
        (["--batches", "0"], "error: --batches 0: give 1 or more images"),
        (["--batches", "1", "--time", "--ways", "tensorrt"], "error: .*'tensorrt' is not one of eager, compiled, onnx"),
    ],
)
def test_mistakes_are_one_line(capsys, words, message):
    code = refuse(capsys, *words)
    assert re.match(message, code) and "\n" not in code


def test_help_explains(capsys):
    assert cli.main(["cost", "-h"]) == 0 and "flip test not included" in capsys.readouterr().out
