"""Losses: values by hand, gradients against finite differences, joints without weight."""

import math

import pytest
import torch
from torch.autograd import gradcheck

from codec_cases import CASES, each, leaves, noise, points
from poserep.codecs.integral import jensen_shannon
from poserep.codecs.losses import KL, MSE, OHKM, CrossEntropy, Distance, cross_entropy
from poserep.codecs.regression import residual_likelihood
from poserep.errors import InputError
from poserep.models.heads.points import RealNVP

WEIGHT = torch.tensor([[1.0, 0.0, 1.0, 0.5, 1.5]] * 2, dtype=torch.float64)


def given(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(2, 5, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def differentiable(function, *inputs: torch.Tensor) -> bool:
    return gradcheck(function, [i.clone().requires_grad_() for i in inputs], atol=1e-8, rtol=1e-6)


@pytest.mark.parametrize("loss", [MSE(), MSE(1.0), OHKM(3), OHKM(5, factor=1.0)], ids=str)
def test_gradients_of_map_losses(loss):
    target = given(4, 3, seed=1)
    assert differentiable(lambda out: loss(out, target, WEIGHT), given(4, 3))


@pytest.mark.parametrize("loss", [KL("sum"), KL("mean"), CrossEntropy("sum"), CrossEntropy("mean")], ids=str)
@pytest.mark.parametrize("kind", ["distribution", "partial", "onehot", "empty"])
def test_gradients_of_classification_losses(loss, kind):
    target = given(7, seed=1).softmax(-1)
    if kind == "partial":  # a Gaussian cut by the border, not made to sum to one
        target = target * 0.3
    elif kind == "onehot":
        target = torch.nn.functional.one_hot(target.argmax(-1), 7).double()
    elif kind == "empty":
        target = torch.zeros_like(target)
    assert differentiable(lambda out: loss(out, target, WEIGHT), 3 * given(7))


@pytest.mark.parametrize("norm", ["l1", "l2", "squared"])
def test_gradients_of_distances(norm):
    target = given(2, seed=1)
    assert differentiable(lambda out: Distance(norm)(out, target, WEIGHT), given(2))


def test_gradients_of_the_divergence_between_maps():
    target = given(4, 3, seed=1).flatten(2).softmax(-1).view(2, 5, 4, 3)
    assert differentiable(lambda out: jensen_shannon(out, target).sum(), 2 * given(4, 3))


@pytest.mark.parametrize("flow", [False, True])
def test_gradients_of_the_residual_likelihood(flow):
    torch.manual_seed(0)
    density = RealNVP(2, 4).double().log_prob if flow else None
    sigma = given(2, seed=1).sigmoid()
    assert differentiable(lambda d, s: residual_likelihood(d, s, density).sum(), given(2), sigma)


FAMILIES = {case.name: case for case in CASES if case.size == "64x64" and case.align == "centre"}


@pytest.mark.parametrize("name", ["heatmap", "sr1", "srpose", "ipr", "dsnt", "regression", "rle", "axis-heatmap-k1",
                                  "simcc-equal-k2", "simcc-gaussian-k1.5", "simcc-laplace-k3"])  # fmt: skip
def test_gradients_of_codec_losses_along_a_direction(name):
    codec = FAMILIES[name]()
    target, weight = codec.encode(points("64x64", margin=0.2), torch.ones(2, 5))
    start = noise(codec.oracle(target), 0.3)
    if name == "rle":
        start = (start[0], start[1].abs() + 0.1, None)
    way = noise(each(start, torch.zeros_like), 1.0, seed=1)
    out = each(start, lambda o: o.clone().requires_grad_())
    codec.loss(out, target, weight).backward()
    slope = sum((o.grad * w).sum() for o, w in zip(leaves(out), leaves(way), strict=True)).item()

    def at(step: float) -> float:
        ways = iter(leaves(way))
        return codec.loss(each(start, lambda o: o + step * next(ways)), target, weight).item()

    # Codecs compute losses in float32: seven digits of the value, of which a difference keeps about three.
    assert slope == pytest.approx((at(0.01) - at(-0.01)) / 0.02, rel=2e-2, abs=1e-3)


def test_cross_entropy_is_its_definition():
    logits, target = 5 * given(9), given(9, seed=1).softmax(-1)
    torch.testing.assert_close(cross_entropy(logits, target), -(target * logits.log_softmax(-1)).sum(-1))


def test_divergence_differs_from_cross_entropy_by_the_entropy_of_the_target():
    logits, target = given(9), given(9, seed=1).softmax(-1)
    one = torch.ones(2, 5, dtype=torch.float64)
    entropy = -(target * target.log()).sum(-1)
    for reduction, factor in (("sum", 5.0), ("mean", 1 / 9)):
        difference = CrossEntropy(reduction)(logits, target, one) - KL(reduction)(logits, target, one)
        torch.testing.assert_close(difference, entropy.mean() * factor)


def test_extreme_logits_stay_finite():
    logits = torch.tensor([[[1e4, -1e4, 0.0]]], requires_grad=True)
    target = torch.tensor([[[0.0, 1.0, 0.0]]])
    loss = KL()(logits, target, torch.ones(1, 1))
    loss.backward()
    assert loss.item() == pytest.approx(2e4) and torch.isfinite(logits.grad).all()


def test_hard_keypoint_mining_counts_the_worst_joints_of_each_sample():
    out, target = torch.zeros(2, 3, 1, 1), torch.tensor([[1.0, 2.0, 3.0], [3.0, 1.0, 1.0]])[..., None, None]
    loss = OHKM(2)(out, target, torch.ones(2, 3))
    assert loss.item() == pytest.approx(0.5 * ((9 + 4) / 2 + (9 + 1) / 2) / 2)
    with pytest.raises(InputError, match="top=8 of 3 joints"):
        OHKM()(out, target, torch.ones(2, 3))


def test_distances_by_hand():
    out, target, one = torch.tensor([[[3.0, -4.0]]]), torch.zeros(1, 1, 2), torch.ones(1, 1)
    assert [Distance(n)(out, target, one).item() for n in ("l1", "l2", "squared")] == [7.0, 5.0, 25.0]


def test_distance_of_a_perfect_point_has_a_gradient():
    out = torch.zeros(1, 1, 2, requires_grad=True)
    Distance("l2")(out, torch.zeros(1, 1, 2), torch.ones(1, 1)).backward()
    assert torch.isfinite(out.grad).all()


def test_divergence_between_maps_is_bounded():
    spike, other = torch.full((1, 1, 2, 2), -100.0), torch.zeros(1, 1, 2, 2)
    spike[..., 0, 0] = 100.0
    other[..., 1, 1] = 1.0
    assert jensen_shannon(spike, other).item() == pytest.approx(math.log(2))
    assert jensen_shannon(other.log().clamp_min(-100), other).item() == pytest.approx(0, abs=1e-6)
