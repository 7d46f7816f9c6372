"""How long a network takes: run in several ways that take turns, alone and with decoding."""

import itertools
import logging
import os
import platform
import re
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from timeit import Timer
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_unflatten

from poserep.cli import tracked
from poserep.errors import InputError, check_choice, check_positive, first_line

# How often each variant has its turn, so that a disturbed machine disturbs all of them alike.
TURNS = 3


def onnx(net: nn.Module, image: Tensor, threads: int) -> Callable[[], Any]:
    """Run in ONNX Runtime, with its own optimisations; an `InputError` says if it is not there for the device."""
    import onnxruntime

    provider = "CUDAExecutionProvider" if image.is_cuda else "CPUExecutionProvider"
    if provider not in onnxruntime.get_available_providers():
        raise InputError(f"this onnxruntime has no {provider}; pip install onnxruntime-gpu in its place")
    with torch.inference_mode(False), torch.no_grad():
        # Tensors made in inference mode cannot be traced.
        example = image.clone()
        leaves, structure = tree_flatten(net(example))
        program = torch.onnx.export(net, (example,), dynamo=True, verbose=False)
    assert program is not None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    # Errors alone: its warnings are about its own optimisations.
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString(), options, providers=[provider])
    feed = {session.get_inputs()[0].name: image.cpu().numpy()}

    def run() -> Any:
        arrays = iter(session.run(None, feed))
        outputs = [torch.from_numpy(next(arrays)).to(image.device) if isinstance(x, Tensor) else x for x in leaves]
        return tree_unflatten(outputs, structure)

    return run


# Ways to run a network: each takes network, images and CPU threads, and returns a function that runs it on them.
WAYS: dict[str, Callable[[nn.Module, Tensor, int], Callable[[], Any]]] = {
    "eager": lambda net, image, threads: partial(net, image),
    # Every batch size and number of threads gets code of its own.
    "compiled": lambda net, image, threads: partial(torch.compile(net, dynamic=False), image),
    "onnx": onnx,
}


@dataclass
class Variant:
    """One of `WAYS` to run a network, ``batch`` images at a time, and how long it took.

    ``threads`` of the CPU are 0 on a GPU; ``prepared`` are the seconds of preparing it, its first call included, and
    ``forward`` those of the network alone in every measured call, as ``decoded`` of network and decoding.
    ``unavailable`` says why it cannot be run, else None.
    """

    way: str
    device: str
    threads: int
    batch: int
    prepared: float = 0.0
    forward: list[float] = field(default_factory=list)
    decoded: list[float] = field(default_factory=list)
    unavailable: str | None = None

    def record(self) -> dict[str, Any]:
        """Return medians and quartiles in ms a batch, and images per second at the median."""
        record = {key: getattr(self, key) for key in ("way", "device", "threads", "batch", "unavailable")}
        if self.unavailable:
            return record
        return {
            **record,
            "prepared_s": self.prepared,
            "calls": len(self.forward),
            "forward_ms": _spread(self.forward),
            "with_decoding_ms": _spread(self.decoded),
            "images_s": self.batch / statistics.median(self.forward),
            "images_s_with_decoding": self.batch / statistics.median(self.decoded),
        }


def _spread(seconds: Sequence[float]) -> dict[str, float]:
    low, median, high = statistics.quantiles(seconds, n=4, method="inclusive")
    return {"median": 1000 * median, "p25": 1000 * low, "p75": 1000 * high}


