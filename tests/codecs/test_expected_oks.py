"""Expected OKS: readouts and risk against loops, on maps whose answer is known, and what scores come of it."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch.autograd import gradcheck

from codec_cases import PERM, SIGMAS, points
from poserep.codecs import AxisExpectedOKS, ExpectedOKS, Heatmap, PersonArea, ProbMap, ProbPose, SameSpread, SimCC
from poserep.codecs.losses import ExpectedRisk
from poserep.errors import InputError
from reference import loops


def maps(h: int = 14, w: int = 11, seed: int = 0) -> torch.Tensor:
    """Distributions (3, 5, h, w), float64: several peaks, some of them beside the map, and noise alone."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:h, :w]
    x, y, v, height = (rng.uniform(low, high, (3, 5, 3)) for low, high in ((-1, w), (-1, h), (0.3, 6), (0, 1)))
    squares = (columns - x[..., None, None]) ** 2 + (rows - y[..., None, None]) ** 2
    found = (height[..., None, None] * np.exp(-squares / (2 * v[..., None, None]))).sum(2)
    found += 0.05 * rng.uniform(size=found.shape)
    found[0] = rng.uniform(size=found[0].shape)
    return torch.from_numpy(found / found.sum((2, 3), keepdims=True))


def test_expected_oks_of_every_bin_is_its_definition():
    p = maps()
    xy, value = loops.expected_oks(p.numpy(), (2 * np.array(SIGMAS)) ** 2 * 0.3 * 14 * 11)
    at, found = ExpectedOKS(SIGMAS, PersonArea(0.3), steps=0)(p)
    np.testing.assert_array_equal(at, xy)
    np.testing.assert_allclose(found, value, rtol=0, atol=1e-12)


def test_refined_points_are_the_maxima_of_expected_oks_nearby():
    p = maps(seed=1)
    s = (2 * np.array(SIGMAS)) ** 2 * 0.3 * 14 * 11
    start, lowest = ExpectedOKS(SIGMAS, PersonArea(0.3), steps=0)(p)
    at, value = ExpectedOKS(SIGMAS, PersonArea(0.3), steps=8)(p)
    few, nearly = ExpectedOKS(SIGMAS, PersonArea(0.3))(p)
    rows, columns = np.mgrid[:14, :11]
    for b, j in np.ndindex(3, 5):

        def loss(q, b=b, j=j):
            return -(p[b, j].numpy() * np.exp(-((columns - q[0]) ** 2 + (rows - q[1]) ** 2) / (2 * s[j]))).sum()

        best = minimize(loss, start[b, j].numpy(), method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-13})
        np.testing.assert_allclose(at[b, j], best.x, atol=1e-5)
        assert -loss(at[b, j].numpy()) == pytest.approx(value[b, j].item(), abs=1e-12)
    assert (value >= lowest).all() and (value - nearly).abs().max() < 1e-4 and (few - at).abs().max() < 0.05


def test_a_gaussian_is_read_exactly_by_one_step():
    x, y, v, s = 20.3, 15.62, 4.0, 6.0
    gx, gy = (torch.exp(-((torch.arange(40.0, dtype=torch.float64) - c) ** 2) / (2 * v)) for c in (x, y))
    at, value = ExpectedOKS((0.1,), SameSpread(s), steps=1)((gy[:, None] * gx)[None, None])
    torch.testing.assert_close(at[0, 0], torch.tensor([x, y], dtype=torch.float64), atol=1e-9, rtol=0)
    # The mean of exp(-d^2 / 2s) under a normal distribution of variance v on both axes.
    assert value.item() == pytest.approx(s / (s + v), abs=1e-9)


def test_the_better_of_two_places_is_the_one_that_serves_more_of_the_distribution():
    heatmap = torch.zeros(1, 1, 30, 30)
    heatmap[..., 4, 4] = 0.3
    heatmap[..., 20:23, 20:23] = 0.7 / 9
    at, value = ExpectedOKS((0.1,), SameSpread(8.0))(heatmap)
    torch.testing.assert_close(at[0, 0], torch.tensor([21.0, 21.0]))
    assert 0.6 < value.item() < 0.7
    # To a judge who only counts exact hits the single bin is better.
    assert ExpectedOKS((0.1,), SameSpread(0.05))(heatmap)[0][0, 0].tolist() == [4, 4]


def test_axes_are_read_as_the_map_that_they_span():
    x, y = (5 * torch.randn(2, 5, n, generator=torch.Generator().manual_seed(n)) for n in (50, 70))
    x, y = x.softmax(-1).double(), y.softmax(-1).double()
    at, value = ExpectedOKS(SIGMAS, steps=6)(y[..., :, None] * x[..., None, :])
    found, ex, ey = AxisExpectedOKS(SIGMAS, steps=6)(x, y)
    torch.testing.assert_close(found, at, atol=1e-6, rtol=0)
    torch.testing.assert_close(ex * ey, value, atol=1e-9, rtol=0)


