"""Readouts on maps that no network should emit, and how the flip test realigns."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from search_speed import pooled_peak

from poserep.codecs import DARK, UDPDARK, Argmax, CentreOfMass, QuarterShift, SecondMax, SoftArgmax
from poserep.codecs.flip_shift import mirror_shifts, shift_bins
from poserep.codecs.readouts import peak, window
from poserep.geometry import Axis

check = settings(deadline=None, max_examples=25, derandomize=True, database=None)
READOUTS = [Argmax(), QuarterShift(), SecondMax(), CentreOfMass(), SoftArgmax(), DARK(),
            DARK(None), DARK(3, None), DARK(3, 0.1), DARK(rescale="range"), DARK(5, sigma=1),
            UDPDARK(), UDPDARK(3, max_step=0.5)]  # fmt: skip


seeds, sides = st.integers(0, 2**32 - 1), (st.integers(1, 12), st.integers(1, 70))
maps = st.tuples(seeds, *sides, st.sampled_from([0, 0.01, 1.0]), st.booleans())


def drawn(seed: int, h: int, w: int, noise: float, coarse: bool) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    heatmap = noise * torch.randn(2, 3, h, w, generator=generator)
    heatmap[:, :, h // 2, w // 2] += 1
    # Few values: ties everywhere.
    return heatmap.mul(2).round() / 2 if coarse else heatmap


@check
@given(maps, st.integers(1, 20))
def test_the_fast_search_finds_the_first_maximum_and_pooling_the_same_value(given_map, kernel):
    heatmap = drawn(*given_map)
    (xy, value), (pooled, highest) = peak(heatmap), pooled_peak(heatmap, kernel)
    flat = heatmap.flatten(2)
    assert torch.equal(value, flat.amax(-1)) and torch.equal(highest, value)
    assert torch.equal(xy[..., 1] * heatmap.shape[-1] + xy[..., 0], flat.argmax(-1) * (value > 0))
    at = window(heatmap, pooled, 0)[..., 0, 0]
    assert torch.equal(at[value > 0], value[value > 0]) and (pooled[value <= 0] == 0).all()
    unique = (heatmap == value[..., None, None]).flatten(2).sum(-1) == 1
    assert torch.equal(pooled[unique], xy[unique])


@check
@given(maps)
def test_readouts_stay_on_the_map_and_follow_the_peak(given_map):
    heatmap = drawn(*given_map)
    h, w = heatmap.shape[-2:]
    for readout in READOUTS:
        position, value = readout(heatmap)
        assert torch.isfinite(position).all() and torch.equal(value, heatmap.flatten(2).amax(-1))
        if getattr(readout, "max_step", 1.0) is not None:
            start = Argmax()(heatmap)[0]
            assert not isinstance(readout, DARK | UDPDARK) or (position - start).abs().max() <= readout.max_step + 1e-6
            slack = 1.0 if isinstance(readout, DARK | UDPDARK) else 0.25
            limit = torch.tensor([w - 1.0, h - 1.0]) + slack + 1e-4
            assert (position >= -slack - 1e-4).all() and (position <= limit).all(), readout


def test_second_maximum_by_hand():
    heatmap = torch.zeros(1, 1, 6, 8)
    heatmap[..., 2, 3], heatmap[..., 5, 7] = 1.0, 0.5
    (x, y), value = SecondMax()(heatmap)[0][0, 0].tolist(), SecondMax()(heatmap)[1].item()
    assert (x, y, value) == pytest.approx((3 + 0.25 * 4 / 5, 2 + 0.25 * 3 / 5, 1.0))


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
@given(st.integers(-12, 12))
def test_whole_bins_move_exactly_and_ends_repeat(bins):
    maps = torch.rand(2, 3, 9)
    before = maps.clone()
    source = (torch.arange(9) - bins).clamp(0, 8)
    assert torch.equal(shift_bins(maps, bins), maps[..., source])
    assert torch.equal(maps, before)


@check
@given(st.floats(-3, 3))
def test_parts_of_a_bin_move_a_ramp_exactly(bins):
    ramp = torch.arange(20.0)
    torch.testing.assert_close(shift_bins(ramp, bins)[4:-4], ramp[4:-4] - bins, atol=1e-5, rtol=0)