@dataclass(frozen=True)
class Timing:
    """How a network is timed.

    Attributes:
        ways: Names from `WAYS`.
        batches: Numbers of images at a time.
        threads: Numbers of CPU threads; 0 is as many as there are cores. Not used on a GPU.
        device: ``cpu`` or ``cuda``.
        seconds: About how long each variant runs, half of it with decoding; either is called 3 times at least.

    What makes no sense or is not available here raises an `InputError`.
    """

    ways: Sequence[str] = tuple(WAYS)
    batches: Sequence[int] = (1, 32)
    threads: Sequence[int] = (1, 0)
    device: str = "cpu"
    seconds: float = 5.0

    def __post_init__(self) -> None:
        for way in self.ways:
            check_choice("--ways", way, WAYS)
        if min(self.batches) < 1:
            raise InputError(f"--batches {min(self.batches)}: give 1 or more images")
        if min(self.threads) < 0:
            raise InputError(f"--threads {min(self.threads)}: give 1 or more, or 0 for all cores")
        check_positive("--seconds", self.seconds)
        check_choice("--device", self.device, ("cpu", "cuda"))
        if self.device == "cuda" and not torch.cuda.is_available():
            raise InputError("--device cuda is not available here; take --device cpu")


def timings(
    net: nn.Module,
    decode: Callable[[Any], Any],
    shape: Sequence[int],
    timing: Timing,
    dtype: torch.dtype = torch.uint8,
) -> list[Variant]:
    """Time a network on random images of ``shape`` (C, H, W) and ``dtype``, alone and with decoding its output.

    The network is moved to the device, and to evaluation mode.
    """
    device = timing.device
    net = net.to(device).eval()
    before, disabled = torch.get_num_threads(), logging.root.manager.disable
    counts = list(dict.fromkeys(n or cores() for n in timing.threads)) if device == "cpu" else [before]
    name, wait = (torch.cuda.get_device_name(), torch.cuda.synchronize) if device == "cuda" else ("cpu", lambda: None)
    amount = len(timing.batches) * len(counts) * len(timing.ways)
    print(f"timing {amount} variants: each is prepared, then run for {timing.seconds:g} s", file=sys.stderr, flush=True)
    variants: list[Variant] = []
    running: list[tuple[int, list[float], Timer]] = []
    # What compilers and exporters log and warn of is not about the timing.
    logging.disable(logging.WARNING)
    try:
        with torch.inference_mode(), warnings.catch_warnings(action="ignore"):
            for batch in timing.batches:
                image = torch.randint(0, 256, (batch, *shape), dtype=torch.uint8).to(device, dtype)
                ways = list(itertools.product(counts, timing.ways))
                for count, way in tracked(ways, f"preparing, batch {batch}", len(ways)):
                    torch.set_num_threads(count)
                    variant = Variant(way, name, count if device == "cpu" else 0, batch)
                    start = time.perf_counter()
                    try:
                        call = WAYS[way](net, image, count)
                        decode(call())
                        variant.prepared = time.perf_counter() - start
                        names = {"call": call, "decode": decode, "wait": wait}
                        running.append((count, variant.forward, Timer("call(); wait()", globals=names)))
                        running.append((count, variant.decoded, Timer("decode(call()); wait()", globals=names)))
                    # Compilers and runtimes that are missing, or refuse a network, fail in ways of their own.
                    except Exception as error:
                        kind = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
                        variant.unavailable = f"{kind}{first_line(error)}"[:300]
                    variants.append(variant)
            for count, times, timer in tracked(TURNS * running, "timing", TURNS * len(running)):
                torch.set_num_threads(count)
                # The first call finds caches and memory as the one before has left them, and is not counted.
                calls = timing.seconds / 2 / TURNS / timer.timeit(1)
                times += timer.repeat(max(1, int(calls)), 1)
    finally:
        torch.set_num_threads(before)
        logging.disable(disabled)
    return variants


def processor() -> str:
    """Return the model of the processor, or its architecture where the system does not tell the model."""
    info = Path("/proc/cpuinfo")
    model = re.search(r"model name\s*:\s*(.+)", info.read_text()) if info.is_file() else None
    name = model[1].strip() if model else platform.processor() or platform.machine()
    return re.sub(r"\((R|TM)\)", "", name)


def cores() -> int:
    """Return the number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
