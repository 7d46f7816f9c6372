"""How long a network takes: run in several ways that take turns, alone and with decoding."""

import itertools
import logging
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_unflatten

from poserep.deploy.stopwatch import cores, race, spread
from poserep.errors import InputError, check_choice, check_positive


def eager(net: nn.Module, image: Tensor, threads: int) -> Callable[[], Any]:
    """Run in PyTorch's eager mode."""
    return lambda: net(image)


def compiled(net: nn.Module, image: Tensor, threads: int) -> Callable[[], Any]:
    """Run through ``torch.compile``; every batch size and number of threads gets code of its own."""
    function = torch.compile(net, dynamic=False)
    return lambda: function(image)


def onnx(net: nn.Module, image: Tensor, threads: int) -> Callable[[], Any]:
    """Run in ONNX Runtime, with its own optimisations; an `InputError` says if it is not there for the device."""
    try:
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise InputError(f"{error.name} is not installed; pip install onnx onnxruntime onnxscript") from error
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
    "eager": eager,
    "compiled": compiled,
    "onnx": onnx,
}


@dataclass
class Variant:
    """One of `WAYS` to run a network, ``batch`` images at a time, and how long it took.

    Attributes:
        threads: CPU threads; 0 on a GPU.
        prepared: Seconds that preparing it took, its first call included.
        forward: Seconds of the network in every counted call, as ``decoding`` of the decoding.
        unavailable: Why it cannot be run, else None.
    """

    way: str
    device: str
    threads: int
    batch: int
    prepared: float = 0.0
    forward: list[float] = field(default_factory=list)
    decoding: list[float] = field(default_factory=list)
    unavailable: str | None = None

    def record(self) -> dict[str, Any]:
        """Return medians and quartiles in ms a batch, and images per second at the median."""
        record = {key: getattr(self, key) for key in ("way", "device", "threads", "batch", "unavailable")}
        if self.unavailable:
            return record
        both = [network + decoding for network, decoding in zip(self.forward, self.decoding, strict=True)]
        return {
            **record,
            "prepared_s": self.prepared,
            "calls": len(both),
            "forward_ms": spread(self.forward),
            "with_decoding_ms": spread(both),
            "images_s": self.batch / statistics.median(self.forward),
            "images_s_with_decoding": self.batch / statistics.median(both),
        }

    def measure(self, call: Callable[[], Any], decode: Callable[[Any], Any]) -> Callable[[], tuple[float, float]]:
        """Return a function that runs network and decoding once and gives the seconds of each.

        Decoding begins when the network has finished; on a GPU this waits for the device once more.
        """
        wait: Callable[[], None] = (lambda: None) if self.threads else torch.cuda.synchronize

        def run() -> tuple[float, float]:
            if self.threads:
                torch.set_num_threads(self.threads)
            wait()
            start = time.perf_counter()
            out = call()
            wait()
            middle = time.perf_counter()
            decode(out)
            wait()
            return middle - start, time.perf_counter() - middle

        return run


@dataclass(frozen=True)
class Timing:
    """How a network is timed.

    Attributes:
        ways: Names from `WAYS`.
        batches: Numbers of images at a time.
        threads: Numbers of CPU threads; 0 is as many as there are cores. Not used on a GPU.
        device: ``cpu`` or ``cuda``.
        seconds: About how long each variant runs; it is called 3 times at least.

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
    before = torch.get_num_threads()
    counts = list(dict.fromkeys(n or cores() for n in timing.threads)) if device == "cpu" else [before]
    name = torch.cuda.get_device_name() if device == "cuda" else "cpu"
    variants: list[Variant] = []
    running: dict[int, Callable[[], tuple[float, float]]] = {}
    try:
        with torch.inference_mode(), _quiet():
            for batch in timing.batches:
                image = torch.randint(0, 256, (batch, *shape), dtype=torch.uint8).to(device, dtype)
                for count, way in itertools.product(counts, timing.ways):
                    torch.set_num_threads(count)
                    variant = Variant(way, name, count if device == "cpu" else 0, batch)
                    start = time.perf_counter()
                    try:
                        call = WAYS[way](net, image, count)
                        decode(call())
                        variant.prepared = time.perf_counter() - start
                        running[len(variants)] = variant.measure(call, decode)
                    # Compilers and runtimes that are missing, or refuse a network, fail in ways of their own.
                    except Exception as error:
                        variant.unavailable = _reason(error)
                    variants.append(variant)
            for i, pairs in race(running, sys.maxsize, seconds=timing.seconds).items():
                variants[i].forward, variants[i].decoding = (list(part) for part in zip(*pairs, strict=True))
    finally:
        torch.set_num_threads(before)
    return variants


def _reason(error: Exception) -> str:
    """Return the first line of an error's message that is not empty."""
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return line if isinstance(error, InputError) else f"{type(error).__name__}: {line}"[:300]


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the logs and warnings of compilers and exporters."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(before)
