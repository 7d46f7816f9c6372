"""Estimate what the tables of sweeps/ cost to run: runs, persons, training work, and time on one device.

Work is true multiply-accumulates x 2 operations x 3 (forward, and backward twice as much) x persons x epochs;
evaluation and waiting for data are left out. Time on a device follows from the training steps that were measured on it
(benchmarks/results/training-steps-*.json), scaled by multiply-accumulates for networks that were not. Without such a
record of a GPU, GPU-hours rest on an assumed rate.

example: poserep sweep budget simcc-table1 --mode controlled
"""

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from poserep.cli import parser_of
from poserep.config import DictConfig
from poserep.errors import InputError, nearest
from poserep.overrides import CONF
from poserep.sweeps.sweep_file import cells_of, complete_table, compositions, table_names
from poserep.sweeps.table import MODES

RECORD = CONF.parent / "results" / "budget.csv"
# Annotated persons with joints in the training sets; for CrowdPose its 80,000 by the share of images that train.
PERSONS = {"coco": 149_813, "mpii": 22_246, "crowdpose": 48_000, "human4d": 73_248}
# TFLOP/s that current GPUs reach when they train convolutional networks, of the hundreds on their data sheets.
TFLOPS = 40.0
COLUMNS = ("table", "mode", "runs", "person_epochs", "exaflops", "gpu", "gpu_hours", "cpu", "cpu_days")


@dataclass(frozen=True)
class Budget:
    """The cost of a table.

    Attributes:
        images: Persons x epochs of all runs; None if the data are the user's, whose number is not known.
        flops: Floating point operations of training.
        hours: Hours on one device, by device.
        scaled: The number of runs whose network was not measured, by device.
        measured: The names of the measured networks on which the hours rest, by device.
    """

    name: str
    mode: str
    runs: int
    images: int | None
    flops: float
    hours: dict[str, float]
    scaled: dict[str, int]
    measured: dict[str, tuple[str, ...]]


def training_persons(cfg: DictConfig, own_study: bool) -> int | None:
    """Return the number of persons in an epoch; None for our own studies of photographs, which take what is there."""
    if cfg.data.prepare:
        persons: int | None = cfg.data.prepare.train
    else:
        persons = None if own_study else PERSONS.get(cfg.data.name)
    return persons if persons is None or cfg.trainer.limit is None else min(persons, cfg.trainer.limit)


def estimate(name: str, mode: str | None, records: Sequence) -> Budget:
    """Estimate the cost of a table in its own mode or another, by the records of measured devices.

    Raises:
        InputError: If there is no such table, or a row cannot be built.
    """
    # Building networks takes torch, which the tables themselves do not need.
    from poserep.sweeps.step_times import macs_of, seconds_per_image

    if name not in table_names():
        raise InputError(f"no table {name!r} with rows to train{nearest(name, table_names())}")
    table = complete_table(name, mode)
    cells = cells_of(table)
    images: int | None = 0
    flops = 0.0
    hours: Counter[str] = Counter()
    scaled: Counter[str] = Counter()
    measured: dict[str, dict[str, None]] = {record.device: {} for record in records}
    for cfg in compositions(name, [[*cell.overrides, "data.root=nowhere"] for cell in cells]):
        persons = training_persons(cfg, not table.paper)
        if persons is None or images is None:
            images = None
            continue
        macs, seen = macs_of(cfg), persons * cfg.trainer.epochs
        images += seen
        flops += 6.0 * macs * seen
        for record in records:
            seconds, network, is_scaled = seconds_per_image(record.networks, cfg, macs)
            hours[record.device] += seen * seconds / 3600
            scaled[record.device] += is_scaled
            measured[record.device][network.name] = None
    names = {device: tuple(networks) for device, networks in measured.items()}
    return Budget(name, table.mode, len(cells), images, flops, dict(hours), dict(scaled), names)


def describe(budget: Budget, records: Sequence, tflops: float) -> list[str]:
    """Describe a table's cost in lines of text."""
    head = f"{budget.name} ({budget.mode}): {budget.runs} runs"
    if budget.images is None:
        return [f"{head}; the number of persons depends on data.root"]
    if not budget.runs:
        return [f"{head}: all of its rows are quoted"]
    lines = [
        f"{head}, {three_digits(budget.images / 1e6)} million persons x epochs",
        f"  training work: {three_digits(budget.flops / 1e18)} exaFLOPs; evaluation and data are not counted",
    ]
    for record in records:
        networks = " and ".join(budget.measured[record.device])
        hours = budget.hours[record.device]
        in_hours = record.gpu or hours < 48
        time = f"{three_digits(hours)} hours" if in_hours else f"{three_digits(hours / 24)} days"
        scaled = f"{budget.scaled[record.device]} of {budget.runs} runs scaled by multiply-accumulates"
        lines.append(f"  on one {record.device}: {time}, by the measured steps of {networks}, {scaled}")
    if not any(record.gpu for record in records):
        rate = f"{tflops:g} TFLOP/s, which is assumed: no GPU was measured (--tflops)"
        lines.append(f"  on one GPU: {three_digits(budget.flops / (tflops * 1e12) / 3600)} hours at {rate}")
    return lines


def three_digits(value: float) -> str:
    """Format a number with three significant digits and without an exponent."""
    return format(Decimal(f"{value:.3g}"), "f")


def write_csv(path: Path, budgets: Sequence[Budget], records: Sequence, tflops: float) -> None:
    """Write budgets as CSV, sorted by name, for readers and ``make help``; cells without a number are empty."""
    gpu = next((record.device for record in records if record.gpu), None)
    cpu = next((record.device for record in records if not record.gpu), "")
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for budget in sorted(budgets, key=lambda budget: budget.name):
            hours = budget.hours.get(gpu, 0) if gpu else budget.flops / (tflops * 1e12) / 3600
            values = [budget.images, three_digits(budget.flops / 1e18), gpu or f"assumed {tflops:g} TFLOP/s"]
            values += [three_digits(hours), cpu, three_digits(budget.hours.get(cpu, 0) / 24)]
            known = budget.images is not None
            writer.writerow([budget.name, budget.mode, budget.runs, *(values if known else [""] * len(values))])


def main(arguments: Sequence[str]) -> None:
    """Print, and with ``--record`` write, the budgets of tables."""
    parser = parser_of("sweep budget", __doc__)
    parser.add_argument("tables", nargs="*", metavar="TABLE", help="files of sweeps/ (all)")
    parser.add_argument("--mode", choices=MODES, help="the mode of the rows (that of each file)")
    parser.add_argument("--tflops", type=float, default=TFLOPS, help=f"assumed if no GPU was measured ({TFLOPS:g})")
    parser.add_argument("--record", action="store_true", help=f"write {RECORD.relative_to(CONF.parent)}")
    options = parser.parse_args(arguments)
    if not options.tflops > 0:
        raise InputError(f"--tflops {options.tflops:g}: give a number above 0")
    if options.record and (options.tables or options.mode):
        raise InputError("--record is for all tables as they are; leave out TABLE and --mode")
    from poserep.sweeps.step_times import read_records

    records, budgets = read_records(), []
    for name in options.tables or table_names():
        budgets.append(estimate(name, options.mode, records))
        print("\n".join(describe(budgets[-1], records, options.tflops)), flush=True)
    if options.record:
        write_csv(RECORD, budgets, records, options.tflops)
        print(f"written: {RECORD.relative_to(CONF.parent)}")
