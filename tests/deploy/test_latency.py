"""Timing: turns, ways, and reasons where a way is not available."""

import builtins
import time

import pytest
import torch
from torch import nn

from model_cases import build, resnet
from poserep.codecs import RLE, Heatmap
from poserep.deploy.latency.stopwatch import cores, race, seconds_of
from poserep.deploy.latency.timings import timings
from poserep.deploy.latency.ways import WAYS, onnx
from poserep.errors import InputError
from poserep.models import Deconv, RLEHead

SHAPE = (3, 64, 64)


def net():
    return build(resnet(18), Deconv, Heatmap("64x64"))


def test_functions_take_turns_and_the_first_call_of_a_turn_is_not_counted():
    called = []
    found = race({name: seconds_of(lambda name=name: called.append(name)) for name in "ab"}, rounds=2, calls=3)
    assert "".join(called) == "aaaabbbbaaaabbbb"
    assert {name: len(seconds) for name, seconds in found.items()} == {"a": 6, "b": 6}


def test_functions_leave_when_they_have_had_their_time_and_three_calls():
    found = race({"slow": seconds_of(lambda: time.sleep(0.02)), "fast": seconds_of(lambda: None)}, 10**9, seconds=0.03)
    assert len(found["slow"]) == 3 and len(found["fast"]) > 3


def test_network_and_decoding_are_timed_apart(monkeypatch):
    order = []

    def way(name, seconds):
        def make(model, image, threads):
            def call():
                order.append((name, torch.get_num_threads(), len(image)))
                time.sleep(seconds)

            return call

        return make

    monkeypatch.setitem(WAYS, "fast", way("fast", 0.01))
    monkeypatch.setitem(WAYS, "slow", way("slow", 0.02))
    given = torch.get_num_threads()
    decode = lambda out: time.sleep(0.01)  # noqa: E731
    fast, slow, *others = timings(nn.Identity(), decode, SHAPE, ("fast", "slow"), (2,), (1, 0), seconds=0.1)
    assert torch.get_num_threads() == given
    assert [(v.way, v.batch, v.threads) for v in (fast, slow, *others)] == [
        (way, 2, threads) for threads in dict.fromkeys((1, cores())) for way in ("fast", "slow")
    ]
    about = fast.record()
    assert about["forward_ms"]["median"] > 9 and about["with_decoding_ms"]["median"] > 19
    assert about["forward_ms"]["p25"] <= about["forward_ms"]["median"] <= about["forward_ms"]["p75"]
    assert about["images_s"] == pytest.approx(1000 / about["forward_ms"]["median"])
    assert slow.record()["forward_ms"]["median"] > 19 and len(slow.forward) >= 3
    # Turns: no variant runs all of its calls before another one begins.
    runs = [now for now, before in zip(order, [None, *order], strict=False) if now != before]
    assert runs.count(("fast", 1, 2)) > 2


def test_ways_give_the_same_output():
    model = net().eval()
    image = torch.randint(0, 256, (2, *SHAPE), dtype=torch.uint8)
    with torch.inference_mode():
        expected = WAYS["eager"](model, image, 1)()
        pytest.importorskip("onnxruntime")
        pytest.importorskip("onnxscript")
        torch.testing.assert_close(WAYS["onnx"](model, image, 1)(), expected, rtol=1e-3, atol=1e-5)


def test_onnx_gives_tuples_with_none_in_their_shape():
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    model = build(resnet(18), RLEHead, RLE("64x64")).eval()
    with torch.inference_mode():
        xy, sigma, flow = onnx(model, torch.zeros(1, *SHAPE, dtype=torch.uint8), 1)()
    assert xy.shape == sigma.shape == (1, 17, 2) and flow is None


def test_way_that_fails_says_why_and_the_others_go_on(monkeypatch):
    def broken(model, image, threads):
        raise RuntimeError("\n no compiler found\nmore")

    monkeypatch.setitem(WAYS, "compiled", broken)
    eager, compiled = timings(net(), lambda out: None, SHAPE, ("eager", "compiled"), (1,), (1,), seconds=0.01)
    assert eager.record()["calls"] >= 3
    assert compiled.record()["unavailable"] == "RuntimeError: no compiler found"


def test_missing_runtime_is_named(monkeypatch):
    real = builtins.__import__

    def refuse(name, *rest):
        if name.startswith("onnx"):
            raise ImportError("no", name=name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    (found,) = timings(net(), lambda out: None, SHAPE, ("onnx",), (1,), (1,))
    assert found.unavailable == "onnxruntime is not installed; pip install onnx onnxruntime onnxscript"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ways": ("tensorrt",)}, "'tensorrt' is not one of eager, compiled, onnx"),
        ({"batches": (0,)}, "batches of 0 images"),
        ({"threads": (-1,)}, "-1 threads cannot be used"),
        ({"seconds": 0}, "seconds=0 cannot be spent"),
        ({"device": "tpu"}, "'tpu' is neither cpu nor cuda"),
        ({"device": "cuda"}, "cuda is not available here; take cpu"),
    ],
)
def test_settings_that_make_no_sense(options, message, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match=message):
        timings(nn.Identity(), lambda out: None, SHAPE, **options)
