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
from poserep.metrics.seed_interval import SeedInterval, seed_interval

# Number of resamples computed together: their arrays stay in the processor's cache.
RESAMPLES_AT_ONCE = 32


class Side(NamedTuple):
    """The metric of each run of one side on all images, their mean, and their standard deviation (NaN for one run)."""

    values: tuple[float, ...]
    mean: float
    sd: float


class Difference(NamedTuple):
    """The mean of side ``a`` less that of ``b``, in the metric's unit, with an interval from ``low`` to ``high``.

    That interval is over the choice of images alone; ``seeds`` is the one over seeds and images, None if a side has a
    single run. It rests on ``samples`` resamples, each of ``images`` images; ``left_out`` more had nothing to measure.
    ``within_noise`` tells whether the interval contains 0, ``share`` in how many of the resamples ``a`` is not above
    ``b``, in [0, 1].
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
    seeds: SeedInterval | None


def paired_bootstrap(
    a: Sequence[Resampler],
    b: Sequence[Resampler],
    name: str,
    samples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    same: bool = False,
) -> Difference:
    """Compute the difference of a metric between two sides, with a percentile interval over resampled images.

    A side is one run, or several that differ in their seed only: then its value is their mean. All runs get the same
    images in each of the ``samples`` resamples, which ``seed`` draws. The interval covers a part of them, ``level`` in
    (0, 1), and shows how much the difference depends on the choice of images; `seed_interval` adds what depends on the
    runs' seed, less what cancels if both sides read the ``same`` networks. Raises an `InputError` if the runs were
    evaluated on different images, the metric is unknown or has nothing to measure, or there are too few resamples.
    """
    if samples < 2 or seed < 0:
        raise InputError(f"samples={samples}, seed={seed}: an interval takes 2 resamples or more, and a seed from 0 on")
    images = a[0].images
    for run in (*a, *b):
        if not np.array_equal(images, run.images):
            raise InputError(
                f"runs to compare were evaluated on different images: of {len(images)} of the first, "
                f"{len(np.setdiff1d(images, run.images))} are missing from another, which has "
                f"{len(np.setdiff1d(run.images, images))} others; evaluate both on the same split"
            )
    side_a, side_b = _side(a, name), _side(b, name)
    rng = np.random.default_rng(seed)
    differences = []
    for first in range(0, samples, RESAMPLES_AT_ONCE):
        count = min(RESAMPLES_AT_ONCE, samples - first)
        drawn = rng.integers(0, len(images), (count, len(images)))
        # How often each image counts in each resample, (count, images).
        weights = np.stack([np.bincount(row, minlength=len(images)) for row in drawn]).astype(np.int32)
        differences.append(np.mean([r(weights)[name] for r in a], 0) - np.mean([r(weights)[name] for r in b], 0))
    values = np.concatenate(differences)
    defined = values[~np.isnan(values)]
    if not len(defined):
        raise InputError(f"none of {samples} resamples of {len(images)} images has anything for {name} to measure")
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2]).tolist()
    return Difference(
        side_a,
        side_b,
        side_a.mean - side_b.mean,
        low,
        high,
        samples=len(defined),
        left_out=samples - len(defined),
        images=len(images),
        within_noise=low <= 0 <= high,
        share=float(np.mean(defined <= 0)),
        seeds=seed_interval(side_a.values, side_b.values, float(defined.std()), len(images), level, same),
    )


def _side(runs: Sequence[Resampler], name: str) -> Side:
    ones = np.ones((1, len(runs[0].images)), np.int32)
    metrics = [run(ones) for run in runs]
    if name not in metrics[0]:
        raise InputError(f"there is no metric {name!r} here; there are {', '.join(metrics[0])}")
    values = [float(values[name][0]) for values in metrics]
    if np.isnan(values).any():
        raise InputError(f"{name} finds nothing to measure on these {ones.shape[1]} images")
    return Side(tuple(values), mean(values), stdev(values) if len(values) > 1 else float("nan"))
