"""Estimate what the tables of sweeps/ cost to run: runs, persons, training work, and time on one device.

Work is true multiply-accumulates x 2 operations x 3 (forward, and backward twice as much) x persons x epochs;
evaluation and waiting for data are left out. Time on a device follows from the training steps that were measured on it
(benchmarks/results/training-steps-*.json), scaled by multiply-accumulates for networks that were not. Without such a
record of a GPU, GPU-hours rest on an assumed rate.

example: poserep sweep budget simcc-table1 --mode controlled
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from poserep.cli import parser_of, tracked
from poserep.config import DictConfig
from poserep.data.from_config import takes_scenes
from poserep.errors import InputError, nearest
from poserep.files import write_text
from poserep.overrides import CONF
from poserep.sheet import Sheet, texts
from poserep.sweeps.sweep_file import complete_table, compositions, table_names
from poserep.sweeps.table import MODES, cells_of

RECORD = CONF.parent / "results" / "budget.csv"
# Annotated persons with joints in the training sets; for CrowdPose its 80,000 by the share of images that train.
PERSONS = {"coco": 149_813, "mpii": 22_246, "crowdpose": 48_000, "human4d": 73_248}
# Images with annotated persons, which bottom-up representations train on, and the persons that a drawn one shows.
IMAGES, DRAWN_TOGETHER = {"coco": 64_115, "crowdpose": 12_000}, 4
# TFLOP/s that current GPUs reach when they train convolutional networks, of the hundreds on their data sheets.
TFLOPS = 40.0
COLUMNS = ("table", "mode", "runs", "person_epochs", "exaflops", "gpu", "gpu_hours", "cpu", "cpu_days")


class DeviceTime(NamedTuple):
    """Time of a table on one device: hours, the measured networks that they rest on, and how many runs are scaled."""

    device: str
    gpu: bool
    hours: float
    networks: tuple[str, ...]
    scaled: int


@dataclass(frozen=True)
class Budget:
    """The cost of a table.

    ``images`` is persons, or whole images, x epochs of all runs, None if the data are the user's, whose number is not
    known; ``flops`` are floating point operations of training, and ``times`` has one for each measured device, none
    without ``images``.
    """

    name: str
    mode: str
    runs: int
    images: int | None
    flops: float = 0.0
    times: tuple[DeviceTime, ...] = ()


def training_persons(cfg: DictConfig, own_data: bool) -> int | None:
    """Return the number of persons in an epoch, or of whole images where the representation takes these.

    With ``own_data``, for tables that name no data set, photographs are whatever is there, and the number is None.
    """
    scenes = takes_scenes(cfg)
    known = None if own_data else (IMAGES if scenes else PERSONS).get(cfg.data.name)
    persons = cfg.data.prepare.train // (DRAWN_TOGETHER if scenes else 1) if cfg.data.prepare else known
    return persons if persons is None or cfg.trainer.limit is None else min(persons, cfg.trainer.limit)


def estimate(name: str, mode: str | None, records: Sequence) -> Budget:
    """Estimate the cost of a table in its own mode or another, by the records of measured devices.

    It is an `InputError` if there is no such table, or a row cannot be built.
    """
    # Building networks takes torch, which the tables themselves do not need.
    from poserep.sweeps.step_times import macs_of, seconds_per_image

    if name not in table_names():
        raise InputError(f"no table {name!r} with rows to train{nearest(name, table_names())}")
    table = complete_table(name, mode)
    cells = cells_of(table)
    cfgs, seen, macs, times = [], [], [], []
    composed = compositions(name, [[*cell.overrides, "data.root=nowhere"] for cell in cells])
    for cfg in tracked(composed, name, len(cells)):
        if (persons := training_persons(cfg, not table.data)) is None:
            return Budget(name, table.mode, len(cells), None)
        cfgs.append(cfg)
        seen.append(persons * cfg.trainer.epochs)
        macs.append(macs_of(cfg))
    for record in records:
        each = [seconds_per_image(record.networks, cfg, m) for cfg, m in zip(cfgs, macs, strict=True)]
        hours = sum(images * seconds for images, (seconds, *_) in zip(seen, each, strict=True)) / 3600
        networks = tuple(dict.fromkeys(network.name for _, network, _ in each))
        times.append(DeviceTime(record.device, record.gpu, hours, networks, sum(scaled for *_, scaled in each)))
    flops = sum(6.0 * m * images for m, images in zip(macs, seen, strict=True))
    return Budget(name, table.mode, len(cells), sum(seen), flops, tuple(times))


def describe(budget: Budget, tflops: float) -> list[str]:
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
    for device, gpu, hours, networks, scaled in budget.times:
        time = f"{three_digits(hours)} hours" if gpu or hours < 48 else f"{three_digits(hours / 24)} days"
        share = f"{scaled} of {budget.runs} runs scaled by multiply-accumulates"
        lines.append(f"  on one {device}: {time}, by the measured steps of {' and '.join(networks)}, {share}")
    if not any(time.gpu for time in budget.times):
        rate = f"{tflops:g} TFLOP/s, which is assumed: no GPU was measured (--tflops)"
        lines.append(f"  on one GPU: {three_digits(budget.flops / (tflops * 1e12) / 3600)} hours at {rate}")
    return lines


def three_digits(value: float) -> str:
    """Format a number with three significant digits and without an exponent."""
    return format(Decimal(f"{value:.3g}"), "f")


def file_sheet(budgets: Sequence[Budget], tflops: float) -> Sheet:
    """Return budgets as one table, sorted by name, for readers and ``make help``; cells without a number are empty."""
    rows = []
    for budget in sorted(budgets, key=lambda budget: budget.name):
        assumed = DeviceTime(f"assumed {tflops:g} TFLOP/s", True, budget.flops / (tflops * 1e12) / 3600, (), 0)
        gpu = next((time for time in budget.times if time.gpu), assumed)
        cpu = next((time for time in budget.times if not time.gpu), DeviceTime("", False, 0, (), 0))
        values = [str(budget.images), *map(three_digits, (budget.flops / 1e18, gpu.hours, cpu.hours / 24))]
        values = [*values[:2], gpu.device, values[2], cpu.device, values[3]] if budget.images is not None else [""] * 6
        rows.append([budget.name, budget.mode, str(budget.runs), *values])
    return Sheet("", texts(*COLUMNS), rows)


def recorded(text: str, kept: str) -> str:
    """Return budgets of tables, as CSV, with those of other tables that were kept; sweeps that are gone are dropped."""
    head, *lines = text.splitlines()
    by_name = {line.partition(",")[0]: line for line in [*kept.splitlines()[1:], *lines]}
    return "\n".join([head, *(by_name[name] for name in sorted(table_names()) if name in by_name)]) + "\n"


def main(arguments: Sequence[str]) -> None:
    """Print, and with ``--record`` write, the budgets of tables."""
    parser = parser_of("sweep budget", __doc__)
    parser.add_argument("tables", nargs="*", metavar="TABLE", help="names of files of sweeps/ (all)")
    parser.add_argument("--mode", choices=MODES, help="mode of the rows (that of each file)")
    parser.add_argument("--tflops", type=float, default=TFLOPS, help=f"rate if no GPU was measured ({TFLOPS:g})")
    parser.add_argument("--record", action="store_true", help=f"write {RECORD.relative_to(CONF.parent)}")
    options = parser.parse_args(arguments)
    if not options.tflops > 0:
        raise InputError(f"--tflops {options.tflops:g}: give a number above 0")
    if options.record and options.mode:
        raise InputError("--record is for tables as they are; leave out --mode")
    from poserep.sweeps.step_times import read_records

    records, budgets = read_records(), []
    for name in options.tables or table_names():
        budgets.append(estimate(name, options.mode, records))
        print("\n".join(describe(budgets[-1], options.tflops)), flush=True)
    if options.record:
        write_text(RECORD, recorded(file_sheet(budgets, options.tflops).csv(), RECORD.read_text()))
        print(f"written: {RECORD.relative_to(CONF.parent)}")
