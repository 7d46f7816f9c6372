"""Timing by turns."""

import gc
import os
import platform
import re
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def race(functions: Mapping[str, Callable[[], Any]], rounds: int, calls: int = 1) -> dict[str, list[float]]:
    """Seconds of every call of functions that take turns; every turn begins with a call that isn't counted.

    Args:
        functions: By name.
        rounds: How often the turns come round.
        calls: Counted calls of each function in a round.
    """
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            with undisturbed():
                function()
                for _ in range(calls):
                    start = time.perf_counter()
                    function()
                    seconds[name].append(time.perf_counter() - start)
    return seconds


@contextmanager
def undisturbed() -> Iterator[None]:
    """Without garbage collection, which would strike whom it will."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def spread(seconds: Sequence[float]) -> dict[str, float]:
    """Median and quartiles, ms."""
    low, median, high = statistics.quantiles(seconds, n=4, method="inclusive")
    return {"median": 1000 * median, "p25": 1000 * low, "p75": 1000 * high}


def processor() -> str:
    """The processor's model, as far as the machine tells."""
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.+)", info.read_text()) if info.is_file() else None
    name = found[1].strip() if found else platform.processor() or platform.machine()
    return re.sub(r"\((R|TM)\)", "", name)


def cores() -> int:
    """Of the CPU that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
