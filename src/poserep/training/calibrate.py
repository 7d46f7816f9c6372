"""Calibrate a run's scores to OKS: fit a temperature on half of the images, measure it on the others.

Overrides are written as for poserep evaluate. Writes calibration.json and checkpoints/calibrated.ckpt, the same weights
with the temperature, which poserep evaluate RUN_DIR checkpoint=calibrated evaluates. The temperature is fitted on
annotated boxes with the default readout and applied to every readout, on one device whatever the run had. A temperature
that the checkpoint has already is replaced.

example: poserep calibrate runs/demo/simcc-... checkpoint=best
"""

import hashlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig
from rich.table import Table

from poserep.cli import wide_console
from poserep.errors import InputError
from poserep.files import provenance, write_json
from poserep.metrics.calibration import TEMPERATURES, Joints, calibration_summary, fit_temperature, temper
from poserep.training.build import Run
from poserep.training.evaluate import configure, restore, run_and_overrides
from poserep.training.evaluation import ANNOTATED, evaluate, joints_by_readout
from poserep.training.trainer import make_trainer


def first_half(image_id: np.ndarray) -> np.ndarray:
    """Return whether images belong to the half for fitting: the parity of a hash of the id, on every machine the same.

    Args:
        image_id: (M,) of any type.

    Returns:
        (M,) bool.
    """
    images, which = np.unique(image_id, return_inverse=True)
    return np.array([hashlib.sha256(str(i).encode()).digest()[0] % 2 == 0 for i in images], bool)[which]


def fit_on_half(joints: dict[str, Joints], readout: str) -> dict[str, Any]:
    """Fit a temperature to one readout's joints on half of the images, and measure all readouts on the others.

    Args:
        joints: By readout, with untempered scores; the same joints for each.
        readout: The one that the temperature is fitted to.

    Returns:
        ``temperature``, the numbers of ``images`` and ``joints`` that were ``fitted`` and ``judged``, and by readout
        the summaries ``before`` and ``after``.

    Raises:
        InputError: If one half has no joint, or no temperature can be fitted.
    """
    fitted = first_half(joints[readout].image_id)
    if fitted.all() or not fitted.any():
        raise InputError(
            f"all {len(set(joints[readout].image_id))} images with labelled joints fall into the same half; fitting a "
            "temperature and measuring it takes more images"
        )
    # In the precision in which the codec holds it.
    temperature = float(np.float32(fit_temperature(joints[readout].score[fitted], joints[readout].oks[fitted])))

    def share(mask: np.ndarray) -> dict[str, int]:
        return {"images": len(np.unique(joints[readout].image_id[mask])), "joints": int(mask.sum())}

    readouts = {}
    for name, (score, oks, _) in joints.items():
        after = temper(score[~fitted], temperature)
        readouts[name] = {
            "before": calibration_summary(score[~fitted], oks[~fitted]),
            "after": calibration_summary(after, oks[~fitted]),
        }
    return {
        "temperature": temperature,
        "readout": readout,
        "fitted": share(fitted),
        "judged": share(~fitted),
        "readouts": readouts,
    }


def calibrate(run_dir: Path, cfg: DictConfig) -> dict[str, Any]:
    """Calibrate a run's checkpoint; write calibration.json and checkpoints/calibrated.ckpt.

    Returns:
        The contents of calibration.json: those of `fit_on_half`, and their origin.

    Raises:
        InputError: If the checkpoint is missing or does not fit, scores are published ones, no joint has an OKS, or
            there are too few images.
    """
    if cfg.trainer.devices > 1:
        print(f"note: calibrates on one device, not on trainer.devices={cfg.trainer.devices}", file=sys.stderr)
    cfg.trainer.devices, cfg.boxes = 1, [ANNOTATED]
    run = restore(run_dir, cfg)
    codec = run.module.codec
    if codec.deviations.score == "published":
        raise InputError(
            "representation.codec.score=published gives the scores of published code, which no temperature changes; "
            "calibrate with representation.codec.score=contract"
        )
    # A checkpoint that was calibrated before starts anew.
    codec.temperature.fill_(1.0)
    record = evaluate(run, make_trainer(cfg, [], []))
    result = fit_on_half(joints_by_readout(run), run.module.readouts[0])
    result |= {
        "checkpoint": cfg.checkpoint,
        "protocol": record["protocol"][ANNOTATED][run.module.readouts[0]],
        "provenance": provenance(),
    }
    save(run, result["temperature"], run_dir / "checkpoints" / "calibrated.ckpt")
    write_json(run_dir / "calibration.json", result)
    show(run_dir, result)
    return result


def save(run: Run, temperature: float, path: Path) -> None:
    """The module's tensors with that temperature, whole or not at all."""
    run.module.codec.temperature.fill_(temperature)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    torch.save({"state_dict": {key: value.cpu() for key, value in run.module.state_dict().items()}}, partial)
    partial.replace(path)


def show(run_dir: Path, result: dict[str, Any]) -> None:
    """Print what calibration has changed."""
    temperature, fitted, judged = result["temperature"], result["fitted"], result["judged"]
    table = Table(title=f"{run_dir.name}, checkpoint {result['checkpoint']}", title_justify="left")
    table.add_column("readout")
    measures = (("mean_score", "mean score"), ("ece", "ECE"), ("aurc", "AURC"))
    for name in ("mean OKS", *(f"{name} {when}" for _, name in measures for when in ("before", "after"))):
        table.add_column(name, justify="right")
    for readout, by in result["readouts"].items():
        cells = [f"{by[when][key]:.3f}" for key, _ in measures for when in ("before", "after")]
        table.add_row(readout, f"{by['before']['mean_oks']:.3f}", *cells)
    wide_console().print(table)
    print(
        f"temperature {temperature:.4g}, fitted with readout {result['readout']} on {fitted['images']} images "
        f"({fitted['joints']} joints); the table is of {judged['images']} others ({judged['joints']} joints)"
    )
    low, high = TEMPERATURES
    if not 1.01 * low < temperature < 0.99 * high:
        print(f"note: the search ends at {temperature:.3g}; has the network learnt anything?", file=sys.stderr)
    print(f"written: {run_dir / 'calibration.json'}, {run_dir / 'checkpoints' / 'calibrated.ckpt'}")


def main(arguments: Sequence[str]) -> None:
    """The command ``poserep calibrate``."""
    run_dir, overrides = run_and_overrides("calibrate", __doc__, arguments)
    calibrate(run_dir, configure(run_dir, overrides))
