"""How long maxima of full-resolution heatmaps take to find, by kernel of the search by blocks (SRPose, figure 7).

``python benchmarks/search_speed.py [--record] [key=value ...]``

All kernels must find the same joints. Leaves srpose-fig7.csv in runs/srpose-fig7 or results/.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from stopwatch import race, spread

from poserep.cli import ended
from poserep.codecs import SRHeatmap
from poserep.codecs.readouts import Peaks, peak, quarter_shift
from poserep.config import OmegaConf, compose
from poserep.deploy.latency import cores, processor
from poserep.errors import InputError
from poserep.geometry import Size
from poserep.overrides import CONF
from poserep.sheet import Sheet, numbers, texts
from poserep.skeleton import COCO
from poserep.studies import study_parser


class Timed(NamedTuple):
    """Decoding with one search.

    Attributes:
        threads: CPU threads, 0 on a GPU.
        batch: Crops at a time.
        search: Kernel of the search, or ``rows``, the search that readouts take by default.
        ms: Median time for one crop, between the quartiles ``p25`` and ``p75``.
        times: How many times as fast as a kernel of 1, at the medians.
    """

    device: str
    threads: int
    size: str
    batch: int
    search: str
    ms: float
    p25: float
    p75: float
    times: float


def heatmaps(size: Size, batch: int, device: str) -> torch.Tensor:
    """Return heatmaps (batch, 17, H, W) with a Gaussian each and noise, so that no two bins hold the maximum."""
    generator = torch.Generator().manual_seed(0)
    xy = torch.rand(batch, COCO.num_keypoints, 2, generator=generator) * torch.tensor([size.width - 1, size.height - 1])
    maps, _ = SRHeatmap(size).encode(xy, torch.ones(xy.shape[:2]))
    return (maps + 0.01 * torch.randn(maps.shape, generator=generator)).to(device)


def pooled_peak(heatmap: torch.Tensor, kernel: int) -> Peaks:
    """Find the same as `peak` by max-pooling (Wang et al. 2023, SRPose, eq. 10).

    It takes the maximum of every ``kernel`` x ``kernel`` block, then the best block, then the place in it: exact for
    any kernel and any size. Where several bins hold the maximum, the first block wins, and in it the first bin. (The
    published code never finds a maximum in rows and columns beyond the last whole block.)
    """
    b, k, h, w = heatmap.shape
    if h % kernel or w % kernel:
        heatmap = F.pad(heatmap, (0, -w % kernel, 0, -h % kernel), value=-torch.inf)
    tall, wide = heatmap.shape[-2] // kernel, heatmap.shape[-1] // kernel
    blocks = heatmap.reshape(b, k, tall, kernel, wide, kernel)
    best = blocks.flatten(4).amax(3).view(b, k, tall, wide, kernel).amax(-1).flatten(2)
    value, block = best.max(-1)
    row, column = block.div(wide, rounding_mode="floor"), block % wide
    inner = torch.arange(kernel, device=heatmap.device)
    y = row[..., None] * kernel + inner
    x = column[..., None] * kernel + inner
    index = y[..., :, None] * (wide * kernel) + x[..., None, :]
    inside = heatmap.flatten(2).gather(-1, index.flatten(2)).argmax(-1)
    xy = torch.stack([column, row], -1) * kernel
    xy = xy + torch.stack([inside % kernel, inside.div(kernel, rounding_mode="floor")], -1)
    return xy * (value > 0)[..., None], value


def searches(maps: torch.Tensor, kernels: Sequence[int]) -> dict[str, Callable[[], Any]]:
    """Return by name what finds joints in the maps, takes the quarter shift, and reads one score.

    A GPU must have finished its work to give a score.

    Raises:
        InputError: If a kernel is not a number of bins, or finds other joints than the search by rows does.
    """
    if not all(isinstance(kernel, int) and kernel > 0 for kernel in kernels):
        raise InputError(f"table.kernels={list(kernels)} must be whole numbers of bins, at least 1")
    by_name: dict[str, Callable[[torch.Tensor], Peaks]] = {"rows": peak}
    by_name |= {str(kernel): partial(pooled_peak, kernel=kernel) for kernel in kernels}

    def decode(search: Callable[[torch.Tensor], Peaks]) -> Peaks:
        xy, value = search(maps)
        return quarter_shift(maps, xy), value

    expected = decode(peak)
    for name, search in by_name.items():
        if not all(torch.equal(*pair) for pair in zip(decode(search), expected, strict=True)):
            raise InputError(f"kernel {name} finds other maxima than the search by rows; it is not timed")

    def timed(search: Callable[[torch.Tensor], Peaks]) -> Callable[[], float]:
        return lambda: decode(search)[1][0, 0].item()

    return {name: timed(search) for name, search in by_name.items()}


def measure(table: dict[str, Any]) -> Iterator[Timed]:
    """Time the searches of a sweep file side by side, for every size and number of threads.

    Raises:
        InputError: If its numbers make no sense, or there is no such device.
    """
    if 1 not in table.get("kernels", ()):
        raise InputError("table.kernels must hold 1, to compare the others with, as --config-name srpose-fig7 has")
    device, rounds, calls, batch = (table[key] for key in ("device", "rounds", "calls", "batch"))
    if device not in ("cpu", "cuda") or (device == "cuda" and not torch.cuda.is_available()):
        raise InputError(f"table.device={device} is not available here; take cpu, or cuda where there is a GPU")
    if rounds * calls < 2 or min(calls, batch) < 1:
        raise InputError(f"table.rounds={rounds}, calls={calls}, batch={batch}: take 2 calls of 1 crop, or more")
    machine = processor() if device == "cpu" else torch.cuda.get_device_name()
    before = torch.get_num_threads()
    try:
        for size in table["sizes"]:
            functions = searches(heatmaps(Size.parse(size), batch, device), table["kernels"])
            for threads in dict.fromkeys(n or cores() for n in table["threads"]) if device == "cpu" else (0,):
                torch.set_num_threads(threads or before)
                with torch.inference_mode():
                    seconds = race({name: (f, calls) for name, f in functions.items()}, rounds)
                spreads = {name: spread(each) for name, each in seconds.items()}
                for name, ms in spreads.items():
                    each, low, high = (ms[key] / batch for key in ("median", "p25", "p75"))
                    times = spreads["1"]["median"] / ms["median"]
                    yield Timed(machine, threads, size, batch, name, each, low, high, times)
    finally:
        torch.set_num_threads(before)


def file_sheet(rows: Sequence[Timed]) -> Sheet:
    """Return all measurements as one table, for a file."""
    cells = [[f"{cell:.4g}" if isinstance(cell, float) else str(cell) for cell in row] for row in rows]
    return Sheet("", texts(*Timed._fields), cells)


def shown_sheet(title: str, rows: Sequence[Timed]) -> Sheet:
    """Return the times by search, with a column for each size and number of threads."""
    groups = list(dict.fromkeys((row.size, row.threads) for row in rows))
    cell = {(r.search, r.size, r.threads): f"{r.ms:.3f} [{r.p25:.3f}, {r.p75:.3f}] {r.times:.1f}x" for r in rows}
    heads = [f"{size}, threads: {threads}" if threads else size for size, threads in groups]
    lines = [[name, *(cell[name, *group] for group in groups)] for name in dict.fromkeys(row.search for row in rows)]
    title = f"{title}: ms a crop [quartiles], times as fast as kernel 1; {rows[0].device}"
    return Sheet(title, [*texts("kernel"), *numbers(*heads)], lines)


def main() -> None:
    """Run ``make reproduce-srpose-fig7``."""
    parser = study_parser("benchmarks/search_speed.py", __doc__, "srpose-fig7")
    parser.add_argument("--record", action="store_true", help="write to results/ in place of runs/")
    given = parser.parse_intermixed_args()
    cfg = compose(given.overrides, given.config_name, given.config_dir).cfg
    table: Any = OmegaConf.to_container(cfg.table, resolve=True)
    rows = list(measure(table))
    shown_sheet(table["title"], rows).show()
    path = (CONF.parent / "results" if given.record else Path(cfg.runs) / cfg.study) / f"{cfg.study}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(file_sheet(rows).csv())
    print(f"table: {path}")


if __name__ == "__main__":
    sys.exit(ended(main))
