"""Properties of codecs for points at borders, outside, between bins, and for outputs that no network should emit."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from codec_cases import PERM, SMALL, each, leaves, over
from poserep.codecs import DARK, Argmax, CentreOfMass, Heatmap, QuarterShift, SecondMax, SimCC, SoftArgmax
from poserep.codecs.argmax import peak, window
from poserep.codecs.dark import blur, gaussian_kernel
from poserep.codecs.flip_shift import mirror_shifts
from poserep.geometry import Axis
from poserep.studies.search_speed import pooled_peak
from test_codec_contract import bound as greatest_error

check = settings(deadline=None, max_examples=25, derandomize=True, database=None)
READOUTS = [Argmax(), QuarterShift(), SecondMax(), CentreOfMass(), SoftArgmax(), DARK(),
            DARK(None), DARK(3, None), DARK(rescale="range"), DARK(5, sigma=1)]  # fmt: skip
# Borders of the crop and of pixels, halves and quarters of them, and the neighbouring float32 numbers.
SPECIAL = [v + d for v in (-0.5, 0, 0.5, 1.5, 3.5, 31.5, 32, 62.5, 63, 63.5) for d in (0, -4e-6, 4e-6)]


@over([case for case in SMALL if case.size == "64x64"])
def test_joints_count_exactly_if_the_crop_shows_them(case):
    codec, rng = case(), np.random.default_rng(0)
    values = np.concatenate([SPECIAL, rng.uniform(-300, 300, 10), rng.uniform(-0.5, 63.49, 40)]).astype(np.float32)
    # Every value on each axis, beside one that the crop shows and beside one that is drawn.
    xy = np.stack([np.r_[values, values, rng.permutation(values)], np.r_[np.full(80, 20.3), values[::-1], values]], -1)
    xy = torch.from_numpy(xy.astype(np.float32))[:, None]
    target, weight = codec.encode(xy, torch.ones(len(xy), 1))
    inside = ((xy >= -0.5) & (xy < 63.5)).all(-1)
    assert torch.equal(weight, inside.float()) and inside.any() and not inside.all()
    assert all(torch.isfinite(t).all() for t in leaves(target))
    outside = ~inside[:, 0]
    assert all((t[outside] == 0).all() for t in leaves(target)) or case.name in ("ipr", "dsnt")
    points = codec.decode(codec.oracle(target))
    if case.name != "dsnt":  # the mean of a Gaussian that the border cuts lies farther inside
        assert ((points.xy - xy).abs()[inside] <= greatest_error(codec) + 1e-3).all()
        torch.testing.assert_close(points.score[inside], torch.ones(int(inside.sum())), atol=1e-5, rtol=0)


@over([case for case in SMALL if case.size == "64x64"])
def test_flat_outputs_decode_inside_the_crop(case):
    codec = case()
    ones = each(codec.oracle(codec.encode(torch.full((1, 5, 2), 20.0), torch.ones(1, 5))[0]), torch.ones_like)
    for value in (0.0, -0.3, 1e-12, 0.5, 1e4):
        flat = min(max(value, -0.5), 0.49) if "points" in codec.form else value
        out = each(ones, lambda o, flat=flat: flat * o)
        for readout in codec.readouts:
            for given_out in (out, codec.merge(out, out, PERM)):
                points = codec.decode(given_out, readout)
                assert torch.isfinite(points.xy).all() and torch.isfinite(points.score).all()
                # The crop begins at -0.5; "corner" has bins half a bin left of it, none right of it.
                slack = codec.x.px_per_bin()
                assert (points.xy >= min(-0.5, -slack)).all() and (points.xy <= 63.5 + slack).all()
                assert ((points.score >= 0) & (points.score <= 1)).all()


maps = st.integers(0, 2**32 - 1).flatmap(
    lambda seed: st.tuples(
        st.just(seed), st.integers(1, 12), st.integers(1, 70), st.sampled_from([0, 0.01, 1.0]), st.booleans()
    )
)


def drawn(seed: int, h: int, w: int, noise: float, coarse: bool) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    heatmap = noise * torch.randn(2, 3, h, w, generator=generator)
    heatmap[:, :, h // 2, w // 2] += 1
    # Few values: ties everywhere.
    return heatmap.mul(2).round() / 2 if coarse else heatmap


@check
@given(maps)
def test_the_fast_search_finds_the_first_maximum(given_map):
    heatmap = drawn(*given_map)
    xy, value = peak(heatmap)
    index = heatmap.flatten(2).argmax(-1)
    positive = heatmap.flatten(2).amax(-1) > 0
    assert torch.equal(value, heatmap.flatten(2).amax(-1))
    width = heatmap.shape[-1]
    assert torch.equal(xy[..., 1] * width + xy[..., 0], index * positive)


@check
@given(maps, st.integers(1, 20))
def test_searching_by_max_pooling_finds_the_same_value_for_any_kernel(given_map, kernel):
    heatmap = drawn(*given_map)
    (xy, value), (plain, highest) = pooled_peak(heatmap, kernel), peak(heatmap)
    assert torch.equal(value, highest)
    found = window(heatmap, xy, 0)[..., 0, 0]
    positive = highest > 0
    assert torch.equal(found[positive], highest[positive]) and (xy[~positive] == 0).all()
    unique = (heatmap == highest[..., None, None]).flatten(2).sum(-1) == 1
    assert torch.equal(xy[unique], plain[unique])


@check
@given(maps, st.sampled_from([3, 7, 11]))
def test_blurring_a_window_is_blurring_the_map(given_map, kernel):
    heatmap = drawn(*given_map).double()
    xy, value = peak(heatmap)
    smooth = blur(heatmap, kernel)
    scale = value / smooth.amax((-2, -1)).clamp_min(1e-30)
    whole = window(smooth * scale[..., None, None], xy, 2, outside=0.0)
    near = DARK(kernel)._smoothed(heatmap, xy, value)
    h, w = heatmap.shape[-2:]
    steps = torch.arange(-2, 3)
    x, y = xy[..., 0, None] + steps, xy[..., 1, None] + steps
    # Beside the border nothing is refined, and nothing need be exact.
    refined = (value > 0) & (xy > 1).all(-1) & (xy < torch.tensor([w - 2, h - 2])).all(-1)
    seen = ((y >= 0) & (y < h))[..., :, None] & ((x >= 0) & (x < w))[..., None, :] & refined[..., None, None]

    def logarithm(values: torch.Tensor) -> torch.Tensor:
        return values.clamp_min(1e-10).log()

    # A factor is lost on purpose where no value reaches the floor: compare what is left, differences of logarithms.
    difference = (logarithm(near) - logarithm(whole))[seen] if seen.any() else torch.zeros(1)
    centre = (logarithm(near) - logarithm(whole))[..., 2, 2]
    gap = torch.where(seen, logarithm(near) - logarithm(whole) - centre[..., None, None], 0.0)
    assert torch.isfinite(difference).all() and gap.abs().max() < 1e-7


@check
@given(maps)
def test_readouts_stay_on_the_map_and_follow_the_peak(given_map):
    heatmap = drawn(*given_map)
    h, w = heatmap.shape[-2:]
    for readout in READOUTS:
        position, value = readout(heatmap)
        assert torch.isfinite(position).all() and torch.equal(value, heatmap.flatten(2).amax(-1))
        if getattr(readout, "max_step", 1.0) is not None:
            slack = 1.0 if isinstance(readout, DARK) else 0.25
            limit = torch.tensor([w - 1.0, h - 1.0]) + slack + 1e-4
            assert (position >= -slack - 1e-4).all() and (position <= limit).all(), readout


@check
@given(st.floats(4, 11), st.floats(4, 11))
def test_readouts_of_a_mirrored_map_are_mirrored(x, y):
    axis = torch.arange(16.0)
    heatmap = torch.exp(-((axis - y).square()[:, None] + (axis - x).square()[None, :]) / 4)[None, None]
    for readout in (Argmax(), QuarterShift(), CentreOfMass(), SoftArgmax(), DARK(3)):
        plain, back = readout(heatmap)[0], readout(heatmap.flip(-1))[0]
        tie = abs(x % 1 - 0.5) < 1e-3 or (isinstance(readout, QuarterShift) and abs((x + 0.5) % 1 - 0.5) < 1e-3)
        if not tie:
            torch.testing.assert_close(15 - back[..., 0], plain[..., 0], atol=1e-3, rtol=0)
        torch.testing.assert_close(back[..., 1], plain[..., 1], atol=1e-3, rtol=0)


def test_second_maximum_by_hand():
    heatmap = torch.zeros(1, 1, 6, 8)
    heatmap[..., 2, 3], heatmap[..., 5, 7] = 1.0, 0.5
    (x, y), value = SecondMax()(heatmap)[0][0, 0].tolist(), SecondMax()(heatmap)[1].item()
    assert (x, y, value) == pytest.approx((3 + 0.25 * 4 / 5, 2 + 0.25 * 3 / 5, 1.0))


def test_centre_of_mass_by_hand():
    heatmap = torch.tensor([[[[0.0, 1.0, 0.0, 3.0], [-9.0, 0.0, 0.0, 0.0]]]])
    assert CentreOfMass()(heatmap)[0][0, 0].tolist() == pytest.approx([2.5, 0.0])
    assert CentreOfMass()(torch.zeros(1, 1, 3, 5))[0][0, 0].tolist() == [2.0, 1.0]


def test_soft_argmax_comes_closer_to_the_peak_with_beta():
    heatmap = torch.zeros(1, 1, 9, 9)
    heatmap[..., 1, 1] = 1.0
    errors = [(SoftArgmax(beta)(heatmap)[0] - 1).abs().max().item() for beta in (1, 10, 100)]
    assert errors[0] > 2.5 and errors[0] > errors[1] > errors[2] and errors[2] < 1e-3


def test_modulation_heals_what_noise_breaks():
    generator = torch.Generator().manual_seed(0)
    codec = Heatmap("256x192", sigma=2, quantise="none", truncate=None)
    xy = 40 + 100 * torch.rand(64, 5, 2, generator=generator)
    clean, _ = codec.encode(xy, torch.ones(64, 5))
    noisy = clean + 0.05 * torch.randn(clean.shape, generator=generator)
    errors = {k: (codec.to_px(DARK(k)(noisy)[0]) - xy).abs().mean() for k in (None, 11)}
    assert errors[11] < 0.6 * errors[None]


def test_mirror_shifts_put_bins_on_bins():
    for length, per_px in itertools.product((64, 96, 192, 256, 288), (1 / 8, 1 / 4, 1 / 2, 1, 1.5, 2, 3, 4)):
        axis = Axis(length, round(length * per_px), "corner")
        px, bins = mirror_shifts(axis)
        i = torch.arange(axis.n, dtype=torch.float64)
        shown = axis.to_bin(length - 1 - axis.to_px(i) + px)
        torch.testing.assert_close(axis.n - 1 - shown + bins, i)
        assert abs(px) + abs(bins) / per_px <= max(1 / per_px, 2 * per_px)
        assert mirror_shifts(axis, -1) == (0, -1)
        for align in ("centre", "edge", "dark"):
            assert mirror_shifts(Axis(length, axis.n, align)) == (0, 0)


@check
@given(
    st.floats(-0.5, 47.5, width=32), st.sampled_from([1, 1.5, 2, 3, 4]), st.sampled_from(["centre", "corner", "edge"])
)
def test_simcc_error_is_at_most_half_a_bin_inside(x, k, align):
    codec = SimCC("48x48", k=k, align=align)
    out = codec.oracle(codec.encode(torch.full((1, 1, 2), x), torch.ones(1, 1))[0])
    found = codec.decode(out).xy[0, 0, 0].item()
    assert abs(found - x) <= codec.x.reach() * codec.x.px_per_bin() + 1e-4
    inside = codec.x.to_px(torch.tensor(0.0)) <= x <= codec.x.to_px(torch.tensor(codec.x.n - 1.0))
    if inside:
        assert abs(found - x) <= codec.x.px_per_bin() / 2 + 1e-4


def test_kernels_sum_to_one():
    assert all(math.isclose(gaussian_kernel(n).sum().item(), 1) for n in range(1, 25, 2))
