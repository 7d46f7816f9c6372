"""Count every network whose parameters or GFLOPs a paper prints.

``python -m poserep.studies.published_costs [--config-dir sweeps] [--config-name cost] [key=value ...]``

Leaves table.csv and report.html in runs/cost.
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
from poserep.files import write_text
from poserep.geometry import Size
from poserep.models import PoseNet
from poserep.models.cost import macs, parameters
from poserep.overrides import key_of
from poserep.studies import study_parser
from poserep.studies.published_costs.cells import PrintedCell, printed_cells
from poserep.studies.published_costs.countings import gflops
from poserep.studies.published_costs.page import agreement_sheet, cells_sheet, page, table_sheets
from poserep.training.network import assemble


def network(cfg: DictConfig, device: str) -> tuple[PoseNet, Size]:
    """Build the network of a configuration, on a device, and return the size of its input as well."""
    with torch.device(device):
        net, _ = assemble(cfg, skeleton_of(cfg))
    return net.eval(), Size.parse(cfg.input_size)


def cost_of(cfg: DictConfig, counting: str, training: bool, tables: bool) -> dict[str, float]:
    """Count a configured network by one of `poserep.studies.published_costs.countings.COUNTINGS`, see `PrintedCell`.

    What only ``training`` runs is counted if asked, and attributed to the backbone; so are fixed position ``tables``.
    """
    # Nothing is computed: shapes are enough.
    net, size = network(cfg, "meta")
    params, other = parameters(net, training=training, tables=tables), parameters(net.head, tables=tables)
    millions = {"params": params / 1e6, "backbone": (params - other) / 1e6, "other": other / 1e6}
    return {**millions, "gflops": gflops(net, *size, counting, training), "gmacs": macs(net, *size) / 1e9}


def cells_of_network(node: dict[str, Any], configure: Callable[[list[str]], DictConfig]) -> Iterator[PrintedCell]:
    """Yield the cells that a network of the sweep file stands for."""
    counting = node.get("counting", "hrnet")
    if "unbuilt" in node:
        size, ours, excused = node["size"], {}, {"all": node["unbuilt"]}
    else:
        cfg = configure(node["overrides"])
        size, excused = cfg.input_size, node.get("except") or {}
        ours = cost_of(cfg, counting, node.get("training", False), node.get("tables", False))
    for table, row, numbers in printed_cells(node):
        yield PrintedCell(table, node["name"], row, size, counting, numbers, ours, excused)


def check_sweep(table: dict[str, Any], given: list[str]) -> None:
    """Raise an `InputError`, before anything is counted, if a sweep file and its overrides make no sense."""
    for override in given:
        if key_of(override) not in ("runs", "study"):
            raise InputError(f"{override}: the networks are the papers'; only runs and study can change")
    if "networks" not in table:
        raise InputError("this sweep file has no table.networks to count; --config-name cost has")


def reproduce(directory: Path, name: str, given: list[str]) -> int:
    """Count, print and write; return how many printed numbers differ without a reason.

    The sweep file is ``name``.yaml in a directory, ``given`` are the overrides of the command line. A network that
    cannot be built is an `InputError`.
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
    for sheet in (*table_sheets(cells), agreement_sheet(cells)):
        sheet.show()
    folder = Path(cfg.runs) / cfg.study
    write_text(folder / "table.csv", cells_sheet(cells).csv())
    write_text(folder / "report.html", page(table["title"], cells))
    print(f"page: {folder / 'report.html'}\ntable: {folder / 'table.csv'}")
    return sum(len(cell.unexplained()) for cell in cells)


def main() -> int:
    """Run ``make reproduce-cost``; 1 if printed numbers differ without a reason."""
    given = study_parser("-m poserep.studies.published_costs", __doc__, "cost").parse_intermixed_args()
    return 1 if reproduce(given.config_dir, given.config_name, given.overrides) else 0


if __name__ == "__main__":
    sys.exit(ended(main))
