"""How long maxima of full-resolution heatmaps take to find, by kernel of the search by blocks (SRPose, figure 7).

``python -m poserep.studies.search_speed [--config-dir sweeps] [--config-name srpose-fig7] [--record] [key=value ...]``

All kernels must find the same joints. Leaves srpose-fig7.csv in runs/srpose-fig7 or results/.
"""

import argparse
import csv
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from omegaconf import OmegaConf
from rich.table import Table

from poserep.cli import ended, wide_console
from poserep.codecs import QuarterShift, SRHeatmap
from poserep.config import compose
from poserep.deploy.latency import cores, processor, race
from poserep.deploy.latency.turns import spread
from poserep.errors import InputError
from poserep.geometry import Size
from poserep.overrides import CONF, SWEEPS
from poserep.skeleton import COCO


class Timed(NamedTuple):
    """Decoding with one search.

    Attributes:
        device: What it ran on, ``threads`` of a CPU, 0 on a GPU.
        search: Its kernel, or ``rows``, the search that readouts take by default.
        ms: Median time for one of ``batch`` crops of ``size``, between its quartiles ``p25`` and ``p75``.
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
    """Heatmaps (batch, 17, H, W) with a Gaussian each and noise, so that no two bins hold the maximum."""
    generator = torch.Generator().manual_seed(0)
    xy = torch.rand(batch, COCO.num_keypoints, 2, generator=generator) * torch.tensor([size.width - 1, size.height - 1])
    maps, _ = SRHeatmap(size).encode(xy, torch.ones(xy.shape[:2]))
    return (maps + 0.01 * torch.randn(maps.shape, generator=generator)).to(device)


def searches(maps: torch.Tensor, kernels: Sequence[int]) -> dict[str, Callable[[], Any]]:
    """By name what finds joints in the maps, with quarter shift, and reads a score: a GPU must have finished by then.

    Raises:
        InputError: If a kernel makes no sense, or finds other joints than the search by rows does.
    """
    readouts = {"rows": QuarterShift(), **{str(kernel): QuarterShift(kernel) for kernel in kernels}}
    wanted = readouts["rows"](maps)
    for name, readout in readouts.items():
        if not all(torch.equal(found, own) for found, own in zip(readout(maps), wanted, strict=True)):
            raise InputError(f"kernel {name} finds other maxima than the search by rows; it is not timed")

    def timed(readout: QuarterShift) -> Callable[[], Any]:
        return lambda: readout(maps)[1][0, 0].item()

    return {name: timed(readout) for name, readout in readouts.items()}


def measure(table: dict[str, Any]) -> Iterator[Timed]:
    """Time the searches of a sweep file side by side, for every size and number of threads.

    Raises:
        InputError: If its numbers make no sense, or there is no such device.
    """
    if 1 not in table.get("kernels", ()):
        raise InputError("table.kernels must hold 1, to compare the others with, as --config-name srpose-fig7 has")
    device, rounds, calls, batch = (table[key] for key in ("device", "rounds", "calls", "batch"))
    if device not in ("cpu", "cuda") or (device == "cuda" and not torch.cuda.is_available()):
        raise InputError(f"table.device={device} is not to be had here; take cpu, or cuda where there is a GPU")
    if rounds * calls < 2 or min(calls, batch) < 1:
        raise InputError(f"table.rounds={rounds}, calls={calls}, batch={batch}: take 2 calls of 1 crop, or more")
    named = processor() if device == "cpu" else torch.cuda.get_device_name()
    before = torch.get_num_threads()
    try:
        for text in table["sizes"]:
            functions = searches(heatmaps(Size.parse(text), batch, device), table["kernels"])
            for threads in dict.fromkeys(n or cores() for n in table["threads"]) if device == "cpu" else (0,):
                torch.set_num_threads(threads or before)
                with torch.inference_mode():
                    found = {name: spread(s) for name, s in race(functions, rounds, calls).items()}
                for name, ms in found.items():
                    each, low, high = (ms[key] / batch for key in ("median", "p25", "p75"))
                    times = found["1"]["median"] / ms["median"]
                    yield Timed(named, threads, text, batch, name, each, low, high, times)
    finally:
        torch.set_num_threads(before)


def write(path: Path, rows: Sequence[Timed]) -> None:
    """Write a CSV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Timed._fields)
        writer.writerows([f"{cell:.4g}" if isinstance(cell, float) else cell for cell in row] for row in rows)


def show(title: str, rows: Sequence[Timed]) -> Table:
    """Times by search, a column for each size and number of threads."""
    groups = list(dict.fromkeys((row.size, row.threads) for row in rows))
    table = Table("kernel", title=f"{title}: ms a crop \\[quartiles], times as fast as kernel 1; {rows[0].device}")
    for size, threads in groups:
        table.add_column(f"{size}, threads: {threads}" if threads else size, justify="right")
    for name in dict.fromkeys(row.search for row in rows):
        found = [next(row for row in rows if (row.size, row.threads, row.search) == (*g, name)) for g in groups]
        table.add_row(name, *(f"{r.ms:.3f} \\[{r.p25:.3f}, {r.p75:.3f}] {r.times:.1f}x" for r in found))
    return table


def main() -> None:
    """``make reproduce-srpose-fig7``."""
    parser = argparse.ArgumentParser(prog="python -m poserep.studies.search_speed", description=__doc__)
    parser.add_argument("--config-dir", type=Path, default=SWEEPS)
    parser.add_argument("--config-name", default="srpose-fig7", help="the sweep file, without .yaml")
    parser.add_argument("--record", action="store_true", help="write to results/ in place of runs/")
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    given = parser.parse_intermixed_args()
    cfg = compose(given.overrides, given.config_name, given.config_dir).cfg
    table: Any = OmegaConf.to_container(cfg.table, resolve=True)
    rows = list(measure(table))
    wide_console().print(show(table["title"], rows))
    write(path := (CONF.parent / "results" if given.record else Path(cfg.runs) / cfg.study) / f"{cfg.study}.csv", rows)
    print(f"table: {path}")


if __name__ == "__main__":
    sys.exit(ended(main))