def test_logits_become_distributions_by_softmax():
    logits = 3 * torch.randn(2, 5, 9, 8, generator=torch.Generator().manual_seed(0))
    p = (2 * logits).flatten(2).softmax(-1).view_as(logits)
    for ours, theirs in zip(ExpectedOKS(SIGMAS, beta=2.0)(logits), ExpectedOKS(SIGMAS)(p), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def test_probposes_readout_is_its_definition():
    p = maps(20, 24, seed=3)
    for s in (0.55, 1.7, 3.0):
        xy, value = loops.probpose(p.numpy(), np.full(5, s))
        at, found = ProbPose(SIGMAS, SameSpread(s))(p)
        np.testing.assert_allclose(at, xy, atol=1e-9)
        np.testing.assert_allclose(found, value, atol=1e-12)


def test_scores_are_the_expected_oks_whatever_a_perfect_target_would_give():
    xy = points("64x64", seed=2, margin=0.3)
    heatmap = Heatmap(
        "64x64", stride=1, sigma=2.0, quantise="none", readouts={"oks": ExpectedOKS(steps=4)}, sigmas=SIGMAS
    )
    simcc = SimCC("64x64", k=1, readouts={"oks": AxisExpectedOKS(steps=4)}, sigmas=SIGMAS)
    s = PersonArea()(torch.tensor(SIGMAS), 64, 64)
    for codec, sigma in ((heatmap, 2.0), (simcc, simcc.label.sigma)):
        decoded = codec.decode(codec.oracle(codec.encode(xy, torch.ones(2, 5))[0]))
        inner = s < 40
        torch.testing.assert_close(decoded.xy[:, inner], xy[:, inner], atol=5e-2, rtol=0)
        expected = (s / (s + sigma**2)).expand(2, 5)
        torch.testing.assert_close(decoded.score[:, inner], expected[:, inner], atol=5e-2, rtol=0)


def test_codecs_hand_their_sigmas_to_readouts_that_have_none():
    own, given = (1.0,) * 5, {"a": ExpectedOKS(), "b": ExpectedOKS(sigmas=(1.0,) * 5), "c": ProbPose()}
    codec = ProbMap("64x64", readouts=given, sigmas=SIGMAS)
    assert [read.sigmas for read in codec.readouts.values()] == [SIGMAS, own, SIGMAS]
    with pytest.raises(InputError, match=r"ExpectedOKS: no sigmas for 5 joints; pass sigmas=Skeleton\.sigmas"):
        ExpectedOKS()(torch.rand(1, 5, 4, 4))
    with pytest.raises(InputError, match="ProbMap: 5 sigmas for 3 joints"):
        codec.encode(torch.zeros(1, 3, 2), torch.ones(1, 3))


def test_risk_is_its_definition():
    p, weight = maps(seed=4), torch.tensor([[1.0, 0.0, 1.0, 0.5, 2.0]] * 3)
    codec = ProbMap("56x44", sigmas=SIGMAS)
    oks, kept = codec.encode(points("56x44", 3), weight)
    assert torch.equal(kept, weight)
    for smoothness in (0.0, 0.05, 0.7):
        value = ExpectedRisk(smoothness)(p, oks.double(), weight.double())
        assert value.item() == pytest.approx(loops.expected_risk(p.numpy(), oks.numpy(), weight.numpy(), smoothness))


@pytest.mark.parametrize("smoothness", [0.0, 0.05, 0.9])
def test_gradients_of_the_risk(smoothness):
    codec = ProbMap("28x20", sigmas=SIGMAS)
    oks, weight = codec.encode(points("28x20"), torch.tensor([[1.0, 0.0, 1.0, 0.5, 2.0]] * 2))
    logits = torch.randn(2, 5, 7, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    risk = ExpectedRisk(smoothness)

    def loss(out):
        return risk(out.flatten(2).softmax(-1).view_as(out), oks.double(), weight.double())

    assert gradcheck(loss, logits, atol=1e-8, rtol=1e-6)


def test_an_edge_penalty_widens_what_is_learnt():
    # The best Gaussian is a point without the penalty, and wider the higher that is.
    codec, best = ProbMap("64x64", sigmas=SIGMAS), []
    oks, weight = codec.encode(codec.to_px(torch.full((1, 5, 2), 8.0)), torch.ones(1, 5))
    squares = ((torch.arange(16.0) - 8) ** 2)[:, None] + (torch.arange(16.0) - 8) ** 2
    widths = [0.05 * 1.2**i for i in range(30)]
    p = torch.stack([(-squares / (2 * v)).flatten().softmax(-1).view(16, 16) for v in widths])
    for smoothness in (0.0, 0.01, 0.05, 0.3):
        risks = [ExpectedRisk(smoothness)(q.expand(1, 5, 16, 16), oks, weight) for q in p]
        best.append(widths[int(torch.stack(risks).argmin())])
    assert best == sorted(best) and best[0] == widths[0] and best[-1] > 4 * best[1] > 0


def test_published_points_are_stretched():
    exact, published = (ProbMap("256x192", align="edge", px_per_bin=s, sigmas=SIGMAS) for s in ("exact", "published"))
    ends = torch.tensor([[[0.0, 0.0], [47.0, 63.0]]])
    torch.testing.assert_close(exact.to_px(ends)[0], torch.tensor([[0.0, 0.0], [191.0, 255.0]]))
    torch.testing.assert_close(published.to_px(ends)[0], torch.tensor([[0.0, 0.0], [192.0, 256.0]]))


def test_the_flip_test_of_probability_maps_averages_probabilities():
    codec = ProbMap("64x64", sigmas=SIGMAS)
    out, other = (torch.randn(1, 5, 16, 16, generator=torch.Generator().manual_seed(i)) for i in (0, 1))
    merged = codec.probabilities(codec.merge(out, other, PERM))
    torch.testing.assert_close(merged, (codec.probabilities(out) + codec.probabilities(other)[:, PERM].flip(-1)) / 2)
    assert merged.sum().item() == pytest.approx(5, abs=1e-5) and math.isfinite(merged.amax())
