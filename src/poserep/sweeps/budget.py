"""What the tables of sweeps/ cost to run: runs, persons, training work, and time on one device.

Work is true multiply-accumulates x 2 operations x 3 (forward, and backward twice as much) x persons x epochs;
evaluation and waiting for data are not in it. Time on a device is by the training steps that were measured on it
(benchmarks/results/training-steps-*.json), scaled by multiply-accumulates for networks that were not. Without such a
record of a GPU, GPU-hours are by a rate that is assumed.

example: poserep sweep budget simcc-table1 --mode controlled
"""

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from poserep.cli import parser_of
from poserep.errors import InputError, nearest
from poserep.overrides import CONF
from poserep.sweeps.compositions import cells_of, compositions, names, table
from poserep.sweeps.speeds import Record, macs_of, read_records, seconds
from poserep.sweeps.table import MODES

RECORD = CONF.parent / "results" / "budget.csv"
# Persons to train on: annotated ones with joints; for CrowdPose its 80,000 by the share of images that train.
PERSONS = {"coco": 149_813, "mpii": 22_246, "crowdpose": 48_000, "human4d": 73_248}
# What current GPUs come to when they train convolutional networks, of the hundreds that they could do.
TFLOPS = 40.0
COLUMNS = ("table", "mode", "runs", "person_epochs", "exaflops", "gpu", "gpu_hours", "cpu", "cpu_days")


@dataclass(frozen=True)
class Budget:
    """What a table costs.

    Attributes:
        name: Of the sweep file.
        mode: Of its rows.
        runs: How many.
        images: Persons x epochs of all runs; None if the data are the user's, whose number is not known.
        flops: Of training.
        hours: By device, of one such.
        scaled: By device, how many runs were not measured as they are.
        by: By device, on which measurements the hours rest.
    """

    name: str
    mode: str
    runs: int
    images: int | None
    flops: float
    hours: dict[str, float]
    scaled: dict[str, int]
    by: dict[str, tuple[str, ...]]


class Counts:
    """Multiply-accumulates of networks, each counted once."""

    def __init__(self) -> None:
        self.known: dict[str, int] = {}

    def of(self, cfg: DictConfig) -> int:
        """For one image."""
        about = [
            cfg.backbone,
            cfg.representation.head,
            cfg.representation.codec,
            cfg.data.skeleton,
            cfg.data.get("pixels"),
        ]
        key = OmegaConf.to_yaml(OmegaConf.create([cfg.input_size, cfg.align, *map(_plain, about)]))
        if key not in self.known:
            self.known[key] = macs_of(cfg)
        return self.known[key]


def _plain(node: object) -> object:
    return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node


def persons_of(cfg: DictConfig, ours: bool) -> int | None:
    """To train on in an epoch; None for our own studies of photographs, which take what they are given."""
    if cfg.data.prepare:
        found: int | None = cfg.data.prepare.train
    else:
        found = None if ours else PERSONS.get(cfg.data.name)
    return found if found is None or cfg.trainer.limit is None else min(found, cfg.trainer.limit)


def budget(name: str, mode: str | None, records: Sequence[Record], counts: Counts) -> Budget:
    """The costs of a table.

    Raises:
        InputError: If there is no such table, or a row cannot be built.
    """
    if name not in names():
        raise InputError(f"no table {name!r} with rows to train{nearest(name, names())}")
    about = table(name, mode)
    cells = cells_of(about)
    images, flops = 0, 0.0
    hours: Counter[str] = Counter()
    scaled: Counter[str] = Counter()
    by: dict[str, dict[str, None]] = {record.device: {} for record in records}
    known = True
    for cfg in compositions(name, [[*cell.overrides, "data.root=nowhere"] for cell in cells]):
        persons = persons_of(cfg, not about.paper)
        if persons is None:
            known = False
            continue
        count, seen = counts.of(cfg), persons * cfg.trainer.epochs
        images += seen
        flops += 6.0 * count * seen
        for record in records:
            spent, measured, guessed = seconds(record.networks, cfg, count)
            hours[record.device] += seen * spent / 3600
            scaled[record.device] += guessed
            by[record.device][measured.name] = None
    return Budget(
        name, about.mode, len(cells), images if known else None, flops, dict(hours), dict(scaled),
        {device: tuple(found) for device, found in by.items()},
    )  # fmt: skip


