"""Calibrate a run's scores to OKS: fit a temperature on half of the images, measure it on the others."""

import hashlib
import os
import sys
from typing import Any

import numpy as np
import torch

from poserep.config import DictConfig
from poserep.data.from_config import boxes_of
from poserep.errors import InputError
from poserep.files import provenance, replacing, write_json
from poserep.instances import ANNOTATED
from poserep.metrics.calibration import (
    TEMPERATURES,
    Joints,
    calibration_summary,
    fit_temperature,
    labelled_joints,
    temper,
)
from poserep.runs.rundir import RunDir
from poserep.sheet import Sheet, numbers, texts
from poserep.training.evaluate import restore
from poserep.training.evaluation import annotated_boxes, annotated_predictions, evaluate, on_annotated
from poserep.training.trainer import make_trainer


def first_half(image_id: np.ndarray) -> np.ndarray:
    """Return whether images (M,) belong to the half for fitting, by the parity of a hash of their id; (M,) bool."""
    images, which = np.unique(image_id, return_inverse=True)
    return np.array([hashlib.sha256(str(i).encode()).digest()[0] % 2 == 0 for i in images], bool)[which]


def fit_on_half(joints: dict[str, Joints], readout: str) -> dict[str, Any]:
    """Fit a temperature to one readout's joints on half of the images, and measure all readouts on the others.

    ``joints`` are by readout, the same for each, with untempered scores; the temperature is fitted to ``readout``. It
    is an `InputError` if one half has no joint, or no temperature can be fitted.

    Returns:
        ``temperature``, the numbers of ``images`` and ``joints`` that were ``fitted`` and ``judged``, and by readout
        the summaries ``before`` and ``after``.
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

    return {
        "temperature": temperature,
        "readout": readout,
        "fitted": share(fitted),
        "judged": share(~fitted),
        "readouts": {
            name: {
                "before": calibration_summary(score[~fitted], oks[~fitted]),
                "after": calibration_summary(temper(score[~fitted], temperature), oks[~fitted]),
            }
            for name, (score, oks, _) in joints.items()
        },
    }


def calibrate(directory: str | os.PathLike[str], cfg: DictConfig) -> dict[str, Any]:
    """Calibrate a run's checkpoint; write calibration.json, which is returned, and checkpoints/calibrated.ckpt.

    A checkpoint that is missing or does not fit, published scores, joints without an OKS, and too few images are an
    `InputError`.
    """
    run_dir = RunDir(directory)
    if cfg.trainer.devices > 1:
        print(f"note: calibrates on one device, not on trainer.devices={cfg.trainer.devices}", file=sys.stderr)
    cfg.trainer.devices, cfg.boxes = 1, None
    first = boxes_of(cfg)[0]
    cfg.boxes = [first if first in ANNOTATED else ANNOTATED[0]]
    run = restore(run_dir, cfg, tempered=False)
    if run.module.codec.deviations.score == "published":
        raise InputError(
            "representation.codec.score=published gives the scores of published code, which no temperature changes; "
            "calibrate with representation.codec.score=contract"
        )
    record = evaluate(run, make_trainer(cfg, [], []))
    result = fit_on_half(on_annotated(run, annotated_predictions(run), labelled_joints), run.module.readouts[0])
    result |= {
        "checkpoint": cfg.checkpoint,
        "protocol": record["protocol"][annotated_boxes(run)][run.module.readouts[0]],
        "provenance": provenance(),
    }
    state = {key: value.cpu() for key, value in run.module.state_dict().items()}
    with replacing(run_dir.checkpoint("calibrated")) as file:
        torch.save({"state_dict": state | {"codec.temperature": torch.tensor(result["temperature"])}}, file)
    write_json(run_dir.calibration_file, result)
    show_calibration(run_dir, result)
    return result


def show_calibration(run_dir: RunDir, result: dict[str, Any]) -> None:
    """Print the measures before and after calibration."""
    temperature, fitted, judged = result["temperature"], result["fitted"], result["judged"]
    measures = (("mean_score", "mean score"), ("ece", "ECE"), ("aurc", "AURC"))
    heads = ("mean OKS", *(f"{name} {when}" for _, name in measures for when in ("before", "after")))
    rows = []
    for readout, by in result["readouts"].items():
        cells = [f"{by[when][key]:.3f}" for key, _ in measures for when in ("before", "after")]
        rows.append([readout, f"{by['before']['mean_oks']:.3f}", *cells])
    title = f"{run_dir.name}, checkpoint {result['checkpoint']}"
    Sheet(title, (*texts("readout"), *numbers(*heads)), rows).show()
    print(
        f"temperature {temperature:.4g}, fitted with readout {result['readout']} on {fitted['images']} images "
        f"({fitted['joints']} joints); the table is of {judged['images']} others ({judged['joints']} joints)"
    )
    low, high = TEMPERATURES
    if not 1.01 * low < temperature < 0.99 * high:
        print(f"note: the search ends at {temperature:.3g}; has the network learnt anything?", file=sys.stderr)
    print(f"written: {run_dir.calibration_file}, {run_dir.checkpoint('calibrated')}")
