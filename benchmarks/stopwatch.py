"""Time and memory of functions that rival each other."""

import gc
import multiprocessing
import statistics
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

STATUS = Path("/proc/self/status")


def spread(seconds: list[float]) -> dict[str, float]:
    """Return median, minimum and quartiles in ms, and their number."""
    low, median, high = statistics.quantiles(seconds, n=4, method="inclusive")
    found = {"median": median, "min": min(seconds), "p25": low, "p75": high}
    return {**{key: 1000 * value for key, value in found.items()}, "calls": len(seconds)}


def race(rivals: Mapping[str, tuple[Callable[[], Any], int]], rounds: int) -> dict[str, list[float]]:
    """Return the seconds of every call.

    The rivals take turns, so that a machine that drifts or is disturbed for a while does so to all of them. Every turn
    begins with a call that isn't counted: it finds caches and memory as the one before has left them, and would weigh
    more with a rival that is called less often.

    Args:
        rivals: Functions and how often each is called in a round.
        rounds: How often the turns come round.
    """
    seconds: dict[str, list[float]] = {name: [] for name in rivals}
    for _ in range(rounds):
        for name, (function, calls) in rivals.items():
            gc.collect()
            gc.disable()
            function()
            for _ in range(calls):
                start = time.perf_counter()
                function()
                seconds[name].append(time.perf_counter() - start)
            gc.enable()
    return seconds


def extra_memory(make: Callable[..., Callable[[], Any]], *arguments: Any) -> float | None:
    """Return the MB (10^6 bytes) that a call adds to a process at its peak, or None where there is no /proc.

    Measured in a process of its own: its greatest resident memory after the call, less its resident memory before.
    What the call loads or allocates once for all counts too, so that this is an upper bound. ``getrusage`` won't do:
    its maximum includes what the parent process held when it started the child.

    Args:
        make: Called in the child with ``arguments``, it returns the function to measure; can be pickled.
        *arguments: Can be pickled.
    """
    if not STATUS.is_file():
        return None
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_extra_memory, make, arguments).result()


def _extra_memory(make: Callable[..., Callable[[], Any]], arguments: tuple[Any, ...]) -> float:
    function = make(*arguments)
    before = _status("VmRSS")
    held = function()
    after = _status("VmHWM")
    del held
    return max(0.0, after - before)


def _status(key: str) -> float:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(key))
    return int(line.split()[1]) * 1024 / 1e6
