"""One pass of evaluation over a run as it is built: metrics, calibration, and the protocol that they depend on."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning
import numpy as np
from omegaconf import DictConfig, OmegaConf

from poserep.codecs import Codec
from poserep.data.build import PATHS, options_of
from poserep.errors import InputError
from poserep.files import file_hash, write_json, write_npz
from poserep.metrics import CocoSubmission
from poserep.metrics.calibration import Joints, labelled_joints, summary
from poserep.metrics.protocol import Protocol
from poserep.metrics.taxonomy import breakdown
from poserep.training.build import Run

# Detections have no truth of their own to hold scores against.
ANNOTATED = "gt"


def temperature(codec: Codec) -> float:
    """By which the codec's scores are tempered; 1 for those of the papers' code, which are never."""
    return float(codec.temperature) if codec.deviations.score == "contract" else 1.0


def score_threshold(codec: Codec) -> float:
    """The rescoring threshold, tempered as the scores are, so that the same joints count at any temperature."""
    threshold = codec.deviations.score_threshold
    return threshold ** (1 / temperature(codec)) if threshold > 0 else threshold


def protocol(cfg: DictConfig, run: Run, boxes: str, readout: str) -> Protocol:
    """What the numbers of one readout depend on besides the weights."""
    codec, metric = run.module.codec, run.module.metrics_of(boxes)[readout]
    hashes = {name: file_hash(path) for name, path in run.files.items() if boxes == "det" or name != "detections"}
    options = OmegaConf.to_container(cfg.data.metric, resolve=True)
    crop = OmegaConf.to_container(cfg.data.crop, resolve=True) if cfg.data.get("crop") else {}
    own = OmegaConf.to_container(cfg.data.val, resolve=True)
    assert isinstance(options, dict) and isinstance(crop, dict) and isinstance(own, dict)
    loader = {str(key): value for key, value in own.items() if key not in (*PATHS, "_target_")} | options_of(cfg)
    return Protocol(
        data=cfg.data.name,
        real=cfg.data.real,
        split=cfg.data.val.annotations,
        boxes=boxes,
        hashes=hashes,
        instances=len(run.data.evaluation[boxes]),
        flip_test=cfg.flip_test,
        readout=readout,
        score=codec.deviations.score,
        temperature=temperature(codec),
        score_threshold=score_threshold(codec),
        metric={str(key): value for key, value in options.items()},
        area=metric.area,
        size=cfg.input_size,
        align=cfg.align,
        crop={str(key): value for key, value in crop.items()},
        loader=loader,
    )


def evaluate(run: Run, trainer: lightning.Trainer, cfg: DictConfig, boxes: Sequence[str]) -> dict[str, Any]:
    """Evaluate the module as it is with every readout and each kind of boxes, in one pass a kind.

    Returns:
        ``metrics`` and ``protocol`` by boxes and readout, which of the metrics are shown as ``columns`` and of which
        less is better (``lower``), and on the first process, why values are what nobody would expect (``diagnosis``)
        and, if annotated boxes are among them, ``calibration`` and ``errors``, all by boxes and readout.
    """
    module = run.module
    module.boxes = run.data.boxes = list(boxes)
    for metric in (metric for kind in boxes for metric in module.metrics_of(kind).values()):
        metric.score_threshold = score_threshold(module.codec)
    trainer.validate(module, datamodule=run.data, verbose=False)
    found: dict[str, Any] = {
        "metrics": module.results,
        "columns": list(module.metric.columns),
        "lower": sorted(module.metric.lower),
        "protocol": {b: {r: protocol(cfg, run, b, r).record() for r in module.readouts} for b in boxes},
    }
    if trainer.is_global_zero:
        said = {kind: {r: m.diagnosis for r, m in module.metrics_of(kind).items() if m.diagnosis} for kind in boxes}
        found["diagnosis"] = said = {kind: by for kind, by in said.items() if by}
        for note in dict.fromkeys(note for by in said.values() for note in by.values()):
            print(f"note: {note}", file=sys.stderr)
        found |= calibration(run) | errors(run)
    return found


def judged_joints(run: Run) -> dict[str, Joints]:
    """Scores and OKS of the last evaluation's joints on annotated boxes, by readout.

    Raises:
        InputError: If no joint is labelled or no annotation has an area.
    """
    sigmas = np.array(run.skeleton.sigmas)
    joints = {}
    for name, metric in run.module.metrics_of(ANNOTATED).items():
        assert metric.found is not None
        joints[name] = labelled_joints(metric.found, metric.instances, sigmas)
    return joints


def calibration(run: Run) -> dict[str, Any]:
    """What `metrics.calibration.summary` says of every readout, as results record it; with a note, nothing."""
    if ANNOTATED not in run.module.boxes:
        return {}
    try:
        joints = judged_joints(run)
    except InputError as error:
        print(f"note: calibration is left out: {error}", file=sys.stderr)
        return {}
    return {"calibration": {ANNOTATED: {name: summary(j.score, j.oks) for name, j in joints.items()}}}


def errors(run: Run) -> dict[str, Any]:
    """Where and how predictions fail on annotated boxes, by readout; empty if nothing is labelled."""
    if ANNOTATED not in run.module.boxes:
        return {}
    found = {}
    try:
        for name, metric in run.module.metrics_of(ANNOTATED).items():
            assert metric.found is not None
            found[name] = breakdown(metric.found, metric.instances, run.skeleton)
    except InputError as error:
        print(f"note: errors by joint are left out: {error}", file=sys.stderr)
        return {}
    return {"errors": {ANNOTATED: found}}


def save_submissions(run: Run, run_dir: Path, identifier: str) -> list[Path]:
    """The files to submit where only a server has the truth, one for each kind of boxes and readout."""
    written = []
    for boxes in run.module.boxes:
        for name, metric in run.module.metrics_of(boxes).items():
            if isinstance(metric, CocoSubmission) and metric.found is not None:
                split = metric.annotations.stem.rpartition("_")[2]
                path = run_dir / f"person_keypoints_{split}_{run_dir.name}-{identifier}-{name}_results.json"
                write_json(path, metric.results(metric.found))
                written.append(path)
    return written


def save_predictions(run: Run, path: Path) -> None:
    """Every prediction of the last evaluation, image px, with the ids of its box."""
    arrays: dict[str, Any] = {}
    for boxes in run.module.boxes:
        instances = run.data.evaluation[boxes].instances
        arrays |= {f"{boxes}/{key}": getattr(instances, key) for key in ("image_id", "id", "box")}
        for name, metric in run.module.metrics_of(boxes).items():
            found = metric.found
            assert found is not None
            arrays[f"{boxes}/index"] = found.index
            arrays[f"{boxes}/{name}/xy"], arrays[f"{boxes}/{name}/score"] = found.xy, found.score
    write_npz(path, arrays)
