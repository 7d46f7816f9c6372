"""UDP and UDP combined: against loops, in the mirror, and by hand. The contract has both, see codec_cases.py."""

import numpy as np
import pytest
import torch

from codec_cases import PERM, mirror, points
from poserep.codecs import DARK, UDPDARK, Heatmap, PeakOffset, UDPCombined
from poserep.errors import InputError
from reference import udp_loops as loops

SIZE = "128x96"


def scattered(seed: int = 0) -> torch.Tensor:
    """Joints in the crop of `SIZE` and up to 45 px beside it."""
    return torch.rand(3, 5, 2, generator=torch.Generator().manual_seed(seed)) * torch.tensor([186, 218]) - 45


def peaky(seed: int, shape: tuple[int, ...] = (4, 5, 32, 24)) -> torch.Tensor:
    """Gaussians of any place and width, in noise; noise alone; nothing positive."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: shape[2], : shape[3]]
    x, y, sigma = rng.uniform(0, 24, shape[:2]), rng.uniform(0, 32, shape[:2]), rng.uniform(1, 3, shape[:2])
    squares = (columns - x[..., None, None]) ** 2 + (rows - y[..., None, None]) ** 2
    maps = np.exp(-squares / (2 * sigma**2)[..., None, None]) + 0.02 * rng.normal(size=shape)
    maps[0, 0], maps[0, 1] = rng.normal(size=shape[2:]), -np.abs(maps[0, 1]) - 0.1
    return torch.from_numpy(maps)


@pytest.mark.parametrize("sigma", [1.0, 2.0])
def test_windows_are_those_of_the_nearest_bin(sigma):
    codec = Heatmap(
        SIZE, 4, sigma, "none", truncate=3, window="rounded", align="edge", bounds="published", px_per_bin="published"
    )
    xy = scattered()
    target, weight = codec.encode(xy, torch.ones(3, 5))
    maps, kept = loops.window_targets(xy.double().numpy(), (128, 96), 4, sigma)
    assert np.array_equal(weight.numpy(), kept) and 0 < kept.sum() < kept.size
    np.testing.assert_allclose(target.numpy(), maps, atol=1e-5)
    # Bin i is read at i W / (w - 1), a bin's fraction to the right of where it was drawn.
    drawn = codec.to_px(codec.to_bins(xy))
    torch.testing.assert_close(drawn, xy * torch.tensor([96 / 95, 128 / 127]), atol=1e-4, rtol=0)


@pytest.mark.parametrize(("seed", "kernel"), [(0, 11), (1, 11), (2, 17), (3, 3)])
def test_newton_steps_are_those_of_loops(seed, kernel):
    maps = peaky(seed)
    ours, value = UDPDARK(kernel)(maps)
    torch.testing.assert_close(ours, torch.from_numpy(loops.newton(maps.numpy(), kernel)), atol=1e-6, rtol=1e-6)
    assert torch.equal(value, maps.amax((-2, -1)))
    limited, _ = UDPDARK(kernel, max_step=0.5)(maps)
    assert ((limited - UDPDARK(kernel, max_step=0.25)(maps)[0]).abs() <= 0.25 + 1e-9).all()


def test_clean_gaussians_are_read_exactly_inside_and_half_a_bin_outside_on_the_border():
    codec = Heatmap("256x192", 4, 2.0, "none", truncate=None, align="edge", readouts={"udp": UDPDARK(), "dark": DARK()})
    inner = points("256x192", margin=0.2)
    for name in codec.readouts:
        decoded = codec.decode(codec.encode(inner, torch.ones(2, 5))[0], name)
        assert (decoded.xy - inner).abs().max() < 0.04 * 4
    corner = torch.zeros(1, 1, 2)
    target, _ = codec.encode(corner, torch.ones(1, 1))
    assert (codec.decode(target, "dark").xy == 0).all()
    torch.testing.assert_close(codec.decode(target, "udp").xy, torch.full((1, 1, 2), -2.03), atol=0.01, rtol=0)


@pytest.mark.parametrize(("kernel", "border"), [(None, "zero"), (None, "reflect"), (1, "reflect"), (15, "zero")])
def test_discs_and_their_decoding_and_loss_are_those_of_loops(kernel, border):
    codec = UDPCombined(SIZE, align="edge", readouts={"offset": PeakOffset(kernel, border)}, score="published")
    xy = scattered(1)
    target, weight = codec.encode(xy, torch.ones(3, 5))
    assert codec.radius == 1.75 and torch.equal(weight > 0, codec.in_crop(xy))
    bins = loops.bins_of(xy.double().numpy(), (128, 96), 4)
    drawn = loops.disc_targets(bins, (32, 24), 1.75) * weight.numpy()[..., None, None, None]
    np.testing.assert_allclose(target.numpy(), drawn, atol=1e-5)
    out = target + 0.2 * torch.randn(target.shape, generator=torch.Generator().manual_seed(0))
    found, value = loops.disc_decode(out.double().numpy(), 1.75, kernel or 13, border)
    decoded = codec.decode(out)
    np.testing.assert_allclose(codec.to_bins(decoded.xy).numpy(), found, atol=1e-5)
    np.testing.assert_allclose(decoded.score.numpy(), value, atol=1e-6)
    given = weight * torch.tensor([1.0, 0.5, 1.2, 1.0, 0.0])
    expected = loops.disc_loss(out.double().numpy(), target.double().numpy(), given.numpy())
    assert codec.loss(out, target, given).item() == pytest.approx(expected, rel=1e-5)


def test_any_bin_of_a_disc_leads_to_the_joint():
    codec = UDPCombined("256x192", align="edge")
    xy = points("256x192", seed=3)
    target, _ = codec.encode(xy, torch.ones(2, 5))
    disc = target[:, :, 0] > 0
    bins = torch.stack(torch.meshgrid(torch.arange(64), torch.arange(48), indexing="ij")[::-1], -1)
    there = bins + codec.radius * target[:, :, 1:].movedim(2, -1)
    expected = codec.to_bins(xy)[:, :, None, None].expand_as(there)
    torch.testing.assert_close(there[disc], expected[disc], atol=1e-5, rtol=0)
    # Discs are cut by the crop's border.
    assert (disc.sum((-2, -1)) > 0.2 * torch.pi * 3.5**2).all() and codec.radius == 3.5
    assert (codec.decode(target).xy - xy).abs().max() < 1e-4


def test_offsets_train_inside_the_disc_alone_and_gradients_are_finite_differences():
    codec = UDPCombined("64x64", align="edge")
    target, weight = codec.encode(points("64x64"), torch.ones(2, 5))
    out = torch.randn(target.shape, generator=torch.Generator().manual_seed(0)).requires_grad_()
    codec.loss(out, target, weight).backward()
    inside = target[:, :, :1].bool().expand(-1, -1, 2, -1, -1)
    assert (out.grad[:, :, 1:][~inside] == 0).all() and (out.grad[:, :, 1:][inside] != 0).all()
    with torch.no_grad():
        for index in (
            (0, 0, 0, 3, 3),
            *torch.cat([inside.new_zeros(2, 5, 1, 16, 16), inside], 2).nonzero()[::7].tolist(),
        ):
            step = torch.zeros_like(out)
            step[tuple(index)] = 0.5
            # Of a parabola, central differences are exact.
            slope = codec.loss(out + step, target, weight) - codec.loss(out - step, target, weight)
            assert slope.item() == pytest.approx(out.grad[tuple(index)].item(), abs=2e-6)


def test_x_offsets_turn_round_in_the_mirror():
    codec = UDPCombined("64x64", align="edge")
    xy = points("64x64", seed=1)
    out, mirrored = (codec.encode(p, torch.ones(2, 5))[0] for p in (xy, mirror(xy, codec)))
    back = codec.unmirror(mirrored, PERM)
    torch.testing.assert_close(back, out, atol=1e-4, rtol=0)
    assert torch.equal(codec.unmirror(back, PERM), mirrored)


def test_published_bounds_learn_far_joints_by_empty_discs():
    far = torch.tensor([[[500.0, 20.0], [-8.0, 30.0], [torch.inf, 0.0]]])
    for bounds, kept in (("crop", [0, 0, 0]), ("published", [1, 1, 0])):
        target, weight = UDPCombined("64x64", align="edge", bounds=bounds).encode(far, torch.ones(1, 3))
        assert weight.tolist() == [kept] and target[:, :, 0].sum() == 0


def test_maps_too_small_for_the_blur_are_refused():
    with pytest.raises(InputError, match="maps of 5x9 bins are too small to be reflected for kernel=23; take"):
        PeakOffset(border="reflect")(torch.zeros(1, 1, 3, 5, 9), 3.5)


def test_a_blur_that_reflects_reads_discs_near_the_border_outside_themselves():
    codec = UDPCombined("256x192", align="edge", readouts={b: PeakOffset(border=b) for b in ("zero", "reflect")})
    along = torch.arange(-0.4, 95, 0.6)
    xy = torch.stack([along, torch.full_like(along, 128)], -1)[None]
    target, _ = codec.encode(xy, torch.ones(xy.shape[:2]))
    inside, published = codec.decode(target, "zero"), codec.decode(target, "reflect")
    assert (inside.score == 1).all()
    outside = along[published.score[0] == 0]
    assert len(outside) > 3 and outside.min() > 12 and outside.max() < 24
    # As targets have offsets everywhere, perfect ones do not show it.
    torch.testing.assert_close(published.xy, xy, atol=1e-4, rtol=0)
