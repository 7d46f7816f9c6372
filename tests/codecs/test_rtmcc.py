"""RTMPose's labels and losses in loops, and their gradients against finite differences."""

import math

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from poserep.codecs import Gaussian, SimCC, Softened, UnitGaussian
from poserep.codecs.losses import KL, MLECC

XY = np.array([[[3.2, 40.0], [20.7, 11.1], [31.4, -0.4]], [[0.0, 0.0], [15.5, 63.4], [-9.0, 30.0]]])
WEIGHT = np.array([[1.0, 0.5, 1.0], [1.0, 0.0, 1.0]])
LENGTHS = (32, 64)  # of x and of y, px


def labels(temperature: float, k: int = 2) -> list[np.ndarray]:
    """Softened Gaussians around the exact position, sample by sample, bin by bin."""
    targets = [np.zeros((2, 3, k * length)) for length in LENGTHS]
    for target, length, axis in zip(targets, LENGTHS, (0, 1), strict=True):
        n = k * length
        for b, j in np.ndindex(WEIGHT.shape):
            shown = all(-0.5 <= XY[b, j, a] < LENGTHS[a] - 0.5 for a in (0, 1))
            if WEIGHT[b, j] == 0 or not shown:
                continue
            mu = (XY[b, j, axis] + 0.5) * n / length - 0.5
            share = [math.exp(math.exp(-((i - mu) ** 2) / (2 * n / 16)) / temperature) for i in range(n)]
            target[b, j] = np.array(share) / sum(share)
    return targets


def given(seed: int = 0) -> list[torch.Tensor]:
    rng = np.random.default_rng(seed)
    return [torch.from_numpy(0.3 * rng.normal(size=(2, 3, 2 * length))) for length in LENGTHS]


def softmax(z: np.ndarray) -> np.ndarray:
    return np.exp(z - z.max()) / np.exp(z - z.max()).sum()


def test_labels_are_softened_gaussians_of_the_exact_position():
    codec = SimCC("64x32", label=Softened(temperature=0.2), beta=10)
    target, weight = codec.encode(torch.from_numpy(XY), torch.from_numpy(WEIGHT))
    assert weight.tolist() == [[1, 0.5, 1], [1, 0, 0]]
    for ours, loop in zip(target, labels(0.2), strict=True):
        np.testing.assert_allclose(ours.numpy(), loop, atol=1e-6)


def test_losses_are_their_definitions():
    codec, out = SimCC("64x32", label=Softened(), beta=10), given()
    target, weight = codec.encode(torch.from_numpy(XY), torch.from_numpy(WEIGHT))
    divergence, means, likelihood = 0.0, 0.0, 0.0
    for b, j in np.ndindex(WEIGHT.shape):
        w, q = weight[b, j].item(), 1.0
        for o, t in zip(out, labels(0.1), strict=True):
            p = softmax(10 * o[b, j].numpy())
            if w:
                each = sum(ti * (math.log(ti) - math.log(pi)) for ti, pi in zip(t[b, j], p, strict=True) if ti)
                divergence, means = divergence + w * each / 2, means + w * each / len(p) / 3
            q *= float(p @ t[b, j])
        likelihood -= w * math.log(q + 1e-4) / 6
    for criterion, due in ((KL("sum"), divergence), (KL("samples"), means), (MLECC(), likelihood)):
        codec.criterion = criterion
        assert codec.loss(tuple(out), target, weight).item() == pytest.approx(due, rel=1e-5)


@pytest.mark.parametrize("criterion", [KL("samples"), MLECC(), MLECC("linear"), MLECC("square")], ids=str)
def test_gradients(criterion):
    label = Softened() if isinstance(criterion, KL) else UnitGaussian()
    codec = SimCC("64x32", label=label, beta=10, criterion=criterion)
    target, weight = codec.encode(torch.from_numpy(XY), torch.from_numpy(WEIGHT))
    target, codec._scaled = tuple(t.double() for t in target), lambda o: 10 * o
    out = [o.requires_grad_() for o in given()]
    assert gradcheck(lambda x, y: codec.loss((x, y), target, weight), out, atol=1e-7, rtol=1e-5)


def test_a_likelihood_is_greatest_on_the_label_s_highest_bin_and_ignores_joints_without_weight():
    codec = SimCC("64x32", label=UnitGaussian(rounded=True), beta=10, criterion=MLECC())
    (x, y), weight = codec.encode(torch.from_numpy(XY), torch.from_numpy(WEIGHT))
    one = tuple(100 * (t == t.amax(-1, keepdim=True)).float() for t in (x, y))
    best = codec.loss(one, (x, y), weight)
    assert best.item() == pytest.approx(-math.log(1 + 1e-4) * weight.mean().item(), abs=1e-6)
    assert codec.loss(codec.oracle((x, y)), (x, y), weight) == pytest.approx(best)
    assert codec.loss((codec.logits(x), codec.logits(y)), (x, y), weight) > best
    moved = tuple(torch.where((weight > 0)[..., None], o, -o) for o in one)
    assert torch.equal(codec.loss(moved, (x, y), weight), best)


def test_a_standard_deviation_for_each_axis():
    xy, one = torch.tensor([[[10.0, 20.0]]]), torch.ones(1, 1)
    both, x, y = (SimCC("64x32", label=Gaussian(sigma)) for sigma in ((2.0, 5.0), 2.0, 5.0))
    target = both.encode(xy, one)[0]
    assert torch.equal(target[0], x.encode(xy, one)[0][0]) and torch.equal(target[1], y.encode(xy, one)[0][1])
    assert both.least_peaks == (x.least_peaks[0], y.least_peaks[1])


def test_published_scores_are_logits():
    codec = SimCC("64x32", label=Softened(), beta=10, align="corner", score="published")
    out = torch.full((1, 2, 64), -1.0), torch.full((1, 2, 128), -1.0)
    out[0][0, 0, 21], out[1][0, 0, 40] = 0.7, 1.3
    points = codec.decode(out)
    torch.testing.assert_close(points.score, torch.tensor([[0.7, -1.0]]))
    assert points.xy[0, 0].tolist() == [10.5, 20.0] and codec.deviations.score_threshold == 0.2
    plain = SimCC("64x32", label=Softened(), beta=10, align="corner").decode(out)
    assert ((plain.score >= 0) & (plain.score <= 1)).all() and torch.equal(plain.xy, points.xy)
