"""What `poserep.deploy.command.cost_command` counts and times, as a record and as sheets."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from poserep.config import DictConfig, OmegaConf, compose
from poserep.data.from_config import skeleton_of, takes_scenes
from poserep.deploy.latency import Timing, cores, processor, timings
from poserep.errors import InputError
from poserep.files import provenance
from poserep.geometry import Size
from poserep.models import PoseNet
from poserep.models.cost import activations, allocated, summary
from poserep.sheet import Sheet, numbers, texts
from poserep.training.evaluate import configure
from poserep.training.network import build_network

MIB = 2**20


def memory_of(net: PoseNet, size: Size, batch: int, itemsize: int) -> dict[str, int | None]:
    """Return the bytes of activations for a batch, with those of a training step, and on CUDA where there is a GPU.

    A training step has None where a batch norm cannot train on so few values.
    """
    record: dict[str, int | None] = {"batch": batch, "forward_bytes": activations(net, batch, *size, itemsize=itemsize)}
    try:
        record["training_bytes"] = activations(net, batch, *size, training=True, itemsize=itemsize)
    except ValueError:
        record["training_bytes"] = None
    if torch.cuda.is_available():
        record["cuda_bytes"] = allocated(net.cuda().eval(), batch, *size)
        net.cpu()
    return record


def sheets_of(record: dict[str, Any]) -> Iterator[Sheet]:
    """Yield the tables of what was counted: parts, and memory."""
    extra = [key for key in ("frozen", "training_only", "tables") if record[f"params_{key}"]]
    columns = [*texts("part"), *numbers("parameters", *(key.replace("_", " ") for key in extra), "GMACs")]
    rows = [
        [
            "  " * (part["path"] not in ("backbone", "head")) + part["path"],
            *(f"{part[key]:,}" for key in ("params", *extra)),
            f"{part['gmacs']:.3f}",
        ]
        for part in record["parts"]
    ]
    whole = [f"{record[key]:,}" for key in ("params", *(f"params_{key}" for key in extra))]
    rows.append(["network", *whole, f"{record['gmacs']:.3f}"])
    notes = ["GMACs: 10^9 multiply-accumulates for one image, of convolutions, linear layers and attention"]
    if record["params_tables"]:
        with_tables = record["params"] + record["params_tables"]
        notes.append(f"tables: fixed positions, which TransPose's tables count ({with_tables:,})")
    if record["params_training_only"]:
        notes.append("training only: neither run nor counted when poses are predicted")
    title = "{backbone}, {head} ({representation}), {size}, {keypoints} joints".format(**record)
    yield Sheet(title, columns, rows, notes=notes)

    kinds = {"forward": "forward_bytes", "training step": "training_bytes", "forward on CUDA": "cuda_bytes"}
    kinds = {heading: key for heading, key in kinds.items() if key in record["memory"][0]}
    memory = [
        [str(row["batch"]), *("-" if row[key] is None else f"{row[key] / MIB:.1f}" for key in kinds.values())]
        for row in record["memory"]
    ]
    notes = [
        f"tensors alive at once, counted in eager mode; beside them the parameters ({4 * record['params'] / MIB:.1f} "
        "MiB in float32; with Adam in training twice as much again) and what kernels take while they run"
    ]
    if any(row["training_bytes"] is None for row in record["memory"]):
        notes.append("-: too few values for batch norms to train on at this size and batch")
    yield Sheet("Memory of activations, MiB", numbers("batch", *kinds), memory, notes=notes)


def times_sheet(record: dict[str, Any]) -> Sheet:
    """Return the table of timings."""
    heads = "network", f"with {record['readout']}", "images/s", "with it", "calls", "to prepare, s"
    columns = [*texts("way", "device"), *numbers("threads", "batch", *heads)]
    rows, missing = [], dict[str, None]()
    for variant in record["variants"]:
        cells = [variant["way"], variant["device"], str(variant["threads"] or ""), str(variant["batch"])]
        if variant["unavailable"]:
            missing[f"{variant['way']}: not available: {variant['unavailable']}"] = None
            cells += ["not available", *[""] * 5]
        else:
            spreads = (variant[key] for key in ("forward_ms", "with_decoding_ms"))
            cells += (f"{ms['median']:.2f} ({ms['p25']:.2f}-{ms['p75']:.2f})" for ms in spreads)
            cells += (f"{variant[key]:.1f}" for key in ("images_s", "images_s_with_decoding"))
            cells += [str(variant["calls"]), f"{variant['prepared_s']:.1f}"]
        rows.append(cells)
    note = (
        "float32 and random bytes as images, without the flip test; all ways take turns. The first call, with what it "
        "compiles, is not in the times but in what it takes to prepare"
    )
    notes = [*missing, note]
    if record["whole_images"]:
        notes.append(
            f"with {record['readout']}: the parser too, which finds hardly anybody in an untrained network's maps; "
            "benchmarks/grouping.py times it on maps of many people"
        )
    return Sheet(f"Time on {record['machine']}, ms a batch: median (quartiles)", columns, rows, notes=notes)


def _time(net: PoseNet, codec: Any, cfg: DictConfig, timing: Timing, dtype: torch.dtype) -> dict[str, Any]:
    readout = next(iter(cfg.readouts or codec.readouts))
    codec.to(timing.device)
    shape = (net.channels, *Size.parse(cfg.input_size))
    variants = timings(net, lambda out: codec.decode(out, readout), shape, timing, dtype)
    machine = torch.cuda.get_device_name() if timing.device == "cuda" else processor()
    records = [variant.record() for variant in variants]
    own = {"machine": machine, "cores": cores(), "readout": readout, "whole_images": takes_scenes(cfg)}
    return {**own, "variants": records}


def cost(options: argparse.Namespace) -> dict[str, Any]:
    """Count, print, and time if asked; return all of it."""
    names = ("device", "seconds", "threads", "ways")
    given = {name: value for name in names if (value := getattr(options, name)) is not None}
    if given and not options.time:
        raise InputError(f"--{next(iter(given))} is about timing: add --time, or leave it out")
    timing = Timing(batches=options.batches, **given)
    if options.words and "=" not in options.words[0]:
        cfg = configure(Path(options.words[0]), options.words[1:])
    else:
        cfg = compose(options.words, options.config_name, options.config_dir).cfg
    skeleton, size = skeleton_of(cfg), Size.parse(cfg.input_size)
    net, codec = build_network(cfg, skeleton)
    dtype = torch.float32 if cfg.data.get("pixels") else torch.uint8
    record: dict[str, Any] = {
        "backbone": type(net.backbone).__name__,
        "head": type(net.head).__name__,
        "representation": cfg.representation.name,
        "size": str(size),
        "keypoints": skeleton.num_keypoints,
        **summary(net, size.height, size.width),
        "memory": [memory_of(net, size, batch, dtype.itemsize) for batch in options.batches],
        "config": {key: OmegaConf.to_container(cfg[key], resolve=True) for key in ("backbone", "representation")},
        "provenance": provenance(),
    }
    for sheet in sheets_of(record):
        sheet.show()
    if options.time:
        record["time"] = _time(net, codec, cfg, timing, dtype)
        times_sheet(record["time"]).show()
    return record
