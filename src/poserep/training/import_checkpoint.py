"""Take a published pose model's weights over as a run that can be evaluated."""

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

import lightning
import torch

from poserep.config import DictConfig, compose
from poserep.data.from_config import skeleton_of
from poserep.errors import InputError
from poserep.files import file_and_entry, provenance, replacing, write_json
from poserep.models.cost import summary
from poserep.models.weights.hugging_face import HUGGING_FACE, check_config
from poserep.models.weights.load import load_official
from poserep.models.weights.read import read_weights
from poserep.models.weights.recognise import Looks, look
from poserep.runs.create import prepare
from poserep.sheet import Sheet, texts
from poserep.training.module import PoseModule
from poserep.training.network import build_network
from poserep.training.trainer import quiet

# Runs go to this study unless an override names another.
STUDY = "imported"


def import_checkpoint(path: Path, overrides: list[str], name: str = "config", folder: Path | None = None) -> Path:
    """Make a run directory of a published model: config.yaml, checkpoints/last.ckpt, import.json and status.json.

    ``overrides`` say which network and data the file is of; with ``name`` and ``folder`` they are composed as by
    `poserep.config.compose`. The run directory, which is returned, has no result.json, as nothing has been evaluated.
    A configuration and a file that do not fit each other, or a file that cannot be read, are an `InputError`.
    """
    quiet()
    if any(override.startswith("-") for override in overrides):
        raise InputError(f"one file is one run; {overrides} may only hold overrides, as key=value")
    cfg, choices = compose([f"study={STUDY}", *overrides], name, folder)
    for key, value in {"backbone.weights": cfg.backbone.get("weights"), "init": cfg.init}.items():
        if value:
            raise InputError(f"{key} would be replaced by the imported ones; leave it out")
    # What only training runs may be missing in the file; it starts as a run of this seed would start it.
    lightning.seed_everything(cfg.seed, verbose=False)
    skeleton = skeleton_of(cfg)
    net, codec = build_network(cfg, skeleton)
    weights = read_weights(path)
    imported = load_official(net, weights.tensors, str(path))
    check_config(file_and_entry(path)[0], net.get_submodule("backbone"))
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    state = PoseModule(net, codec, skeleton.flip_perm(), {}).state_dict()
    looks = look(weights.tensors)
    record: dict[str, Any] = {
        "file": path.name,
        "sha256": digest,
        "layout": looks.layout,
        "looks_like": str(looks),
        "mapped": len(imported.mapped),
        "unused": imported.unused,
        "missing": imported.missing,
        "kept": sorted(key for key in state if not key.startswith(("net.backbone.", "net.head."))),
        "beside": weights.beside,
        "cautions": cautions(cfg, looks),
        "cost": summary(net, codec.y.length, codec.x.length),
        "provenance": provenance(),
    }
    # Weights are part of what identifies a run.
    run_dir = prepare(cfg, choices["backbone"], imported=digest[:12])
    with replacing(run_dir.checkpoint("last")) as partial:
        torch.save({"state_dict": dict(state)}, partial)
    write_json(run_dir / "import.json", record)
    run_dir.write_status("imported", error="evaluated, not trained")
    _sheet(run_dir.path, record).show()
    print(f"next: poserep evaluate {run_dir}")
    return run_dir.path


def _sheet(run_dir: Path, record: dict[str, Any]) -> Sheet:
    rows = [("layout", record["layout"]), ("looks like", record["looks_like"])]
    rows.append(("entries mapped", str(record["mapped"])))
    for title in ("unused", "missing"):
        rows += [(title, f"{n}: {why}") for why, n in Counter(record[title].values()).items()]
    rows += [(title, ", ".join(record[key])) for title, key in (("kept", "kept"), ("not read", "beside"))]
    rows.append(("sha256", record["sha256"]))
    notes = [f"note: {text}" for text in record["cautions"]]
    return Sheet(f"{record['file']} -> {run_dir}", texts("", ""), [row for row in rows if row[1]], notes=notes)


def cautions(cfg: DictConfig, looks: Looks) -> list[str]:
    """List where the configuration may differ from how the weights were trained, of which they say nothing."""
    notes = []
    if looks.backbone in ("tokenpose", "transpose") and "mmpose" not in looks.layout and cfg.align != "dark":
        notes.append(
            f"align={cfg.align}; the code of TokenPose and TransPose trained with align=dark, and its models are off "
            "by a part of a bin with another"
        )
    elif looks.backbone.startswith(("vitpose", "sapiens")):
        whose = "ViTPose" if looks.backbone.startswith("vitpose") else "Sapiens"
        if cfg.align != "edge":
            notes.append(
                f"align={cfg.align}; {whose}'s models were trained with align=edge (unbiased data processing), and are "
                "off by a part of a bin with another"
            )
    elif cfg.align == "centre":
        notes.append(
            "align=centre; published models were trained with align=corner (HRNet, SimCC, SRPose) or align=dark (DARK, "
            "TokenPose, TransPose), and are off by a part of a bin with another"
        )
    elif cfg.align == "edge":
        notes.append(
            "align=edge; the models of DARK, TokenPose and TransPose were trained with align=dark, which differs where "
            "the input is not square"
        )
    plain = looks.backbone.startswith(("resnet", "hourglass")) and "mmpose" not in looks.layout
    if plain and not (cfg.data.get("crop") or {}).get("bgr"):
        notes.append(
            "the code of SimpleBaseline, SimCC and DARK trained its ResNets and hourglasses on images in BGR order; if "
            "this file is theirs, set data.crop.bgr=true"
        )
    if looks.layout == HUGGING_FACE:
        notes.append(
            "these weights show neither attention heads nor what layer norms add: backbone.num_heads and backbone.eps "
            "must be those of their config.json, with which they are compared if it lies beside the file"
        )
    if cfg.backbone.get("_target_", "").endswith(".HRFormer") and cfg.backbone.get("position_bias", True):
        notes.append(
            "backbone.position_bias=true adds HRFormer's tables of relative positions to the attention, as mmpose 1.x "
            "and HRFormer's classification code do; the pose code of HRFormer and SRPose has the same tables in its "
            "files but does not add them, and nothing in the weights tells which it was: if this file is theirs, set "
            "backbone.position_bias=false, or its outputs are wrong"
        )
    return notes
