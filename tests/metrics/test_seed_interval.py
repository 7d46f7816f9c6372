"""The interval over seeds and images holds the truth as often as it says, and its power is that of simulations."""

import numpy as np
import pytest
from scipy.stats import nct, t
from test_bootstrap import Mean

from poserep.errors import InputError
from poserep.metrics.bootstrap import paired_bootstrap
from poserep.metrics.seed_interval import planned_error, power, seed_interval

IMAGES, TRUE = 200, 1.0


def sides(rng: np.random.Generator, seeds: int, seed_sd: float, image_sd: float, both_sd: float) -> list[list[Mean]]:
    """Return the runs of two sides whose true difference is `TRUE`, with known variances of seeds and images.

    What an image adds differs between the sides, and a little between seeds.
    """
    found = []
    for value in (TRUE, 0.0):
        of_image = rng.normal(0, image_sd, IMAGES)
        found.append(
            [Mean(value + rng.normal(0, seed_sd) + of_image + rng.normal(0, both_sd, IMAGES)) for _ in range(seeds)]
        )
    return found


@pytest.mark.parametrize(
    "seeds, seed_sd, image_sd", [(2, 1.0, 2.0), (3, 1.0, 0.0), (3, 0.3, 6.0), (5, 0.5, 5.0), (3, 0.0, 5.0)]
)
def test_coverage_of_500_simulations(seeds, seed_sd, image_sd):
    rng, held, narrow = np.random.default_rng(seeds), 0, 0
    for _ in range(500):
        a, b = sides(rng, seeds, seed_sd, image_sd, 1.0)
        gap = paired_bootstrap(a, b, "mean", samples=200, seed=int(rng.integers(2**31)))
        assert gap.seeds is not None
        held += gap.seeds.low <= TRUE <= gap.seeds.high
        narrow += gap.low <= TRUE <= gap.high
    assert held >= 0.93 * 500
    # The interval over images alone knows nothing of seeds.
    if seed_sd == 1:
        assert narrow < 0.8 * 500


def test_an_interval_by_hand():
    found = seed_interval([2.0, 4.0], [0.0, 1.0, 2.0], image_error=0.0, images=100)
    # Welch's test: variances 2 / 2 and 1 / 3.
    assert found is not None
    assert found.error == pytest.approx((1 + 1 / 3) ** 0.5) == pytest.approx(found.seed_error)
    assert found.df == pytest.approx((4 / 3) ** 2 / (1 / 1 + (1 / 9) / 2))
    assert (found.low + found.high) / 2 == pytest.approx(2.0)
    same = seed_interval([1.0, 1.0], [0.0, 0.0], image_error=0.5, images=10_000)
    assert same is not None and (same.low, same.high) == pytest.approx((1 - 0.98, 1 + 0.98), abs=1e-3)
    assert seed_interval([1.0], [0.0, 0.1], 0.1, 100) is None, "one run tells nothing of seeds"


def test_readouts_of_the_same_networks_are_paired():
    a, b = [5.0, 7.0, 9.0], [4.0, 6.5, 7.0]
    found = seed_interval(a, b, image_error=0.3, images=100, same=True)
    # Differences of 1, 0.5 and 2: mean 7 / 6, variance 7 / 12.
    assert found is not None and found.error == pytest.approx((7 / 36 + 0.09) ** 0.5)
    assert (found.low + found.high) / 2 == pytest.approx(7 / 6)
    rng, held = np.random.default_rng(0), 0
    for _ in range(500):
        shared, images = rng.normal(0, 2, 3), rng.normal(0, 0.5)
        a, b = (value + shared + rng.normal(0, 0.3, 3) for value in (TRUE + images, 0))
        found = seed_interval(a.tolist(), b.tolist(), 0.5, IMAGES, same=True)
        assert found is not None
        held += found.low <= TRUE <= found.high
    assert held >= 0.93 * 500


def test_power_is_the_share_of_simulations_that_see_the_difference():
    rng, seen = np.random.default_rng(1), 0
    for _ in range(2000):
        shared = rng.normal(0, 5 / IMAGES**0.5)
        a, b = TRUE + shared + rng.normal(0, 0.5, 3), rng.normal(0, 0.5, 3)
        found = seed_interval(a.tolist(), b.tolist(), 5 / IMAGES**0.5, IMAGES)
        assert found is not None
        seen += not found.low <= 0 <= found.high
    planned = planned_error(3, IMAGES, 0.5, 5.0)
    assert power(TRUE, *planned) == pytest.approx(seen / 2000, abs=0.04)
    assert power(-TRUE, *planned) == pytest.approx(power(TRUE, *planned))
    assert power(0.0, *planned) == pytest.approx(0.05, abs=1e-3)
    large = planned_error(3, 5000, 0.2, 20)
    assert power(3, *large) > 0.99 > power(0.3, *large) > 0.05
    assert power(3, *planned_error(5, 5000, 0.1, 0.1 * 5000**0.5)) == pytest.approx(1)
    assert (power(1, 0, 5), power(0, 0, 5)) == (1, 0)
    assert power(2, 1, 12) == pytest.approx(nct.sf(t.ppf(0.975, 12), 12, 2), abs=1e-3)
    with pytest.raises(InputError, match="seeds=1"):
        planned_error(1, 100, 0.1, 1)
