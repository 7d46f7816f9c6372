"""Take a published pose model's weights over as a run that can be evaluated.

Overrides are written as for training, and say which network and data the file is of. Nothing is downloaded, and
nothing in the file is executed; every entry of it finds its place, or the import fails and leaves nothing behind.

example: poserep import pose_hrnet_w32_256x192.pth backbone=hrnet_w32 representation=heatmap size=256x192 align=corner
"""

import hashlib
import os
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning
import torch
from omegaconf import DictConfig
from rich.table import Table

from poserep.cli import add_origin, parser_of, wide_console
from poserep.config import compose
from poserep.data.from_config import skeleton_of
from poserep.errors import InputError
from poserep.files import provenance, write_json
from poserep.models import cost
from poserep.models.checkpoints import load_official
from poserep.models.files import read_weights
from poserep.models.recognise import Looks, look
from poserep.overrides import CONF
from poserep.runs.create import prepare
from poserep.training.module import PoseModule
from poserep.training.nets import parts
from poserep.training.trainer import quiet

STUDY = "imported"


def composed(overrides: list[str], name: str = "config", folder: Path | None = None) -> tuple[DictConfig, str]:
    """The configuration of a run, and the name of its backbone; runs go to the study ``imported`` unless told.

    Raises:
        InputError: If an override is not understood.
    """
    if any(override.startswith("-") for override in overrides):
        raise InputError(f"one file is one run; {overrides} may only hold overrides, as key=value")
    cfg, choices = compose([f"study={STUDY}", *overrides], name, folder)
    return cfg, choices["backbone"]


def import_checkpoint(path: Path, overrides: list[str], name: str = "config", folder: Path | None = None) -> Path:
    """Make a run directory of a published model: config.yaml, checkpoints/last.ckpt, import.json and status.json.

    Args:
        path: The file of the model.
        overrides: As for training; they say which network and data the file is of.
        name: As `poserep.config.compose` takes it.
        folder: As ``name``.

    Returns:
        The run directory. It has no result.json, as nothing has been evaluated.

    Raises:
        InputError: If configuration and file do not fit each other, or the file cannot be read.
    """
    quiet()
    cfg, backbone = composed(overrides, name, folder)
    if cfg.backbone.get("weights"):
        raise InputError("backbone.weights would be replaced by the imported ones; leave it out")
    # What only training runs may be missing in the file; it starts as a run of this seed would start it.
    lightning.seed_everything(cfg.seed, verbose=False)
    skeleton = skeleton_of(cfg)
    net, codec = parts(cfg, skeleton)
    found = read_weights(path)
    imported = load_official(net, found.tensors, str(path))
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    state = PoseModule(net, codec, skeleton.flip_perm(), {}).state_dict()
    looks = look(found.tensors)
    about: dict[str, Any] = {
        "file": path.name,
        "sha256": digest,
        "layout": looks.layout,
        "looks_like": str(looks),
        "mapped": len(imported.mapped),
        "unused": imported.unused,
        "missing": imported.missing,
        "kept": sorted(key for key in state if not key.startswith(("net.backbone.", "net.head."))),
        "beside": found.beside,
        "cautions": cautions(cfg, looks),
        "cost": cost.summary(net, codec.y.length, codec.x.length),
        "provenance": provenance(),
    }
    # Weights are part of what a run is.
    run_dir = prepare(cfg, backbone, imported=digest[:12]).path
    checkpoint = run_dir / "checkpoints" / "last.ckpt"
    checkpoint.parent.mkdir(exist_ok=True)
    partial = checkpoint.with_name(f".{checkpoint.name}.{os.getpid()}")
    torch.save({"state_dict": dict(state)}, partial)
    partial.replace(checkpoint)
    write_json(run_dir / "import.json", about)
    write_json(run_dir / "status.json", {"state": "imported", "since": time.time(), "error": "evaluated, not trained"})
    show(run_dir, about)
    if net.head.form != codec.form:
        print(f"note: head {type(net.head).__name__} emits {net.head.form}; there is nothing to evaluate")
    else:
        print(f"next: poserep evaluate {run_dir}")
    return run_dir


def show(run_dir: Path, about: dict[str, Any]) -> None:
    """Print what has been imported, and from what."""
    table = Table(title=f"{about['file']} -> {run_dir}", title_justify="left", show_header=False)
    rows = [("layout", about["layout"]), ("looks like", about["looks_like"]), ("entries mapped", str(about["mapped"]))]
    for title in ("unused", "missing"):
        rows += [(title, f"{n}: {why}") for why, n in Counter(about[title].values()).items()]
    rows += [("kept", ", ".join(about["kept"])), ("not read", ", ".join(about["beside"])), ("sha256", about["sha256"])]
    for title, text in rows:
        if text:
            table.add_row(title, text)
    wide_console().print(table)
    for text in about["cautions"]:
        print(f"note: {text}")


def cautions(cfg: DictConfig, looks: Looks) -> list[str]:
    """What weights do not say of how they were trained, where the configuration may not be what they need."""
    said = []
    if looks.backbone in ("tokenpose", "transpose") and "mmpose" not in looks.layout and cfg.align != "dark":
        said.append(
            f"align={cfg.align}; the code of TokenPose and TransPose trained with align=dark, and its models are off "
            "by a part of a bin with another"
        )
    elif cfg.align == "centre":
        said.append(
            "align=centre; published models were trained with align=corner (HRNet, SimCC, SRPose) or align=dark (DARK, "
            "TokenPose, TransPose), and are off by a part of a bin with another"
        )
    elif cfg.align == "edge":
        said.append(
            "align=edge; the models of DARK, TokenPose and TransPose were trained with align=dark, which differs where "
            "the input is not square"
        )
    plain = looks.backbone.startswith(("resnet", "hourglass")) and "mmpose" not in looks.layout
    if plain and not (cfg.data.get("crop") or {}).get("bgr"):
        said.append(
            "the code of SimpleBaseline, SimCC and DARK trained its ResNets and hourglasses on images in BGR order; if "
            "this file is theirs, set data.crop.bgr=true"
        )
    if cfg.backbone.get("_target_", "").endswith(".HRFormer") and cfg.backbone.get("position_bias", True):
        said.append(
            "backbone.position_bias=true adds HRFormer's tables of relative positions to the attention, as mmpose 1.x "
            "and HRFormer's classification code do; the pose code of HRFormer and SRPose has the same tables in its "
            "files but does not add them, and nothing in the weights tells which it was: if this file is theirs, set "
            "backbone.position_bias=false, or its outputs are wrong"
        )
    return said


def main(arguments: Sequence[str]) -> None:
    """The command ``poserep import``."""
    parser = parser_of("import", __doc__)
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("overrides", nargs="*", metavar="key=value")
    add_origin(parser)
    given = parser.parse_intermixed_args(arguments)
    if not CONF.is_dir():
        raise InputError("poserep runs from a checkout with its conf/ folder: pip install -e .")
    import_checkpoint(given.file, given.overrides, given.config_name, given.config_dir)