def lines(cost: Budget, records: Sequence[Record], tflops: float) -> list[str]:
    """A table's costs as text."""
    head = f"{cost.name} ({cost.mode}): {cost.runs} runs"
    if cost.images is None:
        return [f"{head}; how many persons, data.root says"]
    if not cost.runs:
        return [f"{head}: all of its rows are quoted"]
    found = [
        f"{head}, {short(cost.images / 1e6)} million persons x epochs",
        f"  training work: {short(cost.flops / 1e18)} exaFLOPs; evaluation and data are not counted",
    ]
    for record in records:
        by = " and ".join(cost.by[record.device])
        hours = cost.hours[record.device]
        time = f"{short(hours)} hours" if record.gpu or hours < 48 else f"{short(hours / 24)} days"
        of = f"{cost.scaled[record.device]} of {cost.runs} runs scaled by multiply-accumulates"
        found.append(f"  on one {record.device}: {time}, by the measured steps of {by}, {of}")
    if not any(record.gpu for record in records):
        rate = f"{tflops:g} TFLOP/s, which is assumed: no GPU was measured (--tflops)"
        found.append(f"  on one GPU: {short(_hours(cost.flops, tflops))} hours at {rate}")
    return found


def short(value: float) -> str:
    """Three digits that count, never with an exponent."""
    return format(Decimal(f"{value:.3g}"), "f")


def _hours(flops: float, tflops: float) -> float:
    return flops / (tflops * 1e12) / 3600


def write(path: Path, found: Sequence[Budget], records: Sequence[Record], tflops: float) -> None:
    """As CSV, sorted, for `make help` and readers; empty where the number of persons is not known."""
    gpu = next((record.device for record in records if record.gpu), None)
    cpu = next((record.device for record in records if not record.gpu), "")
    with path.open("w", newline="") as file:
        sheet = csv.writer(file, lineterminator="\n")
        sheet.writerow(COLUMNS)
        for cost in sorted(found, key=lambda cost: cost.name):
            hours = cost.hours.get(gpu, 0) if gpu else _hours(cost.flops, tflops)
            about = [cost.images, short(cost.flops / 1e18), gpu or f"assumed {tflops:g} TFLOP/s", short(hours)]
            about += [cpu, short(cost.hours.get(cpu, 0) / 24)]
            sheet.writerow([cost.name, cost.mode, cost.runs, *(about if cost.images is not None else [""] * 6)])


def main(arguments: Sequence[str]) -> None:
    """The command ``poserep sweep budget``."""
    parser = parser_of("sweep budget", __doc__)
    parser.add_argument("tables", nargs="*", metavar="TABLE", help="of sweeps/ (all)")
    parser.add_argument("--mode", choices=MODES, help="of the rows (as the file says)")
    parser.add_argument(
        "--tflops", type=float, default=TFLOPS, help=f"assumed of a GPU if none was measured ({TFLOPS:g})"
    )
    parser.add_argument("--record", action="store_true", help=f"write {RECORD.relative_to(CONF.parent)}")
    options = parser.parse_args(arguments)
    if not options.tflops > 0:
        raise InputError(f"--tflops {options.tflops:g}: give a number above 0")
    if options.record and (options.tables or options.mode):
        raise InputError("--record is of all tables as they are; leave out TABLE and --mode")
    records, counts, found = read_records(), Counts(), []
    for name in options.tables or names():
        found.append(budget(name, options.mode, records, counts))
        print("\n".join(lines(found[-1], records, options.tflops)), flush=True)
    if options.record:
        write(RECORD, found, records, options.tflops)
        print(f"written: {RECORD.relative_to(CONF.parent)}")
