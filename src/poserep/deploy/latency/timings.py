"""Times a network in several ways, alone and with decoding."""

import logging
import math
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from poserep.deploy.latency.stopwatch import cores, race, spread
from poserep.deploy.latency.ways import WAYS
from poserep.errors import InputError


@dataclass
class Variant:
    """One of `WAYS` to run a network, ``batch`` images at a time, and how long it took.

    Attributes:
        threads: CPU threads; 0 on a GPU.
        prepared: Seconds that preparing it took, its first call included.
        forward: Seconds of the network in every counted call.
        decoding: Seconds of the decoding in every counted call.
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


def timings(
    net: nn.Module,
    decode: Callable[[Any], Any],
    shape: Sequence[int],
    ways: Sequence[str] = tuple(WAYS),
    batches: Sequence[int] = (1, 32),
    threads: Sequence[int] = (1, 0),
    device: str = "cpu",
    seconds: float = 5.0,
    dtype: torch.dtype = torch.uint8,
) -> list[Variant]:
    """Time a network on random images, in evaluation mode.

    Args:
        net: Turns images into outputs; moved to the device, and to evaluation mode.
        decode: Turns the output into coordinates.
        shape: Shape of one image, (C, H, W).
        ways: Names from `WAYS`.
        batches: Numbers of images at a time.
        threads: Numbers of CPU threads; 0 is as many as there are cores. Not used on a GPU.
        device: ``cpu`` or ``cuda``.
        seconds: About how long each variant runs; it is called 3 times at least.
        dtype: Type of the images.
    """
    _check(ways, batches, threads, device, seconds)
    net = net.to(device).eval()
    before = torch.get_num_threads()
    counts = list(dict.fromkeys(n or cores() for n in threads)) if device == "cpu" else [before]
    name = torch.cuda.get_device_name() if device == "cuda" else "cpu"
    variants: list[Variant] = []
    running: dict[str, Callable[[], tuple[float, float]]] = {}
    try:
        with torch.inference_mode(), _quiet():
            for batch in batches:
                image = torch.randint(0, 256, (batch, *shape), dtype=torch.uint8).to(device, dtype)
                for count in counts:
                    torch.set_num_threads(count)
                    for way in ways:
                        variant = Variant(way, name, count if device == "cpu" else 0, batch)
                        variants.append(variant)
                        start = time.perf_counter()
                        try:
                            call = WAYS[way](net, image, count)
                            decode(call())
                        # Compilers and runtimes that are missing, or refuse a network, fail in ways of their own.
                        except Exception as error:
                            variant.unavailable = _reason(error)
                            continue
                        variant.prepared = time.perf_counter() - start
                        running[str(len(variants) - 1)] = variant.measure(call, decode)
            for i, pairs in race(running, sys.maxsize, seconds=seconds).items():
                variants[int(i)].forward, variants[int(i)].decoding = (list(part) for part in zip(*pairs, strict=True))
    finally:
        torch.set_num_threads(before)
    return variants


def _check(ways: Sequence[str], batches: Sequence[int], threads: Sequence[int], device: str, seconds: float) -> None:
    for way in ways:
        if way not in WAYS:
            raise InputError(f"way to run a network {way!r} is not one of {', '.join(WAYS)}")
    if min(batches) < 1:
        raise InputError(f"batches of {min(batches)} images cannot be timed; take 1 or more")
    if min(threads) < 0:
        raise InputError(f"{min(threads)} threads cannot be used; take 1 or more, or 0 for all")
    if not 0 < seconds < math.inf:
        raise InputError(f"seconds={seconds:g} cannot be spent on timing; take a number above 0")
    if device not in ("cpu", "cuda"):
        raise InputError(f"device {device!r} is neither cpu nor cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("device cuda is not available here; take cpu")


def _reason(error: Exception) -> str:
    """Return the first line of an error's message that is not empty."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    line = lines[0] if lines else type(error).__name__
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
