"""How fast two networks are beside each other, one image at a time, as the papers timed them."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from poserep.deploy.latency import race


@dataclass(frozen=True)
class Speed:
    """Frames per second of two networks that took turns.

    Attributes:
        size: Of the input.
        threads: Of the CPU.
        first: Median frames per second of the network without the change.
        second: Of the one with it.
        ratio: Median of second to first, over neighbouring turns.
        low: First quartile of the ratios.
        high: Third quartile.
        turns: How many ratios there are.
        machine: What they ran on.
        printed_fps: Of the paper.
        printed_ratio: Of the paper.
        saved_counted: Share of the GFLOPs that the paper's counting saves.
        saved: Share of the true multiply-accumulates saved.
    """

    size: str
    threads: int
    first: float
    second: float
    ratio: float
    low: float
    high: float
    turns: int
    machine: str
    printed_fps: tuple[float, float]
    printed_ratio: float
    saved_counted: float
    saved: float


def compared(
    nets: Sequence[nn.Module], image: torch.Tensor, rounds: int, calls: int, threads: int
) -> tuple[list[float], list[float]]:
    """Seconds per call of both networks in every round, in evaluation mode and without gradients."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.inference_mode():
            functions = {str(i): (lambda net=net: net(image)) for i, net in enumerate(nets)}
            seconds = race(functions, rounds, calls)
    finally:
        torch.set_num_threads(before)
    per_round = [
        [statistics.median(found[i : i + calls]) for i in range(0, len(found), calls)] for found in seconds.values()
    ]
    return per_round[0], per_round[1]


def summarised(first: Sequence[float], second: Sequence[float]) -> dict[str, float]:
    """Medians and quartiles of the rounds' seconds."""
    ratios = [a / b for a, b in zip(first, second, strict=True)]
    low, ratio, high = statistics.quantiles(ratios, n=4, method="inclusive")
    fps = {"first": 1 / statistics.median(first), "second": 1 / statistics.median(second)}
    return {**fps, "ratio": ratio, "low": low, "high": high, "turns": len(ratios)}
