"""The paired bootstrap: the difference of a metric between two sides, with an interval from resampled images.

A resample draws as many images as there are, with replacement, so that some count several times and some not at all
(Efron and Tibshirani, An Introduction to the Bootstrap, 1993). Persons of one image stay together, and both sides see
the same images, so that most of what makes a resample easy or hard cancels.
"""

from collections.abc import Sequence
from statistics import mean, stdev
from typing import NamedTuple

import numpy as np

from poserep.errors import InputError
from poserep.metrics.scorer import Resampler

# Resamples at a time: they need little memory, and more would be no quicker.
_BLOCK = 32


class Side(NamedTuple):
    """One side of a comparison.

    Attributes:
        values: The metric on all images, one value for each run.
        mean: Over the runs.
        sd: Standard deviation between the runs, with n - 1; NaN for a single one.
    """

    values: tuple[float, ...]
    mean: float
    sd: float


class Difference(NamedTuple):
    """The difference of two sides, in the metric's unit.

    Attributes:
        a: The first side.
        b: The second.
        difference: Mean of the first less mean of the second.
        low: Lower end of the interval.
        high: Upper end of the interval.
        samples: Number of resamples in which both sides have a value, on which the interval rests.
        left_out: Number of resamples without any image that has something to measure.
        images: Number of images that each resample draws.
        within_noise: Whether the interval contains 0.
        share: Share of the resamples in which the first side is not above the second, in [0, 1].
    """

    a: Side
    b: Side
    difference: float
    low: float
    high: float
    samples: int
    left_out: int
    images: int
    within_noise: bool
    share: float


def paired_bootstrap(
    a: Sequence[Resampler],
    b: Sequence[Resampler],
    name: str,
    samples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Difference:
    """Compute the difference of a metric between two sides, with a percentile interval over resampled images.

    A side is one run, or several that differ in their seed only: then its value is their mean. All runs of both sides
    get the same images in each resample. The interval shows how much the difference depends on the choice of images;
    its dependence on the seed shows in the sides' ``sd``.

    Args:
        a: Runs of the first side.
        b: Runs of the second side, not necessarily as many.
        name: The metric.
        samples: Number of resamples.
        seed: Of the random draw.
        level: Coverage of the interval, in (0, 1).

    Raises:
        InputError: If the runs were evaluated on different images, the metric is unknown or has nothing to measure, or
            there are too few resamples for an interval.
    """
    if samples < 2 or seed < 0:
        raise InputError(f"samples={samples}, seed={seed}: an interval takes 2 resamples or more, and a seed from 0 on")
    images = a[0].images
    for other in (*a[1:], *b):
        _same(images, other.images)
    side_a, side_b = _side(a, name), _side(b, name)
    rng = np.random.default_rng(seed)
    drawn = []
    for first in range(0, samples, _BLOCK):
        weights = _draw(rng, min(_BLOCK, samples - first), len(images))
        drawn.append(np.mean([r(weights)[name] for r in a], 0) - np.mean([r(weights)[name] for r in b], 0))
    values = np.concatenate(drawn)
    defined = values[~np.isnan(values)]
    if not len(defined):
        raise InputError(f"none of {samples} resamples of {len(images)} images has anything for {name} to measure")
    low, high = (float(v) for v in np.quantile(defined, [(1 - level) / 2, (1 + level) / 2]))
    return Difference(
        a=side_a,
        b=side_b,
        difference=side_a.mean - side_b.mean,
        low=low,
        high=high,
        samples=len(defined),
        left_out=samples - len(defined),
        images=len(images),
        within_noise=low <= 0 <= high,
        share=float(np.mean(defined <= 0)),
    )


def _draw(rng: np.random.Generator, samples: int, images: int) -> np.ndarray:
    """Draw resamples: how often each image counts, (samples, images)."""
    picked = rng.integers(0, images, (samples, images)) + images * np.arange(samples)[:, None]
    return np.bincount(picked.ravel(), minlength=samples * images).reshape(samples, images).astype(np.int32)


def _side(runs: Sequence[Resampler], name: str) -> Side:
    ones = np.ones((1, len(runs[0].images)), np.int32)
    values = []
    for run in runs:
        metrics = run(ones)
        if name not in metrics:
            raise InputError(f"there is no metric {name!r} here; there are {', '.join(metrics)}")
        values.append(float(metrics[name][0]))
    if np.isnan(values).any():
        raise InputError(f"{name} finds nothing to measure on these {ones.shape[1]} images")
    return Side(tuple(values), mean(values), stdev(values) if len(values) > 1 else float("nan"))


def _same(one: np.ndarray, other: np.ndarray) -> None:
    if not np.array_equal(one, other):
        lost, more = (len(np.setdiff1d(x, y)) for x, y in ((one, other), (other, one)))
        raise InputError(
            f"runs to compare were evaluated on different images: of {len(one)} of the first, {lost} are missing from "
            f"another, which has {more} others; evaluate both on the same split"
        )
