"""NerPE's head and codec against loops over queries and neighbours, and by finite differences."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from model_cases import head_on
from poserep.codecs import Argmax, ContinuousHeatmap
from poserep.errors import InputError
from poserep.geometry import ALIGNMENTS
from poserep.models import ImplicitHead
from reference import implicit_loops as loops

JOINTS, CHANNELS = 3, 6


def made(size: str = "32x24", stride: int = 8, align: str = "centre", **options):
    """Codec, a small head in float64, and features, whose values are of the order of 1."""
    codec = ContinuousHeatmap(size, align=align, scale=options.pop("scale", 1))
    torch.manual_seed(0)
    options = {"width": 5, "hidden": (7, 4), **options}
    head = head_on(ImplicitHead, codec, (CHANNELS,), (stride,), JOINTS, **options).double()
    maps = torch.randn(2, CHANNELS, codec.y.length // stride, codec.x.length // stride, dtype=torch.float64)
    return codec, head, maps


def layers(head):
    linear = [head.first, *(layer for layer in head.others if isinstance(layer, torch.nn.Linear))]
    return [(layer.weight.detach(), layer.bias.detach()) for layer in linear]


def normalised(px, codec):
    """Coordinates of which the longer side is [-1, 1] from border to border, from px (..., 2)."""
    side = torch.tensor([codec.x.length, codec.y.length], dtype=torch.float64)
    return (2 * (px.double() + 0.5) - side) / side.max()


def reduced(head, maps):
    return loops.reduced(maps, head.reduce.weight.detach(), head.reduce.bias.detach())


@pytest.mark.parametrize("align", ALIGNMENTS)
def test_maps_are_blended_from_four_neighbours(align):
    rng = np.random.default_rng(0)
    for size, stride, scale in (("32x24", 8, 1), ("32x48", 16, 0.5), ("16x16", 16, 1)):
        if align == "dark" and size == "16x16":
            continue
        codec, head, maps = made(size, stride, align, scale=scale)
        with torch.no_grad():
            out = head.eval()([maps])
        assert out.shape == (2, JOINTS, codec.y.n, codec.x.n)
        x, y = torch.meshgrid(*(a.to_px(torch.arange(a.n).double()) for a in (codec.x, codec.y)), indexing="xy")
        queries = normalised(torch.stack([x, y], -1), codec)
        given = reduced(head, maps)
        # Corners, a border, and bins anywhere.
        h, w = codec.y.n, codec.x.n
        bins = [(0, 0), (0, w - 1), (h - 1, 0), (h - 1, w - 1), *((i, 0) for i in range(h))]
        for i, j in [*bins, *zip(rng.integers(0, h, 20), rng.integers(0, w, 20), strict=True)]:
            b = int(rng.integers(0, 2))
            expected = loops.blended(given[b], tuple(queries[i, j].tolist()), layers(head))
            torch.testing.assert_close(out[b, :, i, j], expected, atol=2e-6, rtol=0)


def test_all_at_once_is_piece_by_piece(monkeypatch):
    _, head, maps = made()
    whole = head.eval()([maps])
    monkeypatch.setattr("poserep.models.heads.implicit.AT_ONCE", 100)
    torch.testing.assert_close(head([maps]), whole, atol=1e-12, rtol=0)


@pytest.mark.parametrize("align", ALIGNMENTS)
def test_training_asks_once_in_each_sub_cell(align):
    codec, head, maps = made(align=align, subcells=3)
    value, position = head.train()([maps])
    assert value.shape == (2, 4, JOINTS, 4 * 3 * 9) and position.shape == (2, 108, 2)
    px = codec.to_px(position)
    at = (px + 0.5) / 8 * 3
    # Each sub-cell of the 12 by 9 has one, not at the same place in both images.
    expected = torch.stack(torch.meshgrid(torch.arange(9.0), torch.arange(12.0), indexing="xy"), -1).flatten(0, 1)
    assert torch.equal(at.mul(1 - 1e-6).floor().float(), expected.expand(2, -1, -1)) and (px[0] - px[1]).abs().max() > 1
    inside = at - expected
    assert inside.mean().sub(0.5).abs() < 0.05 and inside.std().sub(12**-0.5).abs() < 0.03
    queries, given = normalised(px, codec), reduced(head, maps)
    for b, q in np.ndindex(2, 36):
        each, _ = loops.values(given[b], tuple(queries[b, q].tolist()), layers(head))
        for i in range(4):
            torch.testing.assert_close(value[b, i, :, q], each[i], atol=2e-5, rtol=0)


@pytest.mark.parametrize(("profile", "spread"), [("gaussian", 0.06), ("laplace", 0.09)])
def test_losses_are_those_of_all_neighbours_on_their_own(profile, spread):
    codec = ContinuousHeatmap("64x48", profile=profile, spread=spread)
    torch.manual_seed(1)
    xy, given = torch.rand(2, JOINTS, 2) * 45, torch.ones(2, JOINTS)
    given[0, 1], xy[1, 2] = 0, torch.tensor([torch.inf, 3.0])
    target, weight = codec.encode(xy, given)
    assert weight.tolist() == [[1, 0, 1], [1, 1, 0]]
    value, position = torch.randn(2, 4, JOINTS, 12), torch.rand(2, 12, 2) * 47
    xy = torch.where(weight[..., None] > 0, xy, 0.0)
    queries, joints = (normalised(codec.to_px(p), codec) for p in (position, codec.to_bins(xy)))
    expected = loops.loss(value, queries, joints, weight, spread, profile == "laplace")
    assert codec.loss((value, position), target, weight).item() == pytest.approx(expected, rel=1e-5)
    # A map is all of its bins, asked once.
    maps = torch.randn(2, JOINTS, 64, 48)
    bins = torch.stack(torch.meshgrid(torch.arange(48.0), torch.arange(64.0), indexing="xy"), -1).flatten(0, 1)
    same = codec.loss((maps.flatten(2)[:, None], bins.expand(2, -1, -1)), target, weight)
    torch.testing.assert_close(codec.loss(maps, target, weight), same)


def test_gradients_are_those_of_finite_differences():
    codec, head, maps = made("16x24", subcells=2)
    target, weight = codec.encode(torch.tensor([[[10.0, 5.0], [2.0, 14.0], [20.0, 9.0]]] * 2), torch.ones(2, JOINTS))
    named = dict(head.named_parameters())

    def training(maps, *parameters):
        torch.manual_seed(0)
        out = torch.func.functional_call(head.train(), dict(zip(named, parameters, strict=True)), ([maps],))
        # The codec itself computes in float32.
        distance = (out.position[:, None].double() - target[:, :, None]).square().sum(-1)
        return 100 * (out.value.transpose(1, 2) - codec.at(distance)[:, :, None]).square().mean()

    def prediction(maps):
        return head.eval()([maps]).square().mean()

    given = [maps.requires_grad_(), *(p.detach().clone().requires_grad_() for p in named.values())]
    assert torch.autograd.gradcheck(training, given, fast_mode=True)
    assert torch.autograd.gradcheck(prediction, [maps], fast_mode=True)
    with torch.autocast("cpu", enabled=False):
        loss = codec.loss(head.train()([maps]), target, weight)
    assert loss.dtype == torch.float32
    (gradient,) = torch.autograd.grad(loss, maps)
    assert (gradient.abs().amax((0, 1)) > 0).all()


def test_the_published_map_has_eight_sub_cells_and_finer_ones_have_fewer():
    for size, stride, subcells in (("256x192", 32, 8), ("256x192", 4, 1), ("128x128", 8, 4), ("384x288", 32, 6)):
        head = head_on(ImplicitHead, ContinuousHeatmap(size), (CHANNELS,), (stride,), JOINTS)
        assert head.subcells == subcells
    # Its own layers are 256, 256, 128, 128 and 128 wide.
    sizes = (258, 256, 256, 128, 128, 128, JOINTS)
    expected = sum(n * m + m for n, m in pairwise(sizes)) + CHANNELS * 256 + 256
    assert sum(p.numel() for p in head.parameters()) == expected


def test_the_gaussian_is_that_of_the_paper():
    codec = ContinuousHeatmap("256x192", readouts={"argmax": Argmax()})
    assert codec.sigma == pytest.approx(0.06 * 128)
    assert ContinuousHeatmap("256x192", scale=0.5).sigma == pytest.approx(0.06 * 64)
    target, _ = codec.encode(torch.tensor([[[100.0, 90.0]]]), torch.ones(1, 1))
    assert codec.oracle(target)[0, 0, 90, 100] == 1
    assert codec.oracle(target)[0, 0, 98, 106].item() == pytest.approx(np.exp(-((10 / 7.68) ** 2) / 2), rel=1e-4)


def test_options_that_mean_nothing_are_refused():
    for options in ({"width": 0}, {"hidden": [8, 0]}, {"subcells": 0}):
        with pytest.raises(InputError, match=r"ImplicitHead: .* must be at least 1"):
            made(**options)
