"""Training and validation on a GPU: images a second, memory, what targets and losses cost, and waiting for data.

One command, one JSON, which is written after every network, and one table. Networks are trained on pictures that lie on
the device, in each of `WAYS`, the first representation of each compiled too; what targets and loss cost is measured
apart; then the first network trains on drawn people through the loaders, with decoded pictures kept and not. What
fails, and pairs that do not go together, such as SRPose on a backbone of one map, are left out and named.

    python benchmarks/gpu.py --record
    python benchmarks/gpu.py --device cpu --toy    the same at toy size: what the tests do
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from machine import processor, record
from rich.console import Console
from rich.table import Table
from steps import Steps

from poserep.config import compose
from poserep.errors import InputError, first_line
from poserep.training.trainer import quiet
from training import measure

NETWORKS = ("resnet50", "hrnet_w32", "vitpose_s")
REPRESENTATIONS = ("heatmap", "simcc", "sr", "srpose")
# Ways to train, by what is switched on: TF32, bfloat16, compilation, CUDA graphs, a fused optimiser.
WAYS: dict[str, frozenset[str]] = {
    "float32": frozenset(),
    "TF32": frozenset({"tf32"}),
    "bfloat16": frozenset({"tf32", "bf16"}),
    "bfloat16, fused Adam": frozenset({"tf32", "bf16", "fused"}),
    "bfloat16, compiled": frozenset({"tf32", "bf16", "fused", "compiled"}),
    "bfloat16, CUDA graphs": frozenset({"tf32", "bf16", "fused", "compiled", "graphs"}),
}
# Compilation takes long, so that only the first representation of a network is compiled, last.
EAGER = tuple(name for name, on in WAYS.items() if "compiled" not in on)
TOY = {"networks": ["resnet18"], "representations": ["heatmap", "srpose"], "size": "64x64", "batch": 2, "calls": 2}


def milliseconds(run: Callable[[], Any], calls: int, device: torch.device) -> float:
    """Return the median of some calls, each waited for, after three that are not counted."""
    found = []
    for number in range(calls + 3):
        start = time.perf_counter()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize()
        if number > 2:
            found.append(1000 * (time.perf_counter() - start))
    return statistics.median(found)


def row_of(
    steps: Steps, on: frozenset[str], validated: bool, calls: int, device: torch.device, share_ms: float
) -> dict[str, Any]:
    """Measure one way of training, and validation where it is asked for."""
    torch.set_float32_matmul_precision("high" if "tf32" in on else "highest")
    torch.backends.cudnn.allow_tf32 = "tf32" in on
    run, batch, memory = steps.training(on), len(steps.image), None
    # Compilation, and the choice of kernels, which takes memory of its own.
    for _ in range(3):
        run()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    ms = milliseconds(run, calls, device)
    if device.type == "cuda":
        memory = torch.cuda.max_memory_allocated() / 2**30
    row = {"network": steps.names[0], "representation": steps.names[1], "step_ms": ms}
    row |= {"train_img_s": 1000 * batch / ms, "peak_gib": memory, "share": share_ms / ms}
    if validated:
        row["val_img_s"] = 1000 * batch / milliseconds(steps.validation(on), calls, device)
    return row


def rows_of(
    networks: Sequence[str], representations: Sequence[str], size: str, batch: int, calls: int, device: torch.device
) -> list[dict[str, Any]]:
    """Measure each network with each representation, in each way."""
    rows = []
    for backbone in networks:
        for representation in representations:
            try:
                steps = Steps(backbone, representation, size, batch, device)
            except InputError as error:
                print(f"left out: {backbone} with {representation}: {error}")
                continue
            share = milliseconds(steps.targets_and_loss(), calls, device)
            for way, on in WAYS.items():
                if "compiled" in on and (representation != representations[0] or device.type == "cpu"):
                    continue
                try:
                    rows.append({**row_of(steps, on, way in EAGER[:3], calls, device, share), "way": way})
                # Memory, or a compiler that is not there, must not cost what has been measured.
                except Exception as error:
                    print(f"left out: {backbone} with {representation}, {way}: {first_line(error)}")
                torch.compiler.reset()
    return rows


def waiting(backbone: str, size: str, batch: int, workers: int, persons: int, steps: int, device: str) -> list[Any]:
    """Measure training on drawn people through the loaders, with a cache of decoded pictures and without."""
    with tempfile.TemporaryDirectory() as folder:
        words = [f"backbone={backbone}", f"size={size}", f"trainer.batch={batch}", f"trainer.workers={workers}"]
        words += ["trainer=gpu", f"trainer.accelerator={device}", "trainer.epochs=1000", "augment=hrnet", "boxes=[gt]"]
        words += [f"data.prepare.train={persons}", "data.prepare.val=4", f"data.root={folder}/data"]
        found = []
        for cache in (None, f"{folder}/cache"):
            cfg = compose([*words, *([f"trainer.cache={cache}"] if cache else [])]).cfg
            # Uncounted: what workers have made ready, and an epoch, which fills the cache.
            found.append({"cached": bool(cache), **measure(cfg, persons // batch + 2 * workers + 2, steps)})
        return found


def show(found: dict[str, Any]) -> None:
    """Print the tables."""
    table = Table(title="images a second, GiB, and the share of targets and loss in a step")
    for heading in ("network", "representation", "way", "training", "validation", "peak GiB", "share"):
        table.add_column(heading, justify="left" if heading in ("network", "representation", "way") else "right")
    for row in found["rows"]:
        numbers = [f"{row['train_img_s']:.0f}", f"{row['val_img_s']:.0f}" if "val_img_s" in row else "-"]
        memory = "-" if row["peak_gib"] is None else f"{row['peak_gib']:.1f}"
        names = row["network"], row["representation"], row["way"]
        table.add_row(*names, *numbers, memory, f"{row['share']:.1%}")
    Console(width=140).print(table)
    for row in found["loaded"]:
        kind = "cached" if row["cached"] else "not cached"
        print(f"through the loaders, {kind}: {row['img_s']:.0f} img/s, {row['data_wait']:.1%} waiting for data")


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument("--representations", nargs="+", default=REPRESENTATIONS)
    parser.add_argument("--size", default="256x192")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--calls", type=int, default=15)
    parser.add_argument("--workers", type=int, default=16)
    parser.add_argument("--persons", type=int, default=4000)
    parser.add_argument("--toy", action="store_true", help="a small network, small pictures, few of them")
    parser.add_argument("--record", action="store_true", help="write benchmarks/results/gpu-<device>.json")
    options = parser.parse_args(arguments)
    if options.toy:
        parser.set_defaults(**TOY, workers=0, persons=8)
        options = parser.parse_args(arguments)
    quiet()
    device = torch.device(options.device)
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True
    found: dict[str, Any] = {"rows": [], "loaded": []}
    name = torch.cuda.get_device_name() if device.type == "cuda" else processor()
    settings = {key: value for key, value in vars(options).items() if key not in ("record", "toy")}

    def keep() -> None:
        if options.record:
            print(f"written: {record('gpu', name, settings, found)}", flush=True)

    size, batch, calls = options.size, options.batch, options.calls
    for network in options.networks:
        found["rows"] += rows_of([network], options.representations, size, batch, calls, device)
        keep()
    kind = "gpu" if device.type == "cuda" else "cpu"
    found["loaded"] = waiting(options.networks[0], size, batch, options.workers, options.persons, 7 * calls, kind)
    keep()
    show(found)
    return found


if __name__ == "__main__":
    main()
