"""How fast SimCC without deconvolutions is beside heatmaps, one image at a time (SimDR, table 4).

``python benchmarks/deconvolution_speed.py [--record] [key=value ...]``

The pairs of networks are those of sweeps/cost.yaml; ``table.speed.rounds=20`` and the like change how they are timed.
Leaves simdr-table4.csv and .svg in runs/simdr-table4, or the former in results/.
"""

import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from stopwatch import race

from poserep.cli import ended
from poserep.config import DictConfig, OmegaConf, composing
from poserep.deploy.latency import cores, processor
from poserep.drawing import PALETTE, STYLE
from poserep.errors import InputError
from poserep.overrides import CONF
from poserep.sheet import Sheet, numbers, texts
from poserep.studies import study_parser
from poserep.studies.published_costs.__main__ import network
from poserep.studies.published_costs.countings import countings

NAME = "simdr-table4"


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


def time_pair(cfgs: Sequence[DictConfig], printed: dict[str, Any], rounds: int, calls: int, threads: int) -> Speed:
    """Time two networks in turns: rounds, calls in a round, and CPU threads, 0 for all."""
    nets, sizes = zip(*(network(cfg, "cpu") for cfg in cfgs), strict=True)
    counts = [countings(net, *size) for net, size in zip(nets, sizes, strict=True)]
    image = torch.randint(0, 256, (1, 3, *sizes[0]), dtype=torch.uint8)
    before = torch.get_num_threads()
    torch.set_num_threads(threads or cores())
    try:
        with torch.inference_mode():
            seconds = race({str(i): (partial(net, image), calls) for i, net in enumerate(nets)}, rounds)
    finally:
        torch.set_num_threads(before)
    first, second = ([statistics.median(s[i : i + calls]) for i in range(0, len(s), calls)] for s in seconds.values())
    low, ratio, high = quartiles(first, second)
    counted, true = (1 - counts[1][name] / counts[0][name] for name in ("hrnet", "true"))
    return Speed(
        size=str(sizes[0]),
        threads=threads or cores(),
        machine=processor(),
        first=1 / statistics.median(first),
        second=1 / statistics.median(second),
        ratio=ratio,
        low=low,
        high=high,
        turns=len(first),
        printed_fps=tuple(printed["fps"]),
        printed_ratio=printed["ratio"],
        saved_counted=counted,
        saved=true,
    )


def quartiles(first: Sequence[float], second: Sequence[float]) -> list[float]:
    """Return the quartiles of the ratios of neighbouring turns, of which each network has its seconds per call."""
    return statistics.quantiles([a / b for a, b in zip(first, second, strict=True)], n=4, method="inclusive")


def timings_sheet(speeds: Sequence[Speed]) -> Sheet:
    """Return the timings for readers: frames per second, the ratio beside the printed one, and what is saved."""
    heads = ("FPS heatmap", "FPS SimCC", "faster by", "middle half", "printed", "printed GFLOPs saved", "MACs saved")
    rows = []
    for s in speeds:
        faster, low, high, printed = (f"{100 * (r - 1):+.0f} %" for r in (s.ratio, s.low, s.high, s.printed_ratio))
        printed += f" ({s.printed_fps[0]} to {s.printed_fps[1]})"
        saved = (f"{100 * share:.0f} %" for share in (s.saved_counted, s.saved))
        fps = f"{s.first:.1f}", f"{s.second:.1f}"
        rows.append([s.size, str(s.threads), *fps, faster, f"{low} to {high}", printed, *saved])
    return Sheet("What leaving out the deconvolutions saves", (*texts("size", "threads"), *numbers(*heads)), rows)


