"""One cell of the study, a representation at one size and alignment: measured once, kept, and found again."""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from poserep.codecs import Codec
from poserep.files import file_hash, provenance, write_json
from poserep.geometry import Crop, Size
from poserep.instances import Truth
from poserep.metrics.coco import CocoAP
from poserep.metrics.scorer import Predictions
from poserep.runs.identity import identity
from poserep.runs.rundir import RunDir
from poserep.studies.quantisation_error.measure import Condition, Decoded, decode, describe, errors
from poserep.studies.quantisation_error.poses import Poses

# Numbers that no training stands behind follow from these files and the cell's configuration alone.
SOURCE = (
    "geometry.py",
    "codecs/*.py",
    "data/coco.py",
    "metrics/coco.py",
    "studies/quantisation/measure.py",
    "studies/quantisation/cell.py",
)


def ceiling(
    poses: Poses, crop: Crop, size: Size, codec: Codec, decoded: Decoded, scores: float = 1.0, seed: int = 0
) -> float:
    """The AP, percent, of the decoded poses.

    Joints that the codec does not represent, those outside the crop as a rule, are put where they are, so that it alone
    is judged.
    There is no NMS, for some persons are annotated twice.

    Args:
        poses: The truth.
        crop: Its crops.
        size: Of the input.
        codec: Its score threshold is used.
        decoded: Of one readout.
        scores: See `Condition`.
        seed: Of the factors, which are the same for every codec.
    """
    xy = torch.where(decoded.usable[..., None], crop.to_image(decoded.points.xy), poses.xy)
    score = torch.where(decoded.usable, decoded.points.score, 1.0)
    factors = torch.rand(score.shape, generator=torch.Generator().manual_seed(seed))
    score = score * (scores + (1 - scores) * factors)
    threshold = codec.deviations.score_threshold
    return average_precision(poses, size, threshold, xy.numpy().tobytes(), score.numpy().tobytes())


# Codecs with the same bins, and readouts of targets that lie on bins, often agree on every pose.
@lru_cache(maxsize=128)
def average_precision(poses: Poses, size: Size, threshold: float, xy: bytes, score: bytes) -> float:
    """AP, percent, of float32 predictions (N, K, 2) in image px and scores (N, K)."""
    shape = poses.weight.shape
    points, scores = (np.frombuffer(array, np.float32) for array in (xy, score))
    predictions = Predictions(np.arange(shape[0]), points.reshape(*shape, 2), scores.reshape(shape), threshold)
    truth = Truth(poses.instances, poses.skeleton, poses.annotations, size)
    return CocoAP(truth, nms_threshold=None)(predictions).values["AP"]


def measure(codec: Codec, poses: Poses, size: Size, conditions: Sequence[Condition], seed: int) -> dict[str, Any]:
    """Numbers of every condition and readout.

    Args:
        codec: At one alignment.
        poses: Annotated persons.
        size: Of the input.
        conditions: Those that apply.
        seed: Of what is random.

    Returns:
        ``rows``, one for each condition and readout, and ``skipped``, the conditions that the codec has no density for.
    """
    crop, perm = poses.crops(size, codec.x.align), poses.skeleton.flip_perm()
    xy = crop.to_input(poses.xy)
    rows: list[dict[str, Any]] = []
    skipped = []
    decoded: dict[tuple[float, float], dict[str, Decoded] | None] = {}
    for condition in conditions:
        if condition.output not in decoded:
            decoded[condition.output] = decode(codec, xy, poses.weight, condition, perm, seed)
        found = decoded[condition.output]
        if found is None:
            skipped.append(condition.name)
            continue
        for readout, of in found.items():
            about = {"readout": readout, "condition": condition.name}
            ap = ceiling(poses, crop, size, codec, of, condition.scores, seed)
            rows.append({**about, **errors(of, xy, crop, poses.xy), "AP": ap})
    return {"rows": rows, "skipped": skipped}


def settle(
    study: Path, name: str, config: Mapping[str, Any], codec: Codec, poses: Poses, conditions: Sequence[Condition]
) -> dict[str, Any]:
    """The cell's result, measured unless it has been before.

    Args:
        study: Folder of all cells.
        name: Readable part of the cell's folder.
        config: All that the numbers depend on: codec, ``input_size``, ``align``, data, conditions, ``seed``.
        codec: Built from it.
        poses: Read as it says.
        conditions: Those that apply.
    """
    folder = study / f"{name}-{identity({**config, 'source': source()})}"
    if RunDir(folder).finished:
        return json.loads((folder / "result.json").read_text())
    start = time.perf_counter()
    found = measure(codec, poses, Size.parse(config["input_size"]), conditions, config["seed"])
    result = {"config": config, "codec": describe(codec), "persons": len(poses.instances), **found}
    result |= {"seconds": time.perf_counter() - start, "provenance": made_by()}
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "result.json", result)
    return result


@cache
def source() -> str:
    """Hash of the code that the numbers come from, so that a codec that has changed is measured again."""
    root = Path(__file__).parents[2]
    files = sorted(file for pattern in SOURCE for file in root.glob(pattern))
    return hashlib.sha256("".join(file_hash(file) for file in files).encode()).hexdigest()[:12]


made_by = cache(provenance)
