"""Count every network whose parameters or GFLOPs a paper prints, and time the pairs that a paper timed.

``python -m poserep.studies.published_costs [--config-dir sweeps] [--config-name cost] [key=value ...]``

Leaves table.csv, speed.csv and report.html in runs/cost. ``table.speed.rounds=0`` leaves the timing out.
"""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from rich.progress import track

from poserep.cli import ended
from poserep.config import DictConfig, OmegaConf, composing
from poserep.data.from_config import skeleton_of
from poserep.errors import InputError
from poserep.geometry import Size
from poserep.models import PoseNet
from poserep.models.cost import macs, parameters
from poserep.studies.arguments import study_parser
from poserep.studies.published_costs.cells import Cost, PrintedCell, printed_cells
from poserep.studies.published_costs.countings import countings, gflops
from poserep.studies.published_costs.page import (
    agreement_sheet,
    cells_sheet,
    page,
    speeds_sheet,
    table_sheets,
    timings_sheet,
)
from poserep.studies.published_costs.speed import Speed, speed_of
from poserep.training.network import assemble

Configure = Callable[[list[str]], DictConfig]


def network(cfg: DictConfig, device: str) -> tuple[PoseNet, Size]:
    """Build the network of a configuration, on a device, and return the size of its input as well."""
    with torch.device(device):
        net, _ = assemble(cfg, skeleton_of(cfg))
    return net.eval(), Size.parse(cfg.input_size)


def cost_of(cfg: DictConfig, counting: str, training: bool, tables: bool) -> Cost:
    """Count a network by one of `poserep.studies.published_costs.countings.COUNTINGS`.

    Args:
        cfg: Its configuration.
        counting: Name of the counting.
        training: Count what only training runs too, and attribute it to the backbone.
        tables: Count fixed position tables too.
    """
    # Nothing is computed: shapes are enough.
    net, size = network(cfg, "meta")
    params = parameters(net, training=training, tables=tables)
    backbone = parameters(net.backbone, training=training, tables=tables)
    if training:
        backbone += params - parameters(net, tables=tables)
    return Cost(params, backbone, gflops(net, *size, counting, training), macs(net, *size) / 1e9)


def cells_of_network(node: dict[str, Any], configure: Configure) -> Iterator[PrintedCell]:
    """Yield the cells that a network of the sweep file stands for."""
    counting = node.get("counting", "hrnet")
    if "unbuilt" in node:
        size, cost, excused = node["size"], None, {"all": node["unbuilt"]}
    else:
        cfg = configure(node["overrides"])
        size, excused = cfg.input_size, node.get("except") or {}
        cost = cost_of(cfg, counting, node.get("training", False), node.get("tables", False))
    for table, row, numbers in printed_cells(node):
        yield PrintedCell(table, node["name"], row, size, counting, numbers, cost, excused)


def time_pair(pair: dict[str, Any], turns: tuple[int, int, int], configure: Configure) -> Speed:
    """Time one pair of networks in turns: rounds, calls, threads."""
    cfgs = [configure([*pair[which], f"size={pair['size']}"]) for which in ("first", "second")]
    nets, sizes = zip(*(network(cfg, "cpu") for cfg in cfgs), strict=True)
    counts = [countings(net, *size) for net, size in zip(nets, sizes, strict=True)]
    return speed_of(pair, nets, counts, turns)


def check_sweep(table: dict[str, Any], given: list[str]) -> None:
    """Check a sweep file and the overrides of the command line, before anything is counted.

    Raises:
        InputError: If they make no sense.
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
    """Count, time, print and write; return how many printed numbers differ without a reason.

    The sweep file is ``name``.yaml in a directory, ``given`` are the overrides of the command line.

    Raises:
        InputError: If a network cannot be built.
    """
    with composing(directory) as compose:

        def configure(overrides: list[str]) -> DictConfig:
            # Weights lie as the layout of training would have them; what is counted does not depend on it.
            return compose(["trainer.channels_last=false", *overrides, *given], name).cfg

        cfg = configure([])
        table: Any = OmegaConf.to_container(cfg.table, resolve=True)
        check_sweep(table, given)
        networks = track(table["networks"], "counting", transient=True)
        cells = [cell for node in networks for cell in cells_of_network(node, configure)]
        speed = table["speed"]
        pairs = [(pair, threads) for pair in speed["pairs"] for threads in speed["threads"]] if speed["rounds"] else []
        speeds = [
            time_pair(pair, (speed["rounds"], speed["calls"], threads), configure)
            for pair, threads in track(pairs, "timing", transient=True)
        ]
    sheets = [*table_sheets(cells), agreement_sheet(cells), *([timings_sheet(speeds)] if speeds else [])]
    for sheet in sheets:
        sheet.show()
    folder = Path(cfg.runs) / cfg.study
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "table.csv").write_text(cells_sheet(cells).csv())
    if speeds:
        (folder / "speed.csv").write_text(speeds_sheet(speeds).csv())
    (folder / "report.html").write_text(page(table["title"], cells, speeds))
    print(f"page: {folder / 'report.html'}\ntable: {folder / 'table.csv'}")
    return sum(len(cell.unexplained()) for cell in cells)


def main() -> int:
    """Run ``make reproduce-cost``; 1 if printed numbers differ without a reason."""
    given = study_parser("published_costs", __doc__, "cost").parse_intermixed_args()
    return 1 if reproduce(given.config_dir, given.config_name, given.overrides) else 0


if __name__ == "__main__":
    sys.exit(ended(main))
