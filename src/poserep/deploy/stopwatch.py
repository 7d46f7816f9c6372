"""Times functions that take turns, so that a disturbed machine disturbs them alike.

``torch.utils.benchmark`` measures one statement after another, each as a whole; here variants alternate, and a call may
be timed in parts.
"""

import gc
import math
import os
import platform
import re
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

Name = TypeVar("Name")
Measure = TypeVar("Measure")
# Calls of each function at least, however slow it is: fewer have no quartiles.
FEWEST = 3
# Turns in a function's time at least.
TURNS = 10


def race(
    measures: Mapping[Name, Callable[[], Measure]], rounds: int, calls: int = 1, seconds: float = math.inf
) -> dict[Name, list[Measure]]:
    """Let functions that time something take turns; return the measurements of every counted call, by name.

    Every turn begins with a call that isn't counted. Garbage is collected between turns only.

    Args:
        measures: Functions by name, such as `seconds_of` makes them; each call gives a measurement.
        rounds: How often each function has its turn at most.
        calls: Counted calls in a turn at least.
        seconds: Time of each function in all of its turns: a turn lasts a tenth of it at least, and a function that has
            had its time and was called 3 times takes no further turn.
    """
    measured: dict[Name, list[Measure]] = {name: [] for name in measures}
    left = dict.fromkeys(measures, seconds)
    turn = seconds / TURNS if seconds < math.inf else 0.0
    gc.disable()
    try:
        while left and rounds:
            for name in list(left):
                gc.collect()
                began = time.perf_counter()
                measures[name]()
                enough = len(measured[name]) + calls
                while len(measured[name]) < enough or time.perf_counter() - began < turn:
                    measured[name].append(measures[name]())
                left[name] -= time.perf_counter() - began
                if left[name] < 0 and len(measured[name]) >= FEWEST:
                    del left[name]
            rounds -= 1
    finally:
        gc.enable()
    return measured


def seconds_of(function: Callable[[], Any]) -> Callable[[], float]:
    """Return a function that calls this one and gives the seconds that it took."""

    def measure() -> float:
        start = time.perf_counter()
        function()
        return time.perf_counter() - start

    return measure


def spread(seconds: Sequence[float]) -> dict[str, float]:
    """Return median and quartiles of times, in ms."""
    low, median, high = statistics.quantiles(seconds, n=4, method="inclusive")
    return {"median": 1000 * median, "p25": 1000 * low, "p75": 1000 * high}


def processor() -> str:
    """Return the name of the processor's model, as far as the machine tells it."""
    info = Path("/proc/cpuinfo")
    model = re.search(r"model name\s*:\s*(.+)", info.read_text()) if info.is_file() else None
    name = model[1].strip() if model else platform.processor() or platform.machine()
    return re.sub(r"\((R|TM)\)", "", name)


def cores() -> int:
    """Return the number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
