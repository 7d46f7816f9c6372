"""The difference of a metric between two sides, with an interval from resampled images.

The bootstrap (Efron and Tibshirani, An Introduction to the Bootstrap, 1993): a resample draws as many images as there
are, with replacement, so that some count several times and some not at all. Persons of one image stay together, and
both sides see the same images: most of what makes a resample easy or hard is common to both and cancels.
"""

from collections.abc import Sequence
from statistics import mean, stdev
from typing import NamedTuple

import numpy as np

from poserep.errors import InputError
from poserep.metrics.base import Resampler

# Resamples at a time: little memory, and enough to be quick.
BLOCK = 32


class Side(NamedTuple):
    """One side of a comparison.

    Attributes:
        values: Of the metric on the images as they are, one for each run.
        mean: Over the runs.
        sd: Between the runs, with n - 1; NaN for a single one.
    """

    values: tuple[float, ...]
    mean: float
    sd: float


class Difference(NamedTuple):
    """How much two sides differ, in the metric's unit.

    Attributes:
        a: The first side.
        b: The second.
        difference: Mean of the first less mean of the second.
        low: Lower end of the interval.
        high: Upper end.
        samples: Resamples in which both sides have a value; the interval is theirs.
        left_out: Resamples without, as they drew no image with anything to measure.
        images: How many are drawn, each time.
        within_noise: Whether the interval contains 0.
        share: Of the resamples, those in which the first side is not above the second, in [0, 1].
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


def paired(
    a: Sequence[Resampler],
    b: Sequence[Resampler],
    name: str,
    samples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Difference:
    """The difference of a metric between two sides, with a percentile interval over resampled images.

    A side is one run, or several that differ in their seed only: then its value is their mean. All runs of both sides
    get the same images in each resample. The interval tells how the difference depends on which images there happen to
    be; how it depends on the seed shows in the sides' ``sd``.

    Args:
        a: The first side's runs.
        b: The second's; not necessarily as many.
        name: Of the metric.
        samples: How many resamples.
        seed: Of the draw.
        level: Of the interval, in (0, 1).

    Raises:
        InputError: If the runs were evaluated on different images, the metric is unknown or has nothing to measure, or
            there are too few resamples for an interval.
    """
    if samples < 2 or seed < 0:
        raise InputError(f"samples={samples}, seed={seed}: an interval takes 2 resamples or more, and a seed from 0 on")
    images = a[0].images
    for other in (*a[1:], *b):
        _same(images, other.images)
    ones = np.ones((1, len(images)), np.int32)
    side_a, side_b = _side(a, name, ones), _side(b, name, ones)
    rng = np.random.default_rng(seed)
    drawn = []
    for first in range(0, samples, BLOCK):
        weights = _draw(rng, min(BLOCK, samples - first), len(images))
        drawn.append(np.mean([r(weights)[name] for r in a], 0) - np.mean([r(weights)[name] for r in b], 0))
    values = np.concatenate(drawn)
    found = values[~np.isnan(values)]
    if not len(found):
        raise InputError(f"none of {samples} resamples of {len(images)} images has anything for {name} to measure")
    low, high = (float(v) for v in np.quantile(found, [(1 - level) / 2, (1 + level) / 2]))
    return Difference(
        a=side_a,
        b=side_b,
        difference=side_a.mean - side_b.mean,
        low=low,
        high=high,
        samples=len(found),
        left_out=samples - len(found),
        images=len(images),
        within_noise=low <= 0 <= high,
        share=float(np.mean(found <= 0)),
    )


def _draw(rng: np.random.Generator, samples: int, images: int) -> np.ndarray:
    """How often each image comes (samples, images) when as many are drawn as there are."""
    picked = rng.integers(0, images, (samples, images)) + images * np.arange(samples)[:, None]
    return np.bincount(picked.ravel(), minlength=samples * images).reshape(samples, images).astype(np.int32)


def _side(runs: Sequence[Resampler], name: str, ones: np.ndarray) -> Side:
    values = []
    for run in runs:
        found = run(ones)
        if name not in found:
            raise InputError(f"there is no metric {name!r} here; there are {', '.join(found)}")
        values.append(float(found[name][0]))
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
