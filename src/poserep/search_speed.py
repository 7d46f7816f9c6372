"""How long maxima of full-resolution heatmaps take to find, by kernel of the search by blocks (SRPose, figure 7).

``python -m poserep.search_speed [--config-dir sweeps] [--config-name srpose-fig7] [--record] [key=value ...]``

All kernels must find the same joints, or nothing is timed. Leaves table.csv in runs/srpose-fig7.
"""

import argparse
import csv
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.table import Table

from poserep.build import CONF
from poserep.codecs import QuarterShift, SRHeatmap
from poserep.errors import InputError
from poserep.geometry import Size
from poserep.latency import cores, processor, race
from poserep.latency.turns import spread
from poserep.report import wide_console
from poserep.skeleton import COCO

# Of the heatmaps' noise: maps of networks are nowhere flat, and no two bins hold the maximum.
NOISE = 0.01


@dataclass(frozen=True)
class Timed:
    """Decoding with one search.

    Attributes:
        device: What it ran on.
        threads: Of the CPU; 0 on a GPU.
        size: Of the heatmaps.
        search: Its kernel, or ``rows``, the search that readouts take by default.
        batch: Crops at a time.
        ms: Median time for one crop.
        p25: First quartile.
        p75: Third quartile.
        times: How many times as fast as a kernel of 1, at the medians.
    """

    device: str
    threads: int
    size: str
    search: str
    batch: int
    ms: float
    p25: float
    p75: float
    times: float


def heatmaps(size: Size, batch: int, device: str) -> torch.Tensor:
    """Heatmaps (batch, 17, H, W) with a Gaussian each, as SRPose's codec draws it, and noise."""
    generator = torch.Generator().manual_seed(0)
    xy = torch.rand(batch, COCO.num_keypoints, 2, generator=generator) * torch.tensor([size.width - 1, size.height - 1])
    maps, _ = SRHeatmap(size).encode(xy, torch.ones(xy.shape[:2]))
    return (maps + NOISE * torch.randn(maps.shape, generator=generator)).to(device)


def searches(maps: torch.Tensor, kernels: Sequence[int]) -> dict[str, Callable[[], Any]]:
    """By name what finds joints in the maps, with quarter shift; on a GPU each waits until it has.

    Raises:
        InputError: If a kernel makes no sense, or finds other joints than the search by rows does.
    """
    readouts = {"rows": QuarterShift(), **{str(kernel): QuarterShift(kernel) for kernel in kernels}}
    wanted = readouts["rows"](maps)
    for name, readout in readouts.items():
        if not all(torch.equal(found, own) for found, own in zip(readout(maps), wanted, strict=True)):
            raise InputError(f"kernel {name} finds other maxima than the search by rows; nothing was timed")

    def call(readout: QuarterShift) -> None:
        readout(maps)
        if maps.is_cuda:
            torch.cuda.synchronize()

    return {name: (lambda readout=readout: call(readout)) for name, readout in readouts.items()}


def measure(table: dict[str, Any]) -> Iterator[Timed]:
    """Time the searches of a sweep file side by side, for every size and number of threads.

    Raises:
        InputError: If its numbers make no sense, or there is no such device.
    """
    device, rounds, calls, batch = (table[key] for key in ("device", "rounds", "calls", "batch"))
    if device not in ("cpu", "cuda") or (device == "cuda" and not torch.cuda.is_available()):
        raise InputError(f"table.device={device} is not available here; take cpu" + (" or cuda" * (device != "cuda")))
    if rounds * calls < 2 or min(calls, batch) < 1 or 1 not in table["kernels"]:
        raise InputError(
            f"table.rounds={rounds}, calls={calls}, batch={batch}, kernels={table['kernels']}: take two calls or more, a "
            "crop or more, and 1 among the kernels, which the others are compared with"
        )
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
                    each = {key: ms[quantile] / batch for key, quantile in zip(("ms", "p25", "p75"), ms, strict=True)}
                    yield Timed(named, threads, text, name, batch, **each, times=found["1"]["median"] / ms["median"])
    finally:
        torch.set_num_threads(before)


def write(path: Path, rows: Sequence[Timed]) -> None:
    """Write a CSV; rows of other devices that stand there are kept."""
    mine = {row.device for row in rows}
    kept = []
    if path.is_file():
        with path.open(newline="") as file:
            kept = [row for row in csv.DictReader(file) if row["device"] not in mine]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Timed)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(kept)
        writer.writerows({k: f"{v:.5g}" if isinstance(v, float) else v for k, v in asdict(row).items()} for row in rows)


def show(title: str, rows: Sequence[Timed]) -> Table:
    """Times by search, a column for each size and number of threads."""
    groups = list(dict.fromkeys((row.size, row.threads) for row in rows))
    table = Table(title=f"{title}: ms a crop \\[quartiles], times as fast as kernel 1; {rows[0].device}")
    table.add_column("kernel", justify="right")
    for size, threads in groups:
        table.add_column(f"{size}, {threads} threads" if threads else size, justify="right")
    for name in dict.fromkeys(row.search for row in rows):
        found = {(row.size, row.threads): row for row in rows if row.search == name}
        cells = [f"{r.ms:.3f} \\[{r.p25:.3f}, {r.p75:.3f}] {r.times:.1f}x" for r in (found[group] for group in groups)]
        table.add_row(name, *cells)
    return table


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m poserep.search_speed", description=__doc__)
    parser.add_argument("--config-dir", type=Path, default=CONF.parent / "sweeps", help="folder of the sweep file")
    parser.add_argument("--config-name", default="srpose-fig7", help="the sweep file, without .yaml")
    parser.add_argument("--record", action="store_true", help="write results/STUDY.csv too")
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    given = parser.parse_intermixed_args()
    try:
        with initialize_config_dir(str(given.config_dir.resolve()), version_base="1.3"):
            cfg = compose(given.config_name, [f"hydra.searchpath=[file://{CONF}]", *given.overrides])
        table: Any = OmegaConf.to_container(cfg.table, resolve=True)
        rows = list(measure(table))
    except (InputError, HydraException, OmegaConfBaseException) as error:
        sys.exit(f"error: {error}")
    wide_console().print(show(table["title"], rows))
    paths = [Path(cfg.runs) / cfg.study / "table.csv"]
    paths += [CONF.parent / "results" / f"{cfg.study}.csv"] if given.record else []
    for path in paths:
        write(path, rows)
        print(f"table: {path}")


if __name__ == "__main__":
    main()
