"""How fast two networks are beside each other, one image at a time, as the papers timed them."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from poserep.deploy.stopwatch import cores, processor, race, seconds_of


@dataclass(frozen=True)
class Ratios:
    """Frames per second of two networks that took turns.

    Attributes:
        first: Median frames per second of the network without the change; ``second`` is that of the network with it.
        ratio: Median of second to first over neighbouring turns, between the quartiles ``low`` and ``high``.
        turns: Number of ratios.
    """

    first: float
    second: float
    ratio: float
    low: float
    high: float
    turns: int


@dataclass(frozen=True)
class Speed:
    """A pair of networks that a paper timed, timed here.

    Attributes:
        saved_counted: Share of the GFLOPs that the paper's counting saves.
        saved: Share of the true multiply-accumulates saved.
    """

    size: str
    threads: int
    fps: Ratios
    machine: str
    printed_fps: tuple[float, float]
    printed_ratio: float
    saved_counted: float
    saved: float


def speed_of(
    pair: dict[str, Any], nets: Sequence[nn.Module], counts: Sequence[dict[str, int]], turns: tuple[int, int, int]
) -> Speed:
    """Time a pair of the sweep file: two networks in evaluation mode, with their operations by every counting.

    ``turns`` are rounds, calls in a round, and CPU threads, 0 for all.
    """
    rounds, calls, threads = turns
    height, width = map(int, pair["size"].split("x"))
    image = torch.randint(0, 256, (1, 3, height, width), dtype=torch.uint8)
    before = torch.get_num_threads()
    torch.set_num_threads(threads or cores())
    try:
        with torch.inference_mode():
            rivals = {str(i): seconds_of(partial(net, image)) for i, net in enumerate(nets)}
            seconds = race(rivals, rounds, calls)
    finally:
        torch.set_num_threads(before)
    medians = [[statistics.median(s[i : i + calls]) for i in range(0, len(s), calls)] for s in seconds.values()]
    counted, true = (1 - counts[1][name] / counts[0][name] for name in ("hrnet", "true"))
    printed, fps = pair["printed"], ratios(*medians)
    used = threads or cores()
    return Speed(pair["size"], used, fps, processor(), tuple(printed["fps"]), printed["ratio"], counted, true)


def ratios(first: Sequence[float], second: Sequence[float]) -> Ratios:
    """Return medians and quartiles over rounds, of which each network has its seconds per call."""
    each = [a / b for a, b in zip(first, second, strict=True)]
    low, ratio, high = statistics.quantiles(each, n=4, method="inclusive")
    return Ratios(1 / statistics.median(first), 1 / statistics.median(second), ratio, low, high, len(each))
