"""Losses: values by hand, and the gradient that is our own against finite differences."""

import math

import pytest
import torch
from torch.autograd import gradcheck
from torch.nn import functional as F

from poserep.codecs.integral import jensen_shannon
from poserep.codecs.losses import KL, OHKM, CrossEntropy, Distance, cross_entropy
from poserep.errors import InputError

WEIGHT = torch.tensor([[1.0, 0.0, 1.0, 0.5, 1.5]] * 2, dtype=torch.float64)
ONE = torch.ones(2, 5, dtype=torch.float64)


def given(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(2, 5, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("loss", [KL("sum"), KL("mean"), CrossEntropy("sum"), CrossEntropy("mean")], ids=str)
def test_gradients_of_classification_losses(loss):
    whole = given(7, seed=1).softmax(-1)
    # One that is a Gaussian cut by the border, one that is a spike, and none at all.
    for target in (whole, 0.3 * whole, F.one_hot(whole.argmax(-1), 7).double(), torch.zeros_like(whole)):
        out = (3 * given(7)).requires_grad_()
        assert gradcheck(lambda out, target=target: loss(out, target, WEIGHT), out, atol=1e-8, rtol=1e-6)


def test_cross_entropy_is_its_definition_and_divergence_that_without_the_entropy_of_the_target():
    logits, target = 5 * given(9), given(9, seed=1).softmax(-1).requires_grad_()
    torch.testing.assert_close(cross_entropy(logits, target), -(target.detach() * logits.log_softmax(-1)).sum(-1))
    entropy = -(target * target.log()).sum(-1).detach()
    for reduction, factor in (("sum", 5.0), ("mean", 1 / 9)):
        difference = CrossEntropy(reduction)(logits, target, ONE) - KL(reduction)(logits, target, ONE)
        torch.testing.assert_close(difference, entropy.mean() * factor)
        assert not difference.requires_grad, "targets are constants"


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


def test_distances_by_hand_and_the_gradient_of_a_perfect_point():
    out, target, one = torch.tensor([[[3.0, -4.0]]]), torch.zeros(1, 1, 2), torch.ones(1, 1)
    assert [Distance(n)(out, target, one).item() for n in ("l1", "l2", "squared")] == [7.0, 5.0, 25.0]
    perfect = target.clone().requires_grad_()
    Distance("l2")(perfect, target, one).backward()
    assert torch.isfinite(perfect.grad).all()


def test_divergence_between_maps_is_bounded():
    spike, other = torch.full((1, 1, 2, 2), -100.0), torch.zeros(1, 1, 2, 2)
    spike[..., 0, 0] = 100.0
    other[..., 1, 1] = 1.0
    assert jensen_shannon(spike, other).item() == pytest.approx(math.log(2))
    assert jensen_shannon(other.log().clamp_min(-100), other).item() == pytest.approx(0, abs=1e-6)