def file_sheet(speeds: Sequence[Speed]) -> Sheet:
    """Return the timings as one table, for a file: a row per size and number of threads."""
    heads = "size", "threads", "fps_heatmap", "fps_simcc", "ratio", "ratio_p25", "ratio_p75", "ratio_printed"
    rows = [
        [
            *(s.size, str(s.threads), f"{s.first:.2f}", f"{s.second:.2f}"),
            *(f"{n:.3f}" for n in (s.ratio, s.low, s.high, s.printed_ratio, s.saved_counted, s.saved)),
            *(str(s.turns), s.machine),
        ]
        for s in speeds
    ]
    return Sheet("", texts(*heads, "saved_counted", "saved_true", "turns", "machine"), rows)


def speed_figure(speeds: Sequence[Speed]) -> Figure:
    """Draw the ratios with their middle half beside the printed ones."""
    sizes = list(dict.fromkeys(s.size for s in speeds))
    threads = list(dict.fromkeys(s.threads for s in speeds))
    figure, axes = plt.subplots(figsize=(7, 2.9))
    width = 0.8 / (len(threads) + 1)
    for i, count in enumerate(threads):
        measured = {s.size: s for s in speeds if s.threads == count}
        at = [sizes.index(size) + (i - len(threads) / 2) * width for size in measured]
        gain = [100 * (s.ratio - 1) for s in measured.values()]
        below = [100 * (s.ratio - s.low) for s in measured.values()]
        above = [100 * (s.high - s.ratio) for s in measured.values()]
        label = f"here, {count} thread{'s' if count > 1 else ''}"
        style: dict[str, Any] = {"color": PALETTE[i], "ecolor": "#0f172a", "capsize": 3}
        axes.bar(at, gain, width * 0.92, yerr=[below, above], label=label, **style)
    printed = {s.size: 100 * (s.printed_ratio - 1) for s in speeds}
    at = [i + len(threads) / 2 * width for i in range(len(sizes))]
    axes.bar(at, [printed[size] for size in sizes], width * 0.92, color="#cbd5e1", label="printed (SimDR, table 4)")
    axes.set_xticks(range(len(sizes)), sizes)
    axes.grid(axis="x", visible=False)
    axes.axhline(0, color="#475569", linewidth=0.8)
    axes.set_ylabel("faster by, %")
    axes.set_title("SimCC without deconvolutions against heatmaps, ResNet-50, one image at a time")
    axes.legend(ncols=len(threads) + 1, loc="upper center", bbox_to_anchor=(0.5, -0.12))
    return figure


def main() -> None:
    """Run ``make reproduce-simdr-table4``."""
    parser = study_parser("benchmarks/deconvolution_speed.py", __doc__, "cost")
    parser.add_argument("--record", action="store_true", help="write to results/ in place of runs/")
    given = parser.parse_intermixed_args()
    with composing(given.config_dir) as compose:

        def configure(*overrides: str) -> DictConfig:
            return compose(["trainer.channels_last=false", *overrides, *given.overrides], given.config_name).cfg

        cfg = configure()
        speed: Any = OmegaConf.to_container(cfg.table.speed, resolve=True)
        rounds, calls = speed["rounds"], speed["calls"]
        if rounds < 2 or calls < 1:
            raise InputError(f"table.speed.rounds={rounds}, calls={calls}: take 2 rounds or more, and 1 call or more")
        speeds = []
        for pair in speed["pairs"]:
            cfgs = [configure(*pair[which], f"size={pair['size']}") for which in ("first", "second")]
            speeds += [time_pair(cfgs, pair["printed"], rounds, calls, threads) for threads in speed["threads"]]
    timings_sheet(speeds).show()
    folder = CONF.parent / "results" if given.record else Path(cfg.runs) / NAME
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{NAME}.csv").write_text(file_sheet(speeds).csv())
    if not given.record:
        with plt.rc_context(STYLE):
            speed_figure(speeds).savefig(folder / f"{NAME}.svg", bbox_inches="tight", metadata={"Date": None})
    print(f"table: {folder / f'{NAME}.csv'}")


if __name__ == "__main__":
    sys.exit(ended(main))
