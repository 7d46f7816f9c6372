"""A pretended person detector: boxes near the true ones, with misses, duplicates and false alarms."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from poserep.data.synthetic.world import Array, Rng


def _iou(a: Array, b: Array) -> float:
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[:2] + a[2:], b[:2] + b[2:])
    inner = float(np.prod(np.clip(high - low, 0.0, None)))
    return inner / max(float(a[2] * a[3] + b[2] * b[3]) - inner, 1e-9)


def detect(rng: Rng, image: dict[str, Any], annotations: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return COCO detection results on one image: jittered boxes, whose scores follow their overlap with the truth."""
    width, height = image["width"], image["height"]
    results: list[dict[str, Any]] = []

    def report(box: Array, score: float) -> None:
        x0, y0 = np.clip(box[:2], 0.0, [width - 2.0, height - 2.0])
        x1, y1 = np.clip(box[:2] + box[2:], [x0 + 2.0, y0 + 2.0], [width, height])
        sides = [round(float(v), 2) for v in (x0, y0, x1 - x0, y1 - y0)]
        score = round(float(np.clip(score, 0.01, 0.999)), 4)
        results.append({"image_id": image["id"], "category_id": 1, "bbox": sides, "score": score})

    def jitter(truth: Array, noise: float) -> Array:
        step = rng.normal(0.0, noise, 4) * np.tile(truth[2:], 2)
        return np.concatenate([truth[:2] + step[:2] - step[2:] / 2, np.maximum(truth[2:] + step[2:], 2.0)])

    for annotation in annotations:
        truth, labelled = np.array(annotation["bbox"]), annotation["num_keypoints"]
        missed, twice = rng.random(2)
        if missed < (0.03 if labelled else 0.4):
            continue
        box = jitter(truth, 0.05)
        score = 0.15 + 0.85 * _iou(box, truth) + rng.normal(0.0, 0.05)
        report(box, score if labelled else score * 0.6)
        if twice < 0.05:
            second = jitter(truth, 0.12)
            report(second, 0.55 * _iou(second, truth) * rng.uniform(0.5, 1.0))
    for _ in range(max(1, len(annotations))):
        if rng.random() < 0.08:
            size = rng.uniform((0.08, 0.2), (0.35, 0.8)) * (width, height)
            corner = rng.uniform((0.0, 0.0), (width - size[0], height - size[1]))
            report(np.concatenate([corner, size]), rng.beta(1.5, 7.0))
    return results
