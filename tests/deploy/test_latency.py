"""Timing: turns, ways, and reasons where a way is not available."""

import builtins
import gc
import time

import pytest
import torch
from tiny_backbone import TinyMaps
from torch import nn

from model_cases import build
from poserep.codecs import RLE
from poserep.deploy.latency import WAYS, Timing, onnx, timings
from poserep.deploy.stopwatch import cores, race, seconds_of
from poserep.errors import InputError
from poserep.models import RLEHead

SHAPE = (3, 64, 64)


@pytest.fixture(autouse=True, scope="module")
def little_garbage():
    """What was loaded before is not searched again at every turn."""
    gc.freeze()
    yield
    gc.unfreeze()


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
    fast, slow, *others = timings(nn.Identity(), decode, SHAPE, Timing(("fast", "slow"), (2,), seconds=0.1))
    assert torch.get_num_threads() == given
    assert [(v.way, v.batch, v.threads) for v in (fast, slow, *others)] == [
        (way, 2, threads) for threads in dict.fromkeys((1, cores())) for way in ("fast", "slow")
    ]
    about = fast.record()
    assert about["forward_ms"]["median"] > 9 and about["with_decoding_ms"]["median"] > 19
    assert about["forward_ms"]["p25"] <= about["forward_ms"]["median"] <= about["forward_ms"]["p75"]
    assert about["images_s"] == pytest.approx(2 * 1000 / about["forward_ms"]["median"])
    assert slow.record()["forward_ms"]["median"] > 19 and len(slow.forward) >= 3
    # Turns: no variant runs all of its calls before another one begins.
    runs = [now for now, before in zip(order, [None, *order], strict=False) if now != before]
    assert runs.count(("fast", 1, 2)) > 2


def test_ways_give_the_same_output_tuples_with_none_too():
    model = build(TinyMaps(), RLEHead, RLE("64x64")).eval()
    image = torch.randint(0, 256, (2, *SHAPE), dtype=torch.uint8)
    with torch.inference_mode():
        (xy, sigma, flow), found = WAYS["eager"](model, image, 1)(), onnx(model, image, 1)()
        torch.testing.assert_close(found[:2], (xy, sigma), rtol=1e-3, atol=1e-5)
    assert xy.shape == sigma.shape == (2, 17, 2) and flow is found[2] is None


def test_missing_runtime_is_named(monkeypatch):
    real = builtins.__import__

    def refuse(name, *rest):
        if name.startswith("onnx"):
            raise ImportError("no", name=name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    (found,) = timings(nn.Identity(), lambda out: None, SHAPE, Timing(("onnx",), (1,), (1,)))
    assert found.unavailable == "onnxruntime is not installed; pip install onnx onnxruntime onnxscript"


def test_a_gpu_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="--device cuda is not available here; take --device cpu"):
        Timing(device="cuda")
