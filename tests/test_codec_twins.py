"""Codecs against slow twins written from the papers, and readouts on maps that no network should emit."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays as random_arrays

from poserep.codecs import DARK, Argmax, Gaussian, Heatmap, MultiScale, QuarterShift, SimCC
from poserep.codecs.losses import KL, MSE
from poserep.geometry import ALIGNMENTS
from reference import twins

maps = random_arrays(np.float64, (7, 9), elements=st.floats(0.01, 1), unique=True)
check = settings(deadline=None, max_examples=20, derandomize=True, database=None)


@pytest.mark.parametrize("align", ALIGNMENTS)
def test_unbiased_target_is_the_papers_gaussian(align):
    codec = Heatmap("64x48", sigma=1.5, quantise="none", truncate=None, align=align)
    xy = torch.tensor([[[11.3, 50.9], [0.0, 0.0], [47.0, 63.0]]])
    target, _ = codec.encode(xy, torch.ones(1, 3))
    for joint, (x, y) in enumerate(xy[0]):
        twin = twins.gaussian_map(float(codec.x.to_bin(x)), float(codec.y.to_bin(y)), 16, 12, 1.5)
        np.testing.assert_allclose(target[0, joint], twin, atol=1e-6)


def test_quantised_target_is_the_gaussian_around_the_nearest_bin_cut_at_three_sigma():
    codec = Heatmap("64x48", sigma=1.0)
    target, _ = codec.encode(torch.tensor([[[20.9, 40.0]]]), torch.ones(1, 1))
    twin = twins.gaussian_map(5, 10, 16, 12, 1.0)  # bins (20.9 + .5) / 4 - .5 = 4.85 and 9.625
    rows, columns = np.mgrid[:16, :12]
    twin[(abs(columns - 5) > 3) | (abs(rows - 10) > 3)] = 0
    np.testing.assert_allclose(target[0, 0], twin, atol=1e-6)


@check
@given(maps)
def test_quarter_shift_is_its_twin(heatmap):
    ours, peak = QuarterShift()(torch.from_numpy(heatmap)[None, None])
    np.testing.assert_allclose(ours[0, 0], twins.quarter_shift(heatmap))
    assert peak.item() == heatmap.max()


@check
@given(random_arrays(np.float64, (7, 9), elements=st.floats(0.01, 0.9), unique=True), st.integers(2, 4))
def test_dark_without_blur_is_newtons_step_on_the_logarithm(heatmap, row):
    heatmap[row, 4] = 1.0
    ours, _ = DARK(kernel=1, max_step=None)(torch.from_numpy(heatmap)[None, None])
    np.testing.assert_allclose(ours[0, 0], twins.taylor_step(heatmap), rtol=1e-6, atol=1e-6)


@check
@given(random_arrays(np.float64, (9, 11), elements=st.floats(-1, 1)), st.sampled_from([1, 3, 11]), st.floats(0.1, 2))
def test_bounded_dark_steps_stay_near_the_maximum(heatmap, kernel, limit):
    given = torch.from_numpy(heatmap)[None, None]
    ours, _ = DARK(kernel, max_step=limit)(given)
    start, _ = Argmax()(given)
    assert torch.isfinite(ours).all() and ((ours - start).abs() <= limit + 1e-9).all()


@pytest.mark.parametrize("readout", [Argmax(), QuarterShift(), DARK(), DARK(3, None)], ids=str)
@pytest.mark.parametrize("value", [0.0, -0.3, 1e-12, 0.5])
def test_flat_maps_decode_to_a_bin_of_the_map(readout, value):
    position, peak = readout(torch.full((1, 2, 16, 12), value))
    assert (position == 0).all() and torch.allclose(peak, torch.tensor(value))


def test_gaussian_label_is_its_twin():
    for sigma, x in ((6.0, 10.2), (4.0, 95.4), (2.0, 0.0)):
        ours = Gaussian(sigma)(torch.tensor([[x]]), 96)[0, 0]
        np.testing.assert_allclose(ours, twins.simcc_label(x, 96, sigma), atol=1e-7)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_simcc_loss_is_its_twin(reduction):
    rng = np.random.default_rng(0)
    logits, weight = rng.normal(size=(2, 3, 8)), np.array([[1.0, 0.0, 1.0], [1.0, 1.0, 0.5]])
    target = rng.dirichlet(np.ones(8), (2, 3))
    each = np.array([[twins.cross_entropy(logits[b, k], target[b, k]) for k in range(3)] for b in range(2)])
    ours = KL(reduction)(*(torch.from_numpy(v) for v in (logits, target, weight)))
    expected = (each * weight).sum(1).mean() if reduction == "sum" else (each / 8 * weight).mean()
    assert ours.item() == pytest.approx(expected)


def test_heatmap_loss_counts_masked_joints_in_the_mean():
    out, target = torch.zeros(1, 2, 2, 2), torch.ones(1, 2, 2, 2)
    assert MSE()(out, target, torch.tensor([[1.0, 0.0]])).item() == pytest.approx(0.5 * 0.5)
    assert MSE(1)(out, target, torch.tensor([[2.0, 0.0]])).item() == pytest.approx(4 * 0.5)


def test_the_contract_score_falls_with_doubt_and_is_comparable_across_codecs():
    xy, weight = torch.tensor([[[30.3, 21.7]]]), torch.ones(1, 1)
    for codec in (Heatmap("64x64"), SimCC("64x64"), SimCC("64x64", label=Gaussian(2.0))):
        perfect = codec.oracle(codec.encode(xy, weight)[0])
        doubtful = tuple(o / 2 for o in perfect) if isinstance(perfect, tuple) else perfect / 2
        assert codec.decode(doubtful).score < 0.9 * codec.decode(perfect).score


def test_rounded_labels_beyond_the_crop_show_their_tail_alone():
    codec = SimCC(
        "64x64", k=2, label=Gaussian(6.0, renormalise=False, rounded=True), align="corner", bounds="published"
    )
    (x, _), weight = codec.encode(torch.tensor([[[-12.0, 30.0]]]), torch.ones(1, 1))
    assert weight.item() == 1 and x.max().item() == pytest.approx(1e-4, abs=1e-4) and x.argmax() == 0


@pytest.mark.parametrize("x", [0.3, 20.9, 80.0, 156.4, 158.6, 159.2])
def test_ceiling_in_pixels_draws_the_studys_gaussian(x):
    codec = Heatmap("160x160", sigma=7.16 / 4, quantise="ceil", grid="px", truncate=None, align="corner")
    target, _ = codec.encode(torch.tensor([[[x, 80.0]]]), torch.ones(1, 1))
    # Drawn at input resolution around the ceiling, of which every fourth pixel is kept.
    drawn = twins.gaussian_map(math.ceil(x), 80, 160, 160, 7.16)[::4, ::4]
    np.testing.assert_allclose(target[0, 0], drawn, atol=1e-5)


@pytest.mark.parametrize("point", [(210.0, 100.0), (214.5, 30.0), (100.0, 277.0), (-20.0, 60.0), (80.0, 60.0)])
@pytest.mark.parametrize("align", ALIGNMENTS)
def test_drawn_targets_of_joints_beside_the_crop_lie_on_their_side(point, align):
    codec = MultiScale("256x192", targets="drawn", align=align, bounds="published", truncate=None)
    targets, weight = codec.encode(torch.tensor([[point]]), torch.ones(1, 1))
    if weight.item() == 0:
        assert all((t == 0).all() for t in targets)
        return
    for target in targets:
        height, width = target.shape[-2:]
        y, x = divmod(target[0, 0].argmax().item(), width)
        if target.max() > 1e-6:
            nearest = (
                min(max(v, 0), side) * n / side for v, side, n in zip(point, (192, 256), (width, height), strict=True)
            )
            assert all(abs(a - b) <= 1 for a, b in zip((x, y), nearest, strict=True))


def test_targets_are_constants_of_the_loss():
    logits, target = torch.randn(1, 2, 5), torch.rand(1, 2, 5, requires_grad=True)
    assert not KL()(logits, target, torch.ones(1, 2)).requires_grad
