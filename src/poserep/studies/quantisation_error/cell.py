"""One cell of the study, a representation at one size and alignment: its errors, bound and best AP, measured once.

Errors in input px are per axis, |dx| and |dy| pooled, because bins bound each axis by itself: half a bin for a codec
that takes the nearest one, lambda / 2 for a heatmap of stride lambda and 1 / (2 k) for SimCC. Errors in image px are
distances.
"""

import hashlib
import time
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from poserep.codecs import Codec
from poserep.data.json_fields import read_json
from poserep.files import file_hash, provenance, write_json
from poserep.geometry import Crop, Size
from poserep.instances import Truth
from poserep.metrics.coco import CocoAP
from poserep.metrics.scorer import Predictions
from poserep.runs.identity import identity
from poserep.runs.rundir import RunDir
from poserep.studies.quantisation_error.disturbance import Condition, Decoded, decode_poses
from poserep.studies.quantisation_error.poses import Poses

# Numbers that no training stands behind follow from these files and the cell's configuration alone.
SOURCE = (
    *("geometry.py", "codecs/*.py", "data/coco_file.py", "data/loaders/coco.py", "metrics/coco*.py"),
    *("studies/quantisation_error/disturbance.py", "studies/quantisation_error/cell.py"),
)


def errors_of(decoded: Decoded, xy: Tensor, crop: Crop, image_xy: Tensor) -> dict[str, float]:
    """Measure how far the counted joints of one readout lie from the truth (N, K, 2), in input px and in image px.

    Returns:
        ``mean``, ``median``, ``p95`` and ``max`` in ``_px`` (per axis) and ``_image_px`` (distances), the mean signed
        errors ``bias_x_px`` and ``bias_y_px``, and ``joints``; only the last if there are none.
    """
    counted = decoded.counted
    numbers: dict[str, float] = {"joints": int(counted.sum())}
    if not numbers["joints"]:
        return numbers
    signed = (decoded.points.xy - xy)[counted].double().numpy()
    distance = (crop.to_image(decoded.points.xy.double()) - image_xy)[counted].norm(dim=-1).numpy()
    for unit, values in (("px", np.abs(signed)), ("image_px", distance)):
        measures = {"mean": values.mean(), "median": np.median(values), "p95": np.quantile(values, 0.95)}
        numbers |= {f"{name}_{unit}": float(value) for name, value in (measures | {"max": values.max()}).items()}
    return numbers | {f"bias_{axis}_px": float(v) for axis, v in zip("xy", signed.mean(0), strict=True)}


def bound_px(codec: Codec) -> float | None:
    """Return the greatest error per axis, input px, that whole bins explain; None if there are no bins.

    Half a bin, or a bin if it is always rounded one way; more only where an alignment lets bins end before the crop
    does. Readouts between bins can stay far below it; means over a map can exceed it where the crop cuts the map.
    """
    if codec.form.startswith("points"):
        return None
    rounding = {"floor": 1.0, "ceil": 1.0, "round": 0.5}.get(getattr(codec, "quantise", "none"), 0.0)
    if getattr(codec, "grid", "bins") == "px":
        return max(axis.reach() * axis.px_per_bin() for axis in (codec.x, codec.y)) + rounding
    return max(max(axis.reach(), rounding) * axis.px_per_bin() for axis in (codec.x, codec.y))


def settings_of(codec: Codec) -> dict[str, Any]:
    """Return what sets codecs apart: input px per bin, sigma in bins, and quantisation or label smoothing."""
    label, limit = getattr(codec, "label", None), bound_px(codec)
    return {
        "px_per_bin": None if limit is None else codec.x.px_per_bin(),
        "sigma": getattr(codec if label is None else label, "sigma", None),
        "encoding": getattr(codec, "quantise", None) if label is None else type(label).__name__.lower(),
        "bound_px": limit,
    }


