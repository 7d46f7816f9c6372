"""What a network costs: parameters by part, multiply-accumulates by every counting, memory, and if asked time.

Overrides are written as for training, or after a run directory as for poserep evaluate. Neither data nor weights are
needed. Multiply-accumulates are for one image of one pass, flip test not included.

example: poserep cost backbone=hrnet_w32 representation=simcc size=256x192 --time
         poserep cost runs/demo/heatmap-... --json cost.json
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from rich.table import Table

from poserep.cli import add_origin, parser_of, wide_console
from poserep.config import compose
from poserep.data.from_config import skeleton_of
from poserep.deploy.latency import WAYS, cores, processor, timings
from poserep.errors import InputError
from poserep.files import provenance, write_json
from poserep.geometry import Size
from poserep.models import PoseNet
from poserep.models.cost import COUNTINGS, activations, allocated, summary
from poserep.training.evaluate import configure
from poserep.training.nets import build_net

MIB = 2**20


def composed(words: Sequence[str], name: str = "config", folder: Path | None = None) -> DictConfig:
    """The configuration of a run directory or of overrides, without the backbone's weights.

    Args:
        words: A run directory and overrides, or overrides alone.
        name: As `poserep.config.compose` takes it, for overrides alone.
        folder: As ``name``.

    Raises:
        InputError: If there is no such run, or an override is not understood.
    """
    of_a_run = words and "=" not in words[0]
    cfg = configure(Path(words[0]), list(words[1:])) if of_a_run else compose(words, name, folder).cfg
    if cfg.backbone.get("weights"):
        cfg.backbone.weights = None
    return cfg


def measure(cfg: DictConfig, batches: Sequence[int]) -> tuple[dict[str, Any], PoseNet, Any]:
    """What is counted about the network of a configuration, the network, and its codec."""
    skeleton = skeleton_of(cfg)
    net, codec = build_net(cfg, skeleton)
    size = Size.parse(cfg.input_size)
    shape = size.height, size.width, net.channels
    itemsize = 4 if cfg.data.get("pixels") else 1
    memory = [
        {
            "batch": batch,
            "forward_bytes": activations(net, batch, *shape, itemsize=itemsize),
            "training_bytes": training_memory(net, batch, shape, itemsize),
        }
        for batch in batches
    ]
    about = {
        "backbone": type(net.backbone).__name__,
        "head": type(net.head).__name__,
        "representation": cfg.representation.name,
        "size": str(size),
        "keypoints": skeleton.num_keypoints,
        **summary(net, size.height, size.width),
        "memory": memory,
    }
    return about, net, codec


def training_memory(net: PoseNet, batch: int, shape: tuple[int, int, int], itemsize: int) -> int | None:
    """Bytes alive in a training step, or None where a batch norm cannot train on so few values."""
    try:
        return activations(net, batch, *shape, training=True, itemsize=itemsize)
    except ValueError:
        return None


def show(about: dict[str, Any]) -> None:
    """Print what was counted."""
    console = wide_console()
    what = f"{about['backbone']}, {about['head']} ({about['representation']})"
    console.print(f"{what}, {about['size']}, {about['keypoints']} joints", soft_wrap=True)
    table = Table()
    extra = [
        (heading, key)
        for heading, key in (("frozen", "frozen"), ("training only", "training_only"), ("tables", "tables"))
        if about[f"params_{key}"]
    ]
    table.add_column("part")
    for heading in ("parameters", *(heading for heading, _ in extra), "GMACs"):
        table.add_column(heading, justify="right")
    for part in about["parts"]:
        inner = part["path"] not in ("backbone", "head")
        others = [f"{part[key]:,}" for _, key in extra]
        table.add_row("  " * inner + part["path"], f"{part['params']:,}", *others, f"{part['gmacs']:.3f}")
    others = [f"{about[f'params_{key}']:,}" for _, key in extra]
    table.add_row("network", f"{about['params']:,}", *others, f"{about['gmacs']:.3f}")
    console.print(table)
    if about["params_tables"]:
        print(f"tables: fixed positions, which TransPose's tables count ({about['params'] + about['params_tables']:,})")
    if about["params_training_only"]:
        print("training only: neither run nor counted when poses are predicted")
    table = Table(title="Multiply-accumulates for one image", title_justify="left")
    table.add_column("counting")
    table.add_column("value", justify="right")
    for heading in ("unit", "what it counts, and who prints it"):
        table.add_column(heading)
    for counting in COUNTINGS:
        value = about["gmacs"] if counting.name == "true" else about["gflops"][counting.name]
        table.add_row(counting.name, f"{value:.3f}", "10^9" if counting.unit == 10**9 else "2^30", counting.note)
    console.print(table)
    table = Table(title="Memory of activations, MiB", title_justify="left")
    kinds = [("forward", "forward_bytes"), ("training step", "training_bytes"), ("forward on CUDA", "cuda_bytes")]
    table.add_column("batch", justify="right")
    kinds = [(heading, key) for heading, key in kinds if key in about["memory"][0]]
    for heading, _ in kinds:
        table.add_column(heading, justify="right")
    for row in about["memory"]:
        table.add_row(str(row["batch"]), *("-" if row[key] is None else f"{row[key] / MIB:.1f}" for _, key in kinds))
    console.print(table)
    console.print(
        f"tensors alive at once, counted in eager mode; beside them the parameters ({4 * about['params'] / MIB:.1f} "
        "MiB in float32; with Adam in training twice as much again) and what kernels take while they run",
        soft_wrap=True,
    )
    if any(row["training_bytes"] is None for row in about["memory"]):
        console.print("-: too few values for batch norms to train on at this size and batch", soft_wrap=True)


def show_times(records: Sequence[dict[str, Any]], machine: str, readout: str) -> None:
    """Print timings."""
    table = Table(title=f"Time on {machine}, ms a batch: median (quartiles)", title_justify="left")
    for heading in ("way", "device"):
        table.add_column(heading)
    for heading in ("threads", "batch", "network", f"with {readout}", "images/s", "with it", "calls", "to prepare, s"):
        table.add_column(heading, justify="right")
    for found in records:
        about = found["way"], found["device"], str(found["threads"] or ""), str(found["batch"])
        if found["unavailable"]:
            table.add_row(*about, "not available")
            continue
        table.add_row(
            *about,
            *(_spread(found[key]) for key in ("forward_ms", "with_decoding_ms")),
            *(f"{found[key]:.1f}" for key in ("images_s", "images_s_with_decoding")),
            str(found["calls"]),
            f"{found['prepared_s']:.1f}",
        )
    console = wide_console()
    console.print(table)
    for way, why in dict.fromkeys((found["way"], found["unavailable"]) for found in records if found["unavailable"]):
        console.print(f"{way}: not available: {why}", soft_wrap=True, markup=False)
    console.print(
        "float32 and random bytes as images, without the flip test; all ways take turns. The first call, with what it "
        "compiles, is not in the times but in what it takes to prepare",
        soft_wrap=True,
    )


def _spread(found: dict[str, float]) -> str:
    return f"{found['median']:.2f} ({found['p25']:.2f}-{found['p75']:.2f})"


def timed(net: PoseNet, codec: Any, cfg: DictConfig, options: argparse.Namespace) -> dict[str, Any]:
    """Time a network with its default readout.

    Raises:
        InputError: If a way, a device or a number of the options makes no sense.
    """
    size = Size.parse(cfg.input_size)
    readout = next(iter(cfg.readouts or codec.readouts))
    codec.to(options.device)
    variants = timings(
        net,
        lambda out: codec.decode(out, readout),
        (net.channels, size.height, size.width),
        options.ways,
        options.batches,
        options.threads,
        options.device,
        options.seconds,
        torch.float32 if cfg.data.get("pixels") else torch.uint8,
    )
    machine = torch.cuda.get_device_name() if options.device == "cuda" else processor()
    records = [variant.record() for variant in variants]
    show_times(records, machine, readout)
    return {"machine": machine, "cores": cores(), "readout": readout, "variants": records}


def cost(options: argparse.Namespace) -> dict[str, Any]:
    """Count, print, and time if asked.

    Raises:
        InputError: If the network cannot be built, or an option makes no sense.
    """
    given = [name for name in ("device", "seconds", "threads", "ways") if getattr(options, name) is not None]
    if given and not options.time:
        raise InputError(f"--{given[0]} is about timing: add --time, or leave it out")
    for name, usual in (("device", "cpu"), ("seconds", 5.0), ("threads", [1, 0]), ("ways", list(WAYS))):
        setattr(options, name, usual if getattr(options, name) is None else getattr(options, name))
    if not 0 < options.seconds < float("inf"):
        raise InputError(f"--seconds {options.seconds}: give a number above 0")
    if min(options.batches) < 1:
        raise InputError(f"--batches {min(options.batches)}: give 1 or more images")
    cfg = composed(options.words, options.config_name, options.config_dir)
    about, net, codec = measure(cfg, options.batches)
    if torch.cuda.is_available():
        size = Size.parse(cfg.input_size)
        for row in about["memory"]:
            row["cuda_bytes"] = allocated(net.cuda().eval(), row["batch"], size.height, size.width, net.channels)
        net.cpu()
    show(about)
    about["config"] = {key: OmegaConf.to_container(cfg[key], resolve=True) for key in ("backbone", "representation")}
    about["provenance"] = provenance()
    if options.time:
        about["time"] = timed(net, codec, cfg, options)
    return about


def main(arguments: Sequence[str]) -> None:
    """The command ``poserep cost``."""
    parser = parser_of("cost", __doc__)
    parser.add_argument("words", nargs="*", metavar="RUN_DIR | key=value")
    add_origin(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there as well")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 32], help="images at a time (1 32)")
    parser.add_argument("--time", action="store_true", help="time it, in every way that is available here")
    parser.add_argument("--ways", nargs="+", help=f"some of {', '.join(WAYS)} (all)")
    parser.add_argument("--threads", type=int, nargs="+", help="of the CPU; 0: all (1 0)")
    parser.add_argument("--device", help="to time on: cpu or cuda (cpu)")
    parser.add_argument("--seconds", type=float, help="for each way, batch and number of threads (5)")
    options = parser.parse_intermixed_args(arguments)
    about = cost(options)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        write_json(options.json, about)
        print(f"written: {options.json}")
