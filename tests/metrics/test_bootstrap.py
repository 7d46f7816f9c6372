"""Differences and intervals of the paired bootstrap, worked out by hand."""

import math

import numpy as np
import pytest

from poserep.errors import InputError
from poserep.metrics.bootstrap import paired_bootstrap


class Mean:
    """A weighted mean of one number an image; NaN numbers are images with nothing to measure."""

    def __init__(self, values, images=None):
        self.values = np.asarray(values, float)
        self.images = np.arange(len(self.values)) if images is None else np.asarray(images)

    def __call__(self, weights):
        there = ~np.isnan(self.values)
        total = weights[:, there].sum(1)
        with np.errstate(invalid="ignore"):
            return {"mean": weights[:, there] @ self.values[there] / total}


def test_a_difference_is_that_of_the_values_and_its_interval_that_of_the_mean():
    rng = np.random.default_rng(0)
    x, y = rng.normal(1, 3, 2000), rng.normal(0, 1, 2000)
    result = paired_bootstrap([Mean(x)], [Mean(y)], "mean", samples=2000)
    assert result.a.values == (result.a.mean,) == (pytest.approx(x.mean()),) and math.isnan(result.a.sd)
    assert result.difference == pytest.approx(x.mean() - y.mean())
    half = 1.96 * (x - y).std() / 2000**0.5
    assert (result.low - result.difference, result.high - result.difference) == pytest.approx((-half, half), rel=0.1)
    assert not result.within_noise and result.share == 0
    assert (result.samples, result.left_out, result.images) == (2000, 0, 2000)


def test_both_sides_see_the_same_images():
    x = np.random.default_rng(0).normal(0, 100, 50)
    result = paired_bootstrap([Mean(x + 1)], [Mean(x)], "mean", samples=100)
    assert (result.low, result.high) == pytest.approx((1, 1))
    back = paired_bootstrap([Mean(x)], [Mean(x + 1)], "mean", samples=100)
    assert (back.low, back.high) == pytest.approx((-1, -1)) and (back.share, result.share) == (1, 0)
    same = paired_bootstrap([Mean(x)], [Mean(x)], "mean", samples=50)
    assert (same.difference, same.low, same.high, same.within_noise, same.share) == (0, 0, 0, True, 1)


def test_draws_are_those_of_the_seed_whatever_the_number():
    x, y = (Mean(np.random.default_rng(i).normal(0, 1, 40)) for i in (0, 1))
    first, again, other = (paired_bootstrap([x], [y], "mean", samples=70, seed=s) for s in (0, 0, 1))
    assert first[2:] == again[2:] and first.low != other.low
    narrow, wide = (paired_bootstrap([x], [y], "mean", samples=500, level=level) for level in (0.5, 0.99))
    assert wide.low < narrow.low < narrow.high < wide.high


def test_the_seeds_of_a_side_are_averaged_on_the_same_images_and_their_spread_is_reported():
    x = np.random.default_rng(0).normal(0, 100, 60)
    result = paired_bootstrap([Mean(x + 1), Mean(x + 2), Mean(x + 6)], [Mean(x), Mean(x - 2)], "mean", samples=40)
    assert result.a.mean - x.mean() == pytest.approx(3) and result.a.sd == pytest.approx(7**0.5)
    assert result.b.mean - x.mean() == pytest.approx(-1) and result.b.sd == pytest.approx(2**0.5)
    assert len(result.a.values) == 3 and len(result.b.values) == 2
    assert (result.difference, result.low, result.high) == pytest.approx((4, 4, 4))


def test_resamples_without_anything_to_measure_are_left_out_and_counted():
    x = np.array([5.0, np.nan, np.nan])
    result = paired_bootstrap([Mean(x)], [Mean(x - 2)], "mean", samples=300)
    # (2/3)^3 of the resamples miss the one image.
    assert result.left_out == 300 - result.samples == pytest.approx(300 * 8 / 27, abs=30)
    assert (result.low, result.high) == (2, 2)


def test_sides_that_cannot_be_compared_are_refused():
    x = Mean(np.zeros(5))
    with pytest.raises(InputError, match="of 5 of the first, 2 are missing from another, which has 1 others"):
        paired_bootstrap([x], [x, Mean(np.zeros(4), [0, 2, 4, 9])], "mean")
    with pytest.raises(InputError, match="no metric 'AP' here; there are mean"):
        paired_bootstrap([x], [x], "AP")
    with pytest.raises(InputError, match=r"samples=1, seed=0: an interval takes 2 resamples"):
        paired_bootstrap([x], [x], "mean", samples=1)
    with pytest.raises(InputError, match="mean finds nothing to measure on these 5 images"):
        paired_bootstrap([x], [Mean(np.full(5, np.nan))], "mean")