def best_ap(
    poses: Poses, crop: Crop, size: Size, codec: Codec, decoded: Decoded, scores: float = 1.0, seed: int = 0
) -> float:
    """Compute the AP, percent, of decoded poses, multiplying scores by random factors from ``scores`` to 1.

    Joints that the codec does not represent, as a rule those outside the crop, are put at their true place, so that
    the codec alone is judged. There is no NMS, for some persons are annotated twice.
    """
    xy = torch.where(decoded.usable[..., None], crop.to_image(decoded.points.xy), poses.xy)
    score = torch.where(decoded.usable, decoded.points.score, 1.0)
    factors = torch.rand(score.shape, generator=torch.Generator().manual_seed(seed))
    score = score * (scores + (1 - scores) * factors)
    threshold = codec.deviations.score_threshold
    return _average_precision(poses, size, threshold, xy.numpy().tobytes(), score.numpy().tobytes())


# Codecs with the same bins, and readouts of targets that lie on bins, often agree on every pose.
@lru_cache(maxsize=128)
def _average_precision(poses: Poses, size: Size, threshold: float, xy: bytes, score: bytes) -> float:
    shape = poses.weight.shape
    points, scores = np.frombuffer(xy, np.float32).reshape(*shape, 2), np.frombuffer(score, np.float32).reshape(shape)
    predictions = Predictions(np.arange(shape[0]), points, scores, threshold)
    truth = Truth(poses.instances, poses.skeleton, poses.annotations, size)
    return CocoAP(truth, None, poses.area)(predictions).values["AP"]


def measure_cell(codec: Codec, poses: Poses, size: Size, conditions: Sequence[Condition], seed: int) -> dict[str, Any]:
    """Measure a codec under every condition and with every readout.

    Returns ``rows``, one for each condition and readout, and ``skipped``, the conditions for which the codec has no
    density.
    """
    crop, perm = poses.crops(size, codec.x.align), poses.skeleton.flip_perm()
    xy = crop.to_input(poses.xy)
    rows: list[dict[str, Any]] = []
    skipped = []
    by_output: dict[tuple[float, float], dict[str, Decoded] | None] = {}
    for condition in conditions:
        if condition.output not in by_output:
            by_output[condition.output] = decode_poses(codec, xy, poses.weight, condition, perm, seed)
        by_readout = by_output[condition.output]
        if by_readout is None:
            skipped.append(condition.name)
            continue
        for readout, decoded in by_readout.items():
            ap = best_ap(poses, crop, size, codec, decoded, condition.scores, seed)
            numbers = errors_of(decoded, xy, crop, poses.xy)
            rows.append({"readout": readout, "condition": condition.name, **numbers, "AP": ap})
    return {"rows": rows, "skipped": skipped}


def result_of(
    folder: Path, name: str, config: Mapping[str, Any], codec: Codec, poses: Poses, conditions: Sequence[Condition]
) -> dict[str, Any]:
    """Return a cell's result from its folder, which ``name`` and a hash name, measured unless it has been before.

    All that the numbers depend on is in ``config``: codec, ``input_size``, ``align``, data, conditions, ``seed``.
    """
    folder = folder / f"{name}-{identity({**config, 'source': _source()})}"
    if RunDir(folder).finished:
        return read_json(folder / "result.json", "result")
    start = time.perf_counter()
    rows = measure_cell(codec, poses, Size.parse(config["input_size"]), conditions, config["seed"])
    result = {"config": config, "codec": settings_of(codec), "persons": len(poses.instances), **rows}
    result |= {"seconds": time.perf_counter() - start, "provenance": _provenance()}
    write_json(folder / "result.json", result)
    return result


@cache
def _source() -> str:
    # A codec whose code has changed is measured again.
    root = Path(__file__).parents[2]
    files = sorted(file for pattern in SOURCE for file in root.glob(pattern))
    return hashlib.sha256("".join(file_hash(file) for file in files).encode()).hexdigest()[:12]


_provenance = cache(provenance)
