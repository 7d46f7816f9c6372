"""Count every network whose parameters or GFLOPs a paper prints, and time the pairs that a paper timed.

``python -m poserep.studies.published_costs [--config-dir sweeps] [--config-name cost] [key=value ...]``

Leaves table.csv, speed.csv and report.html in runs/cost. ``table.speed.rounds=0`` leaves the timing out.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from rich.progress import track

from poserep.cli import ended, wide_console
from poserep.config import composing
from poserep.data.from_config import skeleton_of
from poserep.deploy.latency import cores, processor
from poserep.errors import InputError
from poserep.geometry import Size
from poserep.models import PoseNet, cost
from poserep.overrides import SWEEPS
from poserep.studies.published_costs.cells import Cell, Cost, printed_cells
from poserep.studies.published_costs.page import excuses, grouped, page, summary, terminal, write_csv, write_speeds
from poserep.studies.published_costs.speed import Speed, compared, summarised
from poserep.training.nets import parts


def network(cfg: DictConfig, device: str) -> tuple[PoseNet, Size]:
    """The network of a configuration, on a device."""
    with torch.device(device):
        net, _ = parts(cfg, skeleton_of(cfg))
    return net.eval(), Size.parse(cfg.input_size)


def counted(cfg: DictConfig, counting: str, training: bool, tables: bool) -> Cost:
    """What a network costs.

    Args:
        cfg: Its configuration.
        counting: See `poserep.models.cost`.
        training: Count what only training runs too, and put it down to the backbone.
        tables: Count fixed position tables too.
    """
    # Nothing is computed: shapes are enough.
    net, size = network(cfg, "meta")
    params = cost.parameters(net, training=training, tables=tables)
    backbone = cost.parameters(net.backbone, training=training, tables=tables)
    if training:
        backbone += params - cost.parameters(net, tables=tables)
    gflops = cost.counted(net, size.height, size.width, counting, training=training)
    return Cost(params, backbone, gflops, cost.macs(net, size.height, size.width) / 1e9)


def cells_of(node: dict[str, Any], configure: Any) -> Iterator[Cell]:
    """The cells that a network of the sweep file stands for."""
    counting = node.get("counting", "hrnet")
    found, excused = None, dict(node.get("except") or {})
    if "unbuilt" in node:
        excused["all"] = node["unbuilt"]
        size = node["size"]
    else:
        cfg = configure(node["overrides"])
        size = cfg.input_size
        found = counted(cfg, counting, node.get("training", False), node.get("tables", False))
    for table, row, numbers in printed_cells(node):
        yield Cell(table, node["name"], row, size, counting, numbers, found, excused)


def timed(pair: dict[str, Any], threads: int, rounds: int, calls: int, configure: Any) -> Speed:
    """One pair of networks, timed in turns."""
    cfgs = [configure(pair[which] + [f"size={pair['size']}"]) for which in ("first", "second")]
    nets, (size, _) = zip(*(network(cfg, "cpu") for cfg in cfgs), strict=True)
    image = torch.randint(0, 256, (1, 3, size.height, size.width), dtype=torch.uint8)
    count = threads or cores()
    seconds = compared(nets, image, rounds, calls, count)
    first, second = (cost.countings(net, size.height, size.width) for net in nets)
    found = summarised(*seconds)
    return Speed(
        size=pair["size"],
        threads=count,
        first=found["first"],
        second=found["second"],
        ratio=found["ratio"],
        low=found["low"],
        high=found["high"],
        turns=int(found["turns"]),
        machine=processor(),
        printed_fps=tuple(pair["printed"]["fps"]),
        printed_ratio=pair["printed"]["ratio"],
        saved_counted=1 - second["hrnet"] / first["hrnet"],
        saved=1 - second["true"] / first["true"],
    )


def check(table: dict[str, Any], given: list[str]) -> None:
    """See that a sweep file and the command line make sense, before anything is counted.

    Raises:
        InputError: If they do not.
    """
    for override in given:
        key = override.lstrip("+").split("=")[0]
        if key not in ("runs", "study") and not key.startswith("table.speed."):
            raise InputError(f"{override}: the networks are the papers'; only runs, study and table.speed.* can change")
    if "networks" not in table:
        raise InputError("this sweep file has no table.networks to count; --config-name cost has")
    rounds, calls = table["speed"]["rounds"], table["speed"]["calls"]
    if rounds < 0 or rounds == 1 or calls < 1:
        raise InputError(
            f"table.speed.rounds={rounds}, calls={calls}: take 2 rounds or more, or 0 for no timing, and 1 call or more"
        )


def reproduce(directory: Path, name: str, given: list[str]) -> int:
    """Count, time, print and write; returns how many printed numbers differ without a reason.

    Args:
        directory: Of the sweep's file.
        name: Of the file, without its ending.
        given: Overrides of the command line.

    Raises:
        InputError: If a network cannot be built.
    """
    with composing(directory) as compose:

        def configure(overrides: list[str]) -> DictConfig:
            # Weights lie as the layout of training would have them; what is counted does not depend on it.
            return compose(["trainer.channels_last=false", *overrides, *given], name).cfg

        cfg = configure([])
        table: Any = OmegaConf.to_container(cfg.table, resolve=True)
        check(table, given)
        cells = [c for node in track(table["networks"], "counting", transient=True) for c in cells_of(node, configure)]
        speed = table["speed"]
        turns = [(pair, threads) for pair in speed["pairs"] for threads in speed["threads"]] if speed["rounds"] else []
        speeds = [
            timed(pair, threads, speed["rounds"], speed["calls"], configure)
            for pair, threads in track(turns, "timing", transient=True)
        ]
    folder = Path(cfg.runs) / cfg.study
    folder.mkdir(parents=True, exist_ok=True)
    console = wide_console()
    for key, rows in grouped(cells).items():
        console.print(terminal(key, rows))
    for kind, counts in summary(cells).items():
        console.print(f"{kind}: {', '.join(f'{n} {verdict}' for verdict, n in counts.items())}", soft_wrap=True)
    for cell in cells:
        for key in cell.stale():
            console.print(f"  {cell.table}, {cell.network} at {cell.size}: {key} agrees and needs no excuse")
    for line in excuses(cells):
        console.print(f"  {line}", soft_wrap=True)
    for s in speeds:
        console.print(
            f"{s.size}, {s.threads} threads: heatmap {s.first:.1f}, SimCC without deconvolution {s.second:.1f} "
            f"frames/s, {100 * (s.ratio - 1):+.0f} % (middle half {100 * (s.low - 1):+.0f} to "
            f"{100 * (s.high - 1):+.0f}; printed {100 * (s.printed_ratio - 1):+.1f})",
            soft_wrap=True,
        )
    write_csv(folder / "table.csv", cells)
    if speeds:
        write_speeds(folder / "speed.csv", speeds)
    (folder / "report.html").write_text(page(table["title"], cells, speeds))
    print(f"page: {folder / 'report.html'}\ntable: {folder / 'table.csv'}")
    return sum(len(cell.unexplained()) for cell in cells)


def main() -> int:
    """``make reproduce-cost``; 1 if printed numbers differ without a reason."""
    parser = argparse.ArgumentParser(prog="python -m poserep.studies.published_costs", description=__doc__)
    parser.add_argument("--config-dir", type=Path, default=SWEEPS, help="folder of the sweep file")
    parser.add_argument("--config-name", default="cost", help="the sweep file, without .yaml")
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    given = parser.parse_intermixed_args()
    return 1 if reproduce(given.config_dir, given.config_name, given.overrides) else 0


if __name__ == "__main__":
    sys.exit(ended(main))
