"""Mean positions without the pull of the background to the middle of the map."""

import numpy as np
import pytest
import torch

from poserep.codecs import SoftArgmax
from poserep.codecs.integral import jensen_shannon


def debiased(maps: np.ndarray, beta: float) -> np.ndarray:
    """BCIR bin by bin: what each bin weighs beyond exp(0), of a map that is 0 where there is nothing."""
    found = np.zeros((*maps.shape[:2], 2))
    for b, j in np.ndindex(found.shape[:2]):
        total = 0.0
        for y, x in np.ndindex(maps.shape[2:]):
            beyond = np.exp(beta * maps[b, j, y, x]) - 1
            total += beyond
            found[b, j] += beyond * np.array([x, y])
        found[b, j] /= total
    return found


def test_mean_without_bias_is_its_definition_and_exact_on_peaks_anywhere():
    rng = np.random.default_rng(0)
    centre = rng.uniform((5, 5), (18, 26), (2, 5, 2))
    rows, columns = np.mgrid[:32, :24]
    squares = (columns - centre[..., 0, None, None]) ** 2 + (rows - centre[..., 1, None, None]) ** 2
    maps = torch.from_numpy(np.exp(-squares / 8))
    noisy = maps + 0.05 * torch.from_numpy(rng.normal(size=maps.shape))
    readout = SoftArgmax(10.0, "exact")
    for heatmap in (maps, noisy):
        np.testing.assert_allclose(readout(heatmap)[0], debiased(heatmap.numpy(), 10.0), rtol=0, atol=1e-9)
    errors = {
        name: (SoftArgmax(b, d)(maps)[0] - torch.from_numpy(centre)).abs().max().item()
        for name, b, d in (("plain", 10.0, "none"), ("exact", 10.0, "exact"), ("published", 10.0, "published"))
    }
    assert errors["exact"] < 0.01 and errors["plain"] > 0.02
    # Of a hundred bins of background the published constant takes out one, with C without beta.
    assert errors["published"] > 0.5 * errors["plain"]


@pytest.mark.parametrize("debias", ["exact", "published"])
def test_maps_without_any_peak_have_finite_positions_and_gradients(debias):
    for value in (0.0, -1e4, 1e4, 1e-6):
        maps = torch.full((1, 1, 16, 12), value, requires_grad=True)
        position = SoftArgmax(10.0, debias)(maps)[0]
        position.sum().backward()
        assert torch.isfinite(position).all() and torch.isfinite(maps.grad).all()
    maps = 0.1 * torch.randn(1, 1, 16, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.autograd.gradcheck(SoftArgmax(1.0, debias).mean, (maps + 1).requires_grad_())


def test_the_gradient_of_the_divergence_is_that_of_finite_differences():
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(1, 2, 4, 3, dtype=torch.float64, generator=rng).requires_grad_()
    target = torch.rand(1, 2, 4, 3, dtype=torch.float64, generator=rng)
    assert torch.autograd.gradcheck(jensen_shannon, (logits, target / target.sum((-2, -1), keepdim=True)))
