"""Decoding, targets and errors against moai, the reproduction study's framework; exceptions in reference/README.md."""

from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor

from poserep.codecs import DARK, Argmax, CentreOfMass, Heatmap, Integral, SecondMax, SoftArgmax
from poserep.metrics.human4d import code_hits, code_rmse
from reference.vectors import arrays, full, tensors

H, W = 32, 24
SIDES = torch.tensor([W, H])


def to_bins(position: Tensor, grid: str, ends: str) -> Tensor:
    """Positions (..., 2), x first, on one of moai's grids, in bins."""
    bins = {"coord": position, "norm": position * SIDES, "ndc": (position + 1) / 2 * SIDES}[grid]
    # "Inclusive" grids start at a bin's corner, "exclusive" ones at its centre.
    return bins - 0.5 if ends == "exc" else bins


def x_first(position: Tensor, order: str, flip: str) -> Tensor:
    """Grids are ordered x, y unless they say "yxz", and the decoders' ``flip`` turns that round."""
    return position.flip(-1) if (order == "yxz") != (flip == "1") else position


def same_bins(ours: Tensor, theirs: Tensor) -> None:
    # Theirs are float32 sums of 768 products.
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-6)


@pytest.mark.parametrize("file", full("moai_decode"))
def test_spatial_softmax_and_centre_of_mass_are_moais(file):
    v = tensors(file)
    codec = Integral("128x96", align="corner")
    torch.testing.assert_close(codec.density(v["logit"])["map"], v["prob"], atol=1e-5, rtol=0)
    # Its temperature multiplies the logits.
    torch.testing.assert_close(codec.density(2 * v["logit"])["map"], v["prob_temp2"], atol=1e-5, rtol=0)
    same_bins(SoftArgmax(beta=2)(v["logit"])[0], CentreOfMass()(v["prob_temp2"])[0])
    ours, soft = CentreOfMass()(v["prob"])[0], SoftArgmax(beta=1)(v["logit"])[0]
    for grid, ends, order, flip in product(("ndc", "coord", "norm"), ("inc", "exc"), ("xyz", "zyx", "yxz"), "10"):
        theirs = to_bins(x_first(v[f"com_{grid}_{ends}_{order}_f{flip}"], order, flip), grid, ends)
        same_bins(ours, theirs)
        same_bins(soft, theirs)


@pytest.mark.parametrize("file", full("moai_decode"))
def test_argmax_and_steps_to_the_second_maximum_and_by_taylor_are_moais(file):
    v = tensors(file)
    highest, second = Argmax()(v["prob"])[0], SecondMax()(v["prob"])[0]
    for order, flip in product(("xyz", "zyx", "yxz"), "10"):
        # Its grid ends at n - 1, and moai divides that by the other side's n: the step is a quarter only if square.
        swapped = (SIDES - 1) / SIDES.flip(0) if order != "yxz" else (SIDES - 1) / SIDES
        theirs = x_first(v[f"argmax_coord_inc_{order}_f{flip}"], order, flip)
        same_bins(highest, theirs)
        theirs = x_first(v[f"standard_b1_coord_inc_{order}_f{flip}"], order, flip)
        same_bins(highest + (second - highest) * swapped, theirs)
    assert torch.equal(highest, v["taylor_in"])
    same_bins(DARK(kernel=None, max_step=None)(v["prob"])[0], v["taylor_coord"])


# 3 % of the map's diagonal, which is 40; on the other grids 3 % of each side, and "ndc", two sides wide, doubles twice.
STANDARD_DEVIATION = {"coord": (1.2, 1.2), "norm": (0.03 * W, 0.03 * H), "ndc": (0.06 * W, 0.06 * H)}


@pytest.mark.parametrize("file", full("moai_decode"))
@pytest.mark.parametrize("grid", STANDARD_DEVIATION)
def test_isotropic_gaussians_are_moais(file, grid):
    v, sigma = tensors(file), STANDARD_DEVIATION[grid]
    ours = [Heatmap("32x24", stride=1, sigma=s, quantise="none", truncate=None, align="corner") for s in sigma]
    centre = to_bins(v[f"gauss_{grid}_kp"], grid, "inc")
    weight = torch.ones(centre.shape[:-1])
    # No codec of ours draws ovals; their factors are those of two codecs.
    maps = ours[1].profiles(centre, weight)[1][..., :, None] * ours[0].profiles(centre, weight)[0][..., None, :]
    # "Scaled" ones are densities, in the grid's own unit.
    density = {"coord": 1, "norm": W * H, "ndc": W * H / 4}[grid] / (2 * torch.pi * sigma[0] * sigma[1])
    inside = ((centre >= -0.5) & (centre < SIDES - 0.5)).all(-1)
    assert 0 < (~inside).sum() < 0.5 * inside.numel()
    for scale, factor in (("0", 1.0), ("1", density)):
        torch.testing.assert_close(maps, v[f"gauss_{grid}_n0_s{scale}"] / factor, atol=1e-5, rtol=0)
        # Tails of joints up to 8 sigma off the map, blown up to sum to one, show float32's rounding of the position.
        error = (maps / maps.sum((-2, -1), keepdim=True) - v[f"gauss_{grid}_n1_s{scale}"]).abs().amax((-2, -1))
        assert (error[inside] < 1e-5).all()
        assert (error < 1e-4).all()


@pytest.mark.parametrize("file", full("eval_moai"))
def test_pckh_and_rmse_per_coordinate_are_moais(file):
    v, step = arrays(file), np.finfo(np.float32).eps
    for name, alpha in (("pck50", 0.5), ("pck10", 0.1)):
        right, counted = code_hits(v["gt"], v["pred"], v["gt_mask"], v["pred_mask"], (2, 3), alpha)
        assert (counted & ~(v["gt_mask"] & v["pred_mask"])).any()
        np.testing.assert_allclose(100 * right.sum() / counted.sum(), v[name], rtol=step)
        per_image = 100 * right.sum((1, 2)) / counted.sum((1, 2))
        np.testing.assert_allclose(per_image, v[f"{name}_perimage"], rtol=step)
    for name, weight in (("rmse", np.ones(1)), ("rmse_w", v["weights"])):
        np.testing.assert_allclose(code_rmse(v["gt"], v["pred"], weight).mean(), v[name], rtol=step)
