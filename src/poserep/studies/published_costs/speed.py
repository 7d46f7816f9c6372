"""How fast two networks are beside each other, one image at a time, as the papers timed them."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from poserep.deploy.latency.stopwatch import cores, processor, race, seconds_of


@dataclass(frozen=True)
class Speed:
    """A pair of networks that a paper timed, timed here in turns.

    Attributes:
        first: Median frames per second of the network without the change; ``second`` is that of the network with it.
        ratio: Median of second to first over neighbouring turns, between the quartiles ``low`` and ``high``.
        turns: Number of ratios.
        saved_counted: Share of the GFLOPs that the paper's counting saves.
        saved: Share of the true multiply-accumulates saved.
    """

    size: str
    threads: int
    machine: str
    first: float
    second: float
    ratio: float
    low: float
    high: float
    turns: int
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
    first, second = ([statistics.median(s[i : i + calls]) for i in range(0, len(s), calls)] for s in seconds.values())
    low, ratio, high = quartiles(first, second)
    counted, true = (1 - counts[1][name] / counts[0][name] for name in ("hrnet", "true"))
    return Speed(
        size=pair["size"],
        threads=threads or cores(),
        machine=processor(),
        first=1 / statistics.median(first),
        second=1 / statistics.median(second),
        ratio=ratio,
        low=low,
        high=high,
        turns=len(first),
        printed_fps=tuple(pair["printed"]["fps"]),
        printed_ratio=pair["printed"]["ratio"],
        saved_counted=counted,
        saved=true,
    )


def quartiles(first: Sequence[float], second: Sequence[float]) -> list[float]:
    """Return the quartiles of the ratios of neighbouring turns, of which each network has its seconds per call."""
    return statistics.quantiles([a / b for a, b in zip(first, second, strict=True)], n=4, method="inclusive")
