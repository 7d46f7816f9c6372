"""Calibration of joint scores: reliability curve, expected calibration error, risk-coverage curve and temperature.

A joint's score is compared with the joint's own OKS, in [0, 1]: 1 on the annotated point, falling off with the distance
as annotators scatter. Scores are calibrated if joints of score s have a mean OKS of s.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar

from poserep.errors import InputError
from poserep.instances import Truth
from poserep.metrics.oks import joint_oks
from poserep.metrics.scorer import Predictions

# Without bounds the best temperature of a network that has learnt nothing may be 0 or infinite.
TEMPERATURES = (0.01, 100.0)


class Joints(NamedTuple):
    """Score and OKS of every labelled joint of persons with an area, and the id of its image, each (M,)."""

    score: np.ndarray
    oks: np.ndarray
    image_id: np.ndarray


def labelled_joints(predictions: Predictions, truth: Truth) -> Joints:
    """Return scores and OKS of the labelled joints of persons with an area; predictions are of annotated boxes.

    Raises an `InputError` if there is no such joint.
    """
    index, instances = predictions.index, truth.instances
    labelled, area = truth.labelled[index], instances.area[index]
    if not labelled.any():
        what = "no joint is labelled" if not truth.labelled.any() else "no labelled person is predicted"
        raise InputError(f"{what}, so that scores cannot be compared with OKS")
    judged = labelled & (area > 0)[:, None]
    if not judged.any():
        raise InputError("no annotation has an area, by which OKS is scaled, so that scores cannot be compared with it")
    # Persons without area are left out below; any positive number avoids the division by 0.
    similarity = joint_oks(predictions.xy, instances.keypoints[index], np.where(area > 0, area, 1.0), truth.sigmas)
    image = np.broadcast_to(instances.image_id[index][:, None], judged.shape)
    return Joints(predictions.score[judged].astype(float), similarity[judged], image[judged])


def reliability(score: np.ndarray, oks: np.ndarray, bins: int = 10) -> list[dict[str, Any]]:
    """Return the reliability curve of joints (M,), at least one, over bins of equal width from 0 to 1.

    Each bin has its edges ``low`` and ``high``, the ``count`` of its joints, and their mean ``score`` and ``oks``, None
    without joints. The last bin alone contains its upper edge. Scores of published code may lie outside [0, 1], and
    count in the outermost bins.
    """
    edges = np.arange(bins + 1) / bins
    which = np.clip(np.searchsorted(edges, score, side="right") - 1, 0, bins - 1)
    columns = (np.bincount(which, values, minlength=bins) for values in (None, score, oks))
    return [
        {"low": low, "high": high, "count": n, "score": s / n if n else None, "oks": o / n if n else None}
        for low, high, n, s, o in zip(*(c.tolist() for c in (edges[:-1], edges[1:], *columns)), strict=True)
    ]


def ece(curve: Sequence[Mapping[str, Any]]) -> float:
    """Compute the expected calibration error: the joints' mean of their bin's |score - OKS|; in [0, 1], best 0.

    Naeini, Cooper and Hauskrecht, AAAI 2015; with bins of equal width as in Guo et al., ICML 2017.
    """
    gaps = [bin["count"] * abs(bin["score"] - bin["oks"]) if bin["count"] else 0.0 for bin in curve]
    return float(np.sum(gaps) / sum(bin["count"] for bin in curve))


def aurc(score: np.ndarray, oks: np.ndarray) -> float:
    """Compute the area under the risk-coverage curve of joints (M,), at least one; in [0, 1], best 0.

    Joints are taken by falling score; after each, the risk is the mean of 1 - OKS over those taken. The area is the
    mean of the risks (Geifman and El-Yaniv, NeurIPS 2017), averaged over all orders of joints with equal scores.
    """
    # Risks enter linearly, so the mean over all orders of equal scores follows from their mean risk.
    values, group, size = np.unique(-score, return_inverse=True, return_counts=True)
    risk = np.bincount(group, 1 - oks, minlength=len(values)) / size
    taken = np.cumsum(np.repeat(risk, size))
    return float((taken / np.arange(1, len(score) + 1)).mean())


def temper(score: np.ndarray, temperature: float) -> np.ndarray:
    """Return ``score ** (1 / temperature)``: 0, 1 and the order stay; a temperature above 1 raises scores."""
    return score ** (1 / temperature)


def fit_temperature(score: np.ndarray, oks: np.ndarray) -> float:
    """Fit the temperature with which scores predict OKS best: least cross-entropy with OKS as a soft label.

    Guo et al. (ICML 2017) divide logits by T. A codec's score is a peak of a density that need not be normalised, and
    dividing its logarithm gives ``score ** (1 / T)``. The cross-entropy is convex in 1 / T, so there is one minimum.
    Scores and OKS (M,) are in [0, 1]; scores of 0 and 1 are the same at any temperature, and are left out. Returns T,
    within `TEMPERATURES`; raises an `InputError` if scores leave [0, 1], or all of them are 0 or 1.
    """
    if score.min() < 0 or score.max() > 1:
        raise InputError(f"scores from {score.min():g} to {score.max():g} leave [0, 1]: no temperature can be fitted")
    moves = (score > 0) & (score < 1)
    if not moves.any():
        raise InputError("every score is 0 or 1, which no temperature changes")
    log, oks = np.log(score[moves]), oks[moves]

    def cross_entropy(log_temperature: float) -> float:
        tempered = log / np.exp(log_temperature)
        return -float(np.mean(oks * tempered + (1 - oks) * np.log(-np.expm1(tempered))))

    bounds = tuple(np.log(TEMPERATURES))
    return float(np.exp(minimize_scalar(cross_entropy, bounds=bounds, method="bounded", options={"xatol": 1e-7}).x))


def calibration_summary(score: np.ndarray, oks: np.ndarray, bins: int = 10) -> dict[str, Any]:
    """Return all measures of calibration as results record them, see `reliability` for those of bins."""
    curve = reliability(score, oks, bins)
    return {
        "ece": ece(curve),
        "aurc": aurc(score, oks),
        "joints": len(score),
        "mean_score": float(np.mean(score)),
        "mean_oks": float(np.mean(oks)),
        "bins": curve,
    }
