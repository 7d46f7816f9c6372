"""Training and validation on a GPU: images a second, memory, what targets and losses cost, and waiting for data.

One command, one JSON, which is written after every network, and one table. Networks are trained on pictures that lie on
the device, in each of `WAYS`, the first representation of each compiled too; what targets and loss cost is measured
apart; then the first network trains on drawn people through the loaders, with decoded pictures kept and not. What
fails, and pairs that do not go together, such as SRPose on a backbone of one map, are left out and named.

    python benchmarks/gpu.py --record
    python benchmarks/gpu.py --device cpu --toy    the same at toy size: what the tests do
"""

import argparse
import copy
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from machine import processor, record
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from poserep.codecs import Codec
from poserep.config import compose
from poserep.data.from_config import skeleton_of
from poserep.errors import InputError, first_line
from poserep.geometry import Size
from poserep.models import Stacks
from poserep.training.network import build_network
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


class Steps:
    """Training steps and validation of one network, on pictures and joints that lie on its device."""

    def __init__(self, backbone: str, representation: str, size: str, batch: int, device: torch.device) -> None:
        overrides = [f"backbone={backbone}", f"representation={representation}", f"size={size}", "trainer=gpu"]
        cfg = compose(overrides).cfg
        skeleton, shape = skeleton_of(cfg), Size.parse(size)
        torch.manual_seed(0)
        net, codec = build_network(cfg, skeleton)
        self.names = backbone, representation
        self.net: nn.Module = net.to(device, memory_format=torch.channels_last)
        self.codec: Codec = codec.to(device)
        self.image = torch.randint(0, 256, (batch, 3, *shape), dtype=torch.uint8, device=device)
        self.xy = torch.rand(batch, skeleton.num_keypoints, 2, device=device) * (min(shape) - 1)
        self.weight = torch.ones(self.xy.shape[:2], device=device)
        self.kind, self.perm = device.type, skeleton.flip_perm().to(device)

    def loss(self, out: Any) -> Tensor:
        """Return the loss of an output, targets included, as training computes it."""
        target, weight = self.codec.encode(self.xy, self.weight)
        return torch.stack(
            [self.codec.loss(o, target, weight) for o in (out if isinstance(out, Stacks) else (out,))]
        ).sum()

    def training(self, on: frozenset[str]) -> Callable[[], Any]:
        """Return a step of Adam."""
        net = copy.deepcopy(self.net).train()
        fused = {"fused": True} if "fused" in on and self.kind == "cuda" else {}
        optimizer = torch.optim.Adam(net.parameters(), lr=1e-4, **fused)
        forward: Any = net
        if "compiled" in on:
            forward = torch.compile(net, mode="reduce-overhead" if "graphs" in on else None)

        def step() -> None:
            with torch.autocast(self.kind, torch.bfloat16, enabled="bf16" in on):
                out = forward(self.image)
            self.loss(out).backward()
            optimizer.step()
            optimizer.zero_grad()

        return step

    def validation(self, on: frozenset[str]) -> Callable[[], Any]:
        """Return what evaluation does with a batch: two passes for the flip test, and one readout."""
        net = copy.deepcopy(self.net).eval()

        @torch.inference_mode()
        def run() -> Any:
            with torch.autocast(self.kind, torch.bfloat16, enabled="bf16" in on):
                out, mirrored = net(self.image), net(self.codec.mirror(self.image))
            return self.codec.decode(self.codec.merge(out, mirrored, self.perm))

        return run

    def targets_and_loss(self) -> Callable[[], Any]:
        """Return targets, loss and the gradient down to the head's output."""
        with torch.no_grad(), torch.autocast(self.kind, torch.bfloat16):
            out = self.net(self.image)
        # Stacks are a leaf to PyTorch's trees.
        given = tree_map(lambda o: o.detach().requires_grad_(), list(out) if isinstance(out, Stacks) else out)
        whole = Stacks(given) if isinstance(out, Stacks) else given
        return lambda: torch.autograd.grad(self.loss(whole), tree_leaves(given))


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
