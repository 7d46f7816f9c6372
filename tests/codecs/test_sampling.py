"""Samples of maps: their distribution, their randomness, and what training on them does to a map's shape."""

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from poserep.codecs import Integral, SamplingArgmax, SoftArgmax
from poserep.errors import InputError

# Two joints at opposite ends: a few bins each.
LOGITS = torch.full((1, 2, 6, 5), -20.0)
LOGITS[0, 0, 1, 2], LOGITS[0, 0, 2, 3], LOGITS[0, 0, 4, 0] = 1.0, 0.5, 0.0
LOGITS[0, 1, 3, 1] = 2.0


def test_samples_follow_the_mixture_of_triangles():
    torch.manual_seed(0)
    drawn = SamplingArgmax("24x20", samples=20_000, tau=0.01).draw(LOGITS)[0].numpy()
    rng = np.random.default_rng(0)
    for j in range(2):
        p = np.exp(LOGITS[0, j].double().numpy())
        p /= p.sum()
        chosen = rng.choice(p.size, 20_000, p=p.ravel())
        bins = np.stack([chosen % 5, chosen // 5], -1)
        samples = bins + rng.triangular(-1, 0, 1, bins.shape)
        for ours, theirs in ((drawn[j], samples), (drawn[j] ** 2, samples**2), (drawn[j].prod(-1), samples.prod(-1))):
            np.testing.assert_allclose(ours.mean(0), theirs.mean(0), rtol=0.03, atol=0.02)


def test_losses_follow_the_seed_alone_and_have_gradients():
    codec = SamplingArgmax("24x20")
    target, weight = codec.encode(torch.tensor([[[9.0, 6.0], [5.0, 13.0]]]), torch.ones(1, 2))

    def step(seed: int):
        torch.manual_seed(seed)
        out = LOGITS.clone().requires_grad_()
        loss = codec.loss(out, target, weight)
        loss.backward()
        return loss.detach(), out.grad

    (loss, grad), again, other = step(1), step(1), step(2)
    assert loss == again[0] and torch.equal(grad, again[1]) and loss != other[0]
    assert torch.isfinite(grad).all() and grad[0, 0].abs().max() > 1e-4


def test_training_on_samples_narrows_a_map_whose_mean_is_right():
    # Two equal peaks on either side of the joint: nothing is wrong with their mean.
    start = torch.zeros(1, 1, 8, 8)
    start[..., 3, 1] = start[..., 3, 6] = 3.0
    xy = torch.tensor([[[15.5, 13.5]]])
    spread = {}
    for kind in (Integral, SamplingArgmax):
        codec, out = kind("32x32"), start.clone().requires_grad_()
        target, weight = codec.encode(xy, torch.ones(1, 1))
        optimizer = torch.optim.Adam([out], lr=0.1)
        for step in range(60):
            torch.manual_seed(step)
            optimizer.zero_grad()
            codec.loss(out, target, weight).backward()
            optimizer.step()
        columns = codec.probabilities(out.detach())[0, 0].sum(0)
        spread[kind] = (columns * (torch.arange(8) - target[0][0, 0, 0]) ** 2).sum().item()
    assert spread[SamplingArgmax] < 0.5 * spread[Integral]


def test_samples_have_no_bias_to_take_out():
    with pytest.raises(InputError, match="debias='exact' is for means"):
        SamplingArgmax("64x64", position=SoftArgmax(10.0, "exact"))


def test_the_loss_is_the_mean_over_samples_and_its_gradient_that_of_finite_differences():
    codec = SamplingArgmax("16x12", samples=3)
    target, weight = codec.encode(torch.tensor([[[9.0, 6.0], [5.0, 13.0]]]), torch.tensor([[1.0, 0.0]]))
    out = torch.randn(1, 2, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()

    def loss(logits: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(0)
        return codec.distance(logits, target[0].double(), weight)

    torch.manual_seed(0)
    drawn = codec.draw(out.detach())[0, 0].numpy()
    centre = target[0][0, 0].numpy()
    # In halves of the map, added over both axes, averaged over samples and joints, one of which has no weight.
    due = sum(abs(drawn[i, axis] - centre[axis]) / half for i in range(3) for axis, half in ((0, 1.5), (1, 2.0))) / 6
    assert loss(out).item() == pytest.approx(due, rel=1e-6)
    assert gradcheck(loss, out, atol=1e-7, rtol=1e-5)
