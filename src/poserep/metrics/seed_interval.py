"""The interval of a difference that knows seeds: runs are drawn, as images are, and both vary the difference.

The model is a mixed one: the value of a run on some images is that of its side, plus what the seed adds, plus what the
images add, which both sides share. The bootstrap over images tells the error from the images, the scatter of a side's
runs on all images that from the seeds. Their variances add up, and the few degrees of freedom of a few seeds widen the
interval by Student's t (Satterthwaite, Biometrics Bulletin 2, 1946). What images and seeds add together counts twice,
so that the interval is rather too wide than too narrow.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from poserep.errors import InputError

# How many variances that a study may find power is a mean over.
VARIANCES = 4000


class SeedInterval(NamedTuple):
    """An interval over seeds and images, in the metric's unit.

    ``error`` is the standard error of the difference, with ``df`` degrees of freedom; ``seed_error`` the part of it
    that comes from the seeds of both sides, ``image_error`` the one from the choice of images.
    """

    low: float
    high: float
    error: float
    df: float
    seed_error: float
    image_error: float


def seed_interval(
    a: Sequence[float], b: Sequence[float], image_error: float, images: int, level: float = 0.95, same: bool = False
) -> SeedInterval | None:
    """Return the interval of the difference of the means of two sides, or None if a side has one run alone.

    Args:
        a: The metric of each run of one side on all images.
        b: The same of the other side.
        image_error: Standard error of the difference by the choice of images, as resampled images tell it.
        images: Number of images.
        level: Part of such intervals that is to hold the true difference, in (0, 1).
        same: Whether both sides read the same networks, in this order: then what a seed adds to both cancels.
    """
    if min(len(a), len(b)) < 2:
        return None
    if same:
        differences = np.subtract(a, b)
        side = float(np.std(differences, ddof=1)), len(differences)
        return interval_of(float(differences.mean()), [side], image_error, images, level)
    sides = [(float(np.std(side, ddof=1)), len(side)) for side in (a, b)]
    return interval_of(float(np.mean(a) - np.mean(b)), sides, image_error, images, level)


def interval_of(
    difference: float, sides: Sequence[tuple[float, int]], image_error: float, images: int, level: float = 0.95
) -> SeedInterval:
    """Return the interval of a difference, as `seed_interval` does, from each side's standard deviation and runs."""
    parts = np.array([*(sd**2 / runs for sd, runs in sides), image_error**2])
    error, df = _error(parts, np.array([*(runs - 1 for _, runs in sides), max(images - 1, 1)]))
    half, seed_error = float(stats.t.ppf((1 + level) / 2, df)) * error, float(np.sqrt(parts[:-1].sum()))
    return SeedInterval(difference - half, difference + half, error, df, seed_error, float(image_error))


def power(difference: float, error: float, df: float, level: float = 0.95) -> float:
    """Return how probably an interval over seeds and images leaves out 0 if the true difference is this, in [0, 1].

    Args:
        difference: In the metric's unit.
        error: Standard error of the difference, see `SeedInterval`.
        df: Its degrees of freedom.
        level: The interval's level, in (0, 1).
    """
    if error == 0:
        return float(difference != 0)
    # The noncentral t distribution as a mean over the variance that a study may find; SciPy's own gives NaN for some.
    found = np.sqrt(stats.chi2.ppf((np.arange(VARIANCES) + 0.5) / VARIANCES, df) / df)
    least, shift = stats.t.ppf((1 + level) / 2, df) * found, difference / error
    return float((stats.norm.sf(least - shift) + stats.norm.cdf(-least - shift)).mean())


def planned_error(seeds: int, images: int, seed_sd: float, image_sd: float) -> tuple[float, float]:
    """Return the standard error of a difference in a study to come, and its degrees of freedom, as `power` takes them.

    Args:
        seeds: Number of runs of each side, at least 2.
        images: Number of images, at least 2.
        seed_sd: Standard deviation of a side's runs, the same on both sides.
        image_sd: The difference's standard error by the choice of images, times the square root of their number.
    """
    if seeds < 2 or images < 2:
        raise InputError(f"seeds={seeds}, images={images}: an interval over seeds and images takes 2 of both or more")
    parts = np.array([seed_sd**2 / seeds, seed_sd**2 / seeds, image_sd**2 / images])
    return _error(parts, np.array([seeds - 1, seeds - 1, images - 1]))


def _error(parts: np.ndarray, dfs: np.ndarray) -> tuple[float, float]:
    """Return the standard error of a sum of independent parts, and its degrees of freedom by Satterthwaite."""
    total = float(parts.sum())
    df = total**2 / float((parts**2 / dfs).sum()) if total else float(dfs.sum())
    return total**0.5, df
