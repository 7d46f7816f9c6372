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
class Ratios:
    """Frames per second of two networks that took turns.

    Attributes:
        first: Median frames per second of the network without the change.
        second: The same of the network with it.
        ratio: Median of second to first, over neighbouring turns.
        low: First quartile of the ratios.
        high: Third quartile.
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
        size: Size of the input.
        threads: CPU threads.
        fps: What was measured.
        machine: What they ran on.
        printed_fps: The paper's frames per second.
        printed_ratio: The paper's ratio.
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
    """Time a pair of the sweep file.

    Args:
        pair: The node of the sweep file.
        nets: Both networks, in evaluation mode.
        counts: Multiply-accumulates of both by every counting.
        turns: Rounds, calls in a round, and CPU threads, 0 for all.
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
    saved = {name: 1 - counts[1][name] / counts[0][name] for name in ("hrnet", "true")}
    printed = pair["printed"]
    return Speed(
        size=pair["size"],
        threads=threads or cores(),
        fps=ratios(*medians),
        machine=processor(),
        printed_fps=tuple(printed["fps"]),
        printed_ratio=printed["ratio"],
        saved_counted=saved["hrnet"],
        saved=saved["true"],
    )


def ratios(first: Sequence[float], second: Sequence[float]) -> Ratios:
    """Return medians and quartiles over rounds, of which each network has its seconds per call."""
    each = [a / b for a, b in zip(first, second, strict=True)]
    low, ratio, high = statistics.quantiles(each, n=4, method="inclusive")
    return Ratios(1 / statistics.median(first), 1 / statistics.median(second), ratio, low, high, len(each))
