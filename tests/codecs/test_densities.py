"""Regression of densities: likelihoods against plain loops, their gradients, and what a flip test makes of spread."""

import math

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from codec_cases import PERM, mirror, points
from poserep.codecs import RLE, GaussianRegression
from poserep.codecs.gaussian import LEAST_DEVIATION
from poserep.codecs.regression import LEAST_SCALE
from poserep.models.heads.points import RealNVP

WEIGHT = torch.tensor([[1.0, 0.0, 1.0, 0.5, 1.5]] * 2)


def drawn(*last: int, seed: int = 0, scale: float = 1.0) -> torch.Tensor:
    return scale * torch.randn(2, 5, *last, generator=torch.Generator().manual_seed(seed))


def gaussians(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Points near the crop, and factors of spreads from a tenth of a crop's side down, turned in every direction."""
    factor = drawn(3, seed=seed, scale=0.1)
    return drawn(2, seed=seed + 1, scale=0.2), torch.stack(
        [factor[..., 0].abs(), factor[..., 1], factor[..., 2].abs()], -1
    )


def matrix(factor: torch.Tensor) -> np.ndarray:
    """The covariance of one joint, in squares of the crop's sides."""
    xx, yx, yy = factor.double().tolist()
    root = np.array([[xx + LEAST_DEVIATION, 0], [yx, yy + LEAST_DEVIATION]])
    return root @ root.T


def test_likelihood_of_a_gaussian_is_its_definition():
    codec, (xy, factor), target = GaussianRegression("64x64"), gaussians(), drawn(2, seed=5, scale=0.2)
    total = 0.0
    for b, j in np.ndindex(2, 5):
        covariance, error = matrix(factor[b, j]), (target - xy)[b, j].double().numpy()
        log_density = -error @ np.linalg.inv(covariance) @ error / 2 - math.log(2 * math.pi)
        total -= WEIGHT[b, j].item() * (log_density - math.log(np.linalg.det(covariance)) / 2)
    assert codec.loss((xy, factor), target, WEIGHT).item() == pytest.approx(total / 10, rel=1e-4)


def test_score_of_a_gaussian_is_the_expectation_of_oks():
    codec, (xy, factor) = GaussianRegression("128x64", score="published"), gaussians()
    side, rng = np.array([64, 128]), np.random.default_rng(0)
    found = codec.decode((xy, factor)).score
    for b, j in np.ndindex(2, 5):
        errors = rng.multivariate_normal(np.zeros(2), matrix(factor[b, j]), 100_000) * side
        oks = np.exp(-(errors**2).sum(1) / (2 * (codec.spread * math.sqrt(64 * 128)) ** 2)).mean()
        assert found[b, j].item() == pytest.approx(oks, abs=4e-3)
    narrow = GaussianRegression("128x64").decode((xy, torch.zeros_like(factor))).score
    torch.testing.assert_close(narrow, torch.ones(2, 5))


@pytest.mark.parametrize("base", ["laplace", "gaussian", "none"])
@pytest.mark.parametrize("likelihood", ["exact", "published"])
def test_likelihood_with_a_flow_is_its_definition(base, likelihood):
    codec, flow = RLE("64x64", base, likelihood), RealNVP()
    xy, target, sigma = drawn(2, scale=0.3), drawn(2, seed=1, scale=0.3), drawn(2, seed=2).sigmoid()
    total, times = 0.0, 2 if likelihood == "published" else 1
    for b, j in np.ndindex(2, 5):
        error = (xy - target)[b, j] / sigma[b, j]
        learnt = flow.log_prob(error).item() - sigma[b, j].log().sum().item() / times
        negative = -times * learnt
        for e, s in zip(error.tolist(), sigma[b, j].tolist(), strict=True):
            # In the exact likelihood, the change of variables is counted with the flow above.
            if base == "laplace":
                negative += abs(e) + math.log(2) + (math.log(s) if times == 2 else 0)
            elif base == "gaussian":
                negative += e**2 / 2 + math.log(2 * math.pi) / 2 + (math.log(s) if times == 2 else 0)
        total += WEIGHT[b, j].item() * negative
    assert codec.loss((xy, sigma, flow.log_prob), target, WEIGHT).item() == pytest.approx(total / 10, rel=1e-5)


class Double(torch.Tensor):
    """Numbers in double precision that stay so where the codecs ask for single precision."""

    def float(self):
        return self


@pytest.mark.parametrize("kind", ["gaussian", "rle"])
def test_gradients(kind):
    (xy, factor), target = gaussians(), drawn(2, seed=5, scale=0.2).double()
    codec, last = (GaussianRegression("64x64"), factor) if kind == "gaussian" else (RLE("64x64"), factor[..., :2].abs())
    last = last.abs() + 0.05

    def loss(xy, last):
        out = (xy.as_subclass(Double), last.as_subclass(Double))
        return codec.loss(out if kind == "gaussian" else (*out, None), target, WEIGHT.double()).as_subclass(
            torch.Tensor
        )

    given = [t.double().requires_grad_() for t in (xy, last)]
    assert gradcheck(loss, given, atol=1e-7, rtol=1e-5)


def test_extreme_outputs_have_finite_losses_and_gradients():
    target = torch.zeros(2, 5, 2)
    for codec, last in ((GaussianRegression("64x64"), 3), (RLE("64x64"), 2)):
        for xy, spread in ((1e4, 0.0), (1e4, -1e4), (0.0, 1e4), (1e4, 1e4), (0.0, 0.0)):
            out = [torch.full((2, 5, n), v, requires_grad=True) for n, v in ((2, xy), (last, spread))]
            loss = codec.loss(out if last == 3 else (*out, None), target, torch.ones(2, 5))
            loss.backward()
            assert torch.isfinite(loss) and all(torch.isfinite(o.grad).all() for o in out)


def test_a_flip_test_turns_the_covariance_and_widens_it_where_the_passes_disagree():
    codec = GaussianRegression("64x64")
    xy, (_, factor) = points("64x64"), gaussians()
    target, _ = codec.encode(xy, torch.ones(2, 5))
    other, _ = codec.encode(mirror(xy, codec), torch.ones(2, 5))
    # In the mirror the axes' covariance has the other sign.
    turned = factor[:, PERM] * torch.tensor([1, -1, 1])
    merged = codec.merge((target, factor), (other, turned), PERM)
    for ours, plain in zip(merged, (target, factor), strict=True):
        torch.testing.assert_close(ours, plain, atol=1e-6, rtol=1e-4)
    # Samples of both Gaussians, half a crop's tenth apart.
    apart = codec.merge((target, factor), (other + torch.tensor([0.05, 0.02]), turned), PERM)
    rng, (b, j) = np.random.default_rng(0), (1, 2)
    means = target[b, j].numpy(), target[b, j].numpy() - np.array([0.05, -0.02])
    samples = np.concatenate([rng.multivariate_normal(m, matrix(factor[b, j]), 100_000) for m in means])
    np.testing.assert_allclose(apart[0][b, j], samples.mean(0), atol=2e-3)
    np.testing.assert_allclose(matrix(apart[1][b, j]), np.cov(samples.T), rtol=0.03, atol=5e-5)


def test_pictures_of_gaussians_have_their_mean_and_covariance():
    codec = GaussianRegression("64x128")
    factor = torch.tensor([[[0.05, 0.04, 0.06]]])
    xy = torch.tensor([[[0.1, -0.05]]])
    shown = codec.density((xy, factor))["map"][0, 0].double()
    grid = torch.stack(torch.meshgrid(torch.arange(128.0), torch.arange(64.0), indexing="xy"), -1).double()
    mean = (shown[..., None] * grid).sum((0, 1))
    torch.testing.assert_close(mean, codec.decode((xy, factor)).xy[0, 0].double(), atol=1e-3, rtol=0)
    centred = (grid - mean) / torch.tensor([128, 64])
    covariance = torch.einsum("hw,hwi,hwj->ij", shown, centred, centred)
    np.testing.assert_allclose(covariance, matrix(factor[0, 0]), rtol=1e-3)


def test_bounds_of_error_and_loss():
    xy, sigma, target = torch.zeros(1, 1, 2), torch.full((1, 1, 2), 0.01), torch.tensor([[[0.5, 0.002]]])
    one = torch.ones(1, 1)
    plain, bounded = (RLE("64x64", max_error=m).loss((xy, sigma, None), target, one).item() for m in (None, 10))
    # Errors of 50 and 0.2 scales.
    assert plain - bounded == pytest.approx(50 - 10, rel=1e-5)
    out = target.clone().requires_grad_(), torch.full((1, 1, 2), LEAST_SCALE), None
    assert RLE("64x64").loss(out, target, one) < -10
    loss = RLE("64x64", least_loss=0).loss(out, target, one)
    loss.backward()
    assert loss == 0 and (out[0].grad == 0).all()
