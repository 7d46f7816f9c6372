"""What every codec must do, over all codecs, sizes, alignments and bins per pixel."""

import itertools
import math
import re
from functools import partial

import numpy as np
import pytest
import torch

from codec_cases import CASES, FEW, PERM, SIGMAS, SMALL, each, leaves, mirror, noise, over, points
from poserep import codecs
from poserep.codecs import (
    DARK,
    AxisHeatmap,
    Equal,
    Gaussian,
    Heatmap,
    Integral,
    Laplace,
    MultiScale,
    ProbMap,
    SimCC,
    losses,
)
from poserep.errors import InputError
from poserep.geometry import ALIGNMENTS, Size
from reference.vectors import listed

F32 = 1e-3  # px; positions of a few hundred px in float32, and argmaxima that float32 cannot tell apart
all_cases, small_cases, few_cases = over(CASES), over(SMALL), over(FEW)


def perfect(codec, xy):
    target, weight = codec.encode(xy, torch.ones(xy.shape[:2]))
    return codec.oracle(target), weight


def bound(codec):
    """The greatest error (x, y) of a round trip, input px: half a bin, a whole one if targets are cut to one side."""
    if getattr(codec, "grid", "bins") == "px":  # up to a px first, then half a bin
        return torch.tensor([1 + axis.reach() * axis.px_per_bin() for axis in (codec.x, codec.y)])
    least = 1.0 if getattr(codec, "quantise", "") in ("floor", "ceil") else 0.0
    return torch.tensor([max(least, axis.reach()) * axis.px_per_bin() for axis in (codec.x, codec.y)])


@all_cases
def test_round_trip_stays_within_the_bins_and_scores_one(case):
    codec, rng = case(sigmas=SIGMAS[:1]), np.random.default_rng(0)
    ends = np.array([codec.x.length, codec.y.length])
    # Borders of the crop and of pixels, and the neighbouring float32 numbers, on one axis and on both.
    border = np.array([v + d + 0 * ends for v in (-0.5, 0, 1.5, ends - 1, ends - 0.5) for d in (0, -4e-5, 4e-5)])
    inner, anywhere = rng.uniform(-0.5, ends - 0.501, border.shape), rng.uniform(-300, 600, border.shape)
    pairs = [(border, inner), (inner, border), (border, rng.permutation(border)), (inner, inner), (anywhere, anywhere)]
    pairs += [(0.45 * ends + 0.1 * inner,) * 2]
    xy = np.concatenate([np.stack([x[:, 0], y[:, 1]], -1) for x, y in pairs])
    xy = torch.from_numpy(xy.astype(np.float32))[:, None]
    target, weight = codec.encode(xy, torch.ones(len(xy), 1))
    inside = ((xy >= -0.5) & (xy < torch.from_numpy(ends) - 0.5)).all(-1)
    assert torch.equal(weight, inside.float()) and inside.any() and not inside.all()
    for values in leaves(target):
        assert torch.isfinite(values).all() and (isinstance(codec, Integral) or (values[~inside[:, 0]] == 0).all())
    decoded = codec.decode(codec.oracle(target))
    # A perfect output that is a whole Gaussian has a mean that moves inward where the border cuts it.
    exact = inside & (((xy / ends - 0.5).abs() < 0.1).all(-1) if case.name in ("dsnt", "bcir") else True)
    assert ((decoded.xy - xy).abs() <= bound(codec) + F32)[exact].all() and exact.any()
    # Of the order of a float32 sum over a few hundred bins.
    torch.testing.assert_close(decoded.score[inside], torch.ones(int(inside.sum())), atol=1e-5, rtol=0)


@over([c for c in CASES if re.match("heatmap$|heatmap-un|sr", c.name)])
def test_sub_bin_readouts_refine_inside_the_border(case):
    codec, xy = case(), points(case.size, seed=1, margin=0.45 if case.size == "64x64" else 0.3)
    out, _ = perfect(codec, xy)
    px = torch.tensor([axis.px_per_bin() for axis in (codec.x, codec.y)])

    def error(readout):
        return ((codec.decode(out, readout).xy - xy).abs() / px).max()

    # A target around the nearest bin is symmetric: nothing is left to refine. Around the exact position, the higher
    # neighbour is on its side, so that a step of 1/4 leaves at most 1/4 of [0, 1/2].
    eps = F32 / px.min()
    assert error("quarter") <= (0.5 if codec.quantise == "round" else 0.25) + eps
    # Blurring keeps a Gaussian Gaussian but for the kernel's cut tails, so the logarithm stays quadratic and a Newton
    # step is exact: 0.03 bins at most with the narrowest (sigma 1).
    assert error("dark") <= (0.5 if codec.quantise == "round" else 0.03) + eps


def responses(codec, xy):
    """What a flip-equivariant network with perfect outputs emits for the image and for its mirror image."""
    out, _ = perfect(codec, xy)
    mirrored, _ = perfect(codec, mirror(xy, codec))
    return out, mirrored


@over([c for c in CASES if not re.search("floor|ceil", c.name)])
def test_a_flip_test_changes_nothing_for_an_equivariant_network(case):
    codec = case()
    # Under "corner" the images of both passes show up to a bin less at one border.
    xy = points(case.size, batch=3, seed=2, margin=0.1 if case.align == "corner" else 0.0)
    out, mirrored = responses(codec, xy)
    merged = codec.merge(out, mirrored, PERM)
    for readout in codec.readouts:
        plain, found = codec.decode(out, readout), codec.decode(merged, readout)
        torch.testing.assert_close(found.xy, plain.xy, atol=F32, rtol=0)
        torch.testing.assert_close(found.score, plain.score, atol=1e-3, rtol=0)


@over([c for c in CASES if re.search("floor|ceil", c.name)])
def test_one_sided_quantisation_turns_round_in_the_mirror(case):
    # The bias of floor and ceil points left in one pass and right in the other: their maps lie one bin apart.
    codec, xy = case(), points(case.size, batch=3, seed=2, margin=0.1)
    out, mirrored = responses(codec, xy)
    plain, merged = codec.decode(out, "argmax"), codec.decode(codec.merge(out, mirrored, PERM), "argmax")
    torch.testing.assert_close(merged.xy[..., 1], plain.xy[..., 1], atol=F32, rtol=0)
    assert ((merged.xy - plain.xy)[..., 0].abs() <= codec.x.px_per_bin() + F32).all()


def test_published_flip_shift_is_exact_for_two_bins_a_pixel_alone():
    for align, k in itertools.product(ALIGNMENTS, (1, 1.5, 2, 3, 4)):
        codec = SimCC("64x64", k=k, align=align, label=Equal(), flip_shift=-1)
        assert codec.mirror_px == 0
        out, mirrored = responses(codec, points("64x64", seed=5, margin=0.1))
        offset = codec.unmirror(mirrored[0], PERM).argmax(-1) - out[0].argmax(-1)
        wrong = (k - 1 if align == "corner" else 0) - 1
        assert set(offset.unique().tolist()) == {math.floor(wrong), math.ceil(wrong)}
        assert (wrong == 0) == (align == "corner" and k == 2)


@few_cases
def test_the_mirrored_image_shows_what_merge_expects(case):
    codec, width = case(), Size.parse(case.size).width
    image = torch.zeros(1, 1, *Size.parse(case.size), dtype=torch.uint8)
    image[..., 5, 20] = 255
    shown = codec.mirror(image)
    assert shown.shape == image.shape and shown.sum() == 255
    assert shown[..., 5, width - 1 - 20 + codec.mirror_px] == 255


@few_cases
def test_published_bounds_keep_joints_beside_the_crop_and_train_on_finite_numbers(case):
    # Which ones exactly is compared with the papers' code, see vectors/test_target_vectors.py.
    codec = case(bounds="published", sigmas=SIGMAS[:1])
    ends = (codec.x.length, codec.y.length)
    beyond = [-0.5, -0.51, -0.9, -1.1, *(-3.03 * i for i in range(1, 14))]
    along = [v for b in beyond for v in (b, ends[0] - 1 - b)] + [0.0, ends[0] - 0.51]
    xy = torch.tensor([pair for v in along for pair in ((v, 20.3), (20.3, v), (v, v))])[:, None]
    target, weight = codec.encode(xy, torch.ones(len(xy), 1))
    kept, inside = weight > 0, codec.in_crop(xy)
    # UDP combined and ProbPose keep all.
    assert kept.any() and kept.all() == (case.name == "udp-combined" or isinstance(codec, ProbMap))
    # Numbers without bins, mean positions and 1D heatmaps have no published rule.
    if not isinstance(codec, Heatmap | SimCC | ProbMap) or isinstance(codec, Integral | AxisHeatmap):
        assert torch.equal(kept, inside)
    elif not isinstance(getattr(codec, "label", None), Equal):
        assert kept[inside].all() and kept.sum() > inside.sum() + 10
    out = each(codec.oracle(target), lambda o: (o + 0.1).detach().requires_grad_())
    codec.loss(out, target, weight).backward()
    assert all(torch.isfinite(t).all() for t in (*leaves(target), *(o.grad for o in leaves(out))))


def test_labels_train_the_axis_that_is_still_inside_and_the_tail_on_the_other():
    kinds = (Gaussian, Laplace, partial(Gaussian, rounded=True))
    for kind, renormalise, k in itertools.product(kinds, (False, True), (1, 2, 4)):
        codec = SimCC("64x64", k=k, label=kind(4.0, renormalise), align="corner", bounds="published")
        outside, inside = torch.tensor([[[75.0, 20.0]]]), torch.tensor([[[30.0, 20.0]]])
        (x, y), weight = codec.encode(outside, torch.ones(1, 1))
        assert weight.item() == 1 and torch.equal(y, codec.encode(inside, torch.ones(1, 1))[0][1])
        # Far less than a whole label; most of it, where numbers can tell, in the last bin.
        assert 0 < x.sum() < 0.05 and (x[..., -1] == x.amax()).all()
        # A joint at the end of the axis has a whole label if labels are made whole.
        end = codec.to_px(torch.tensor([[[codec.x.n - 1.0, 20.0]]]))
        mass = codec.encode(end, torch.ones(1, 1))[0][0].sum().item()
        assert mass == pytest.approx(1) if renormalise else 0.5 < mass < 0.7


@small_cases
def test_joints_outside_or_unlabelled_cannot_change_loss_or_gradient(case):
    codec, xy, given = case(), points(case.size, seed=3), torch.ones(2, 5)
    height, width = Size.parse(case.size)
    given[0, 4] = 0
    masked = torch.zeros(2, 5, dtype=torch.bool)
    masked[0], masked[1, 0] = torch.tensor([0, 1, 1, 1, 1]).bool(), True
    outside = [[width + 40.0, 3], [3, -0.51], [math.nan, 5], [math.inf, -math.inf]]
    results = []
    for seed, replacement in enumerate((outside, outside[::-1])):
        moved = xy.clone()
        moved[0, 1:], moved[1, 0] = torch.tensor(replacement), torch.tensor([width - 0.49, height / 2])
        target, weight = codec.encode(moved, given)
        assert torch.equal(weight > 0, ~masked)
        assert all(torch.isfinite(t).all() for t in leaves(target))
        out = noise(codec.oracle(codec.encode(xy, given)[0]), 0.1)
        garbage = noise(out, 3.0, seed)
        pairs = zip(leaves(garbage), leaves(out), strict=True)
        parts = [torch.where(masked.view(2, 5, *[1] * (o.ndim - 2)), g, o).requires_grad_() for g, o in pairs]
        rest = iter(parts)
        torch.manual_seed(0)  # for losses that draw samples
        loss = codec.loss(each(out, lambda o, rest=rest: next(rest)), target, weight)
        loss.backward()
        assert all((p.grad[masked] == 0).all() for p in parts)
        results.append((loss.detach(), [p.grad for p in parts]))
    assert torch.equal(results[0][0], results[1][0])
    for a, b in zip(results[0][1], results[1][1], strict=True):
        assert torch.equal(a, b)


# A penalty for edges is least on a wider map than the one that shows a position best.
@over([c for c in SMALL if "smooth" not in c.name])
def test_the_oracle_minimises_the_loss_and_gradients_are_finite(case):
    codec = case()
    target, weight = codec.encode(points(case.size, seed=4), torch.ones(2, 5))
    oracle = codec.oracle(target)

    def loss_of(out):
        torch.manual_seed(0)  # for losses that draw samples
        return codec.loss(out, target, weight)

    best = loss_of(oracle)
    # The best map to draw samples from has no closed form: the one with the right mean is near it.
    for seed, size in enumerate((3.0,) if isinstance(codec, codecs.SamplingArgmax) else (0.01, 0.1, 1.0)):
        assert loss_of(noise(oracle, size, seed)) >= best
    assert loss_of(noise(each(oracle, torch.zeros_like), 1.0)) > best
    for start in (each(oracle, torch.zeros_like), noise(oracle, 1.0), each(oracle, lambda o: 50 * torch.ones_like(o))):
        out = each(start, lambda o: o.clone().requires_grad_())
        codec.loss(out, target, weight).backward()
        assert all(torch.isfinite(o.grad).all() for o in leaves(out))


@few_cases
def test_any_output_has_a_score_between_zero_and_one_and_flat_ones_lie_inside_the_crop(case):
    for score in ("contract", "published"):
        codec = case(score=score)
        out, _ = perfect(codec, points(case.size))
        ones = each(out, torch.ones_like)
        flat = [each(ones, lambda o, v=v: v * o) for v in (0.0, -0.3, 1e-12, 0.49)]
        others = [out, each(out, lambda o: -o.abs()), noise(flat[0], 1.0), noise(flat[0], 30.0)]
        if score == "published" and "simcc" not in case.name:
            # Those of others are raw maxima, or 1 minus whatever scale is given.
            flat, others = flat[:1], others[:1]
        for i, candidate in enumerate([*flat, *[codec.merge(f, f, PERM) for f in flat], *others]):
            for readout in codec.readouts:
                decoded = codec.decode(candidate, readout)
                assert ((decoded.score >= 0) & (decoded.score <= 1)).all() and torch.isfinite(decoded.xy).all()
                # The crop begins at -0.5; "corner" has bins half a bin left of it, none right of it.
                slack = codec.x.px_per_bin()
                low, high = min(-0.5, -slack), torch.tensor([codec.x.length, codec.y.length]) - 0.5 + slack
                assert i >= 2 * len(flat) or ((decoded.xy >= low) & (decoded.xy <= high)).all()


@small_cases
def test_low_precision_outputs_decode_and_train(case):
    codec, xy = case(), points(case.size, margin=0.2)
    target, weight = codec.encode(xy, torch.ones(2, 5))
    perfect_out = codec.oracle(target)
    exact = {readout: codec.decode(perfect_out, readout).xy for readout in codec.readouts}
    for dtype in (torch.float64, torch.float32, torch.bfloat16, torch.float16):
        out = each(perfect_out, lambda o, dtype=dtype: o.to(dtype, copy=True).requires_grad_())
        for readout in codec.readouts:
            decoded = codec.decode(out, readout)
            assert decoded.xy.dtype == decoded.score.dtype == torch.float32
            # bfloat16 keeps 8 bits: values within 2 bins of the peak of the widest target (sigma 8) can become equal.
            assert ((decoded.xy - exact[readout]).abs() <= 2 * codec.x.px_per_bin()).all()
        loss = codec.loss(out, target, weight)
        loss.backward()
        assert loss.dtype == torch.float32 and all(torch.isfinite(o.grad).all() for o in leaves(out))
        assert all(torch.isfinite(m).all() for m in leaves(codec.merge(out, out, PERM)))


@few_cases
def test_outputs_are_pictured_and_unknown_readouts_refused(case):
    codec = case()
    out, _ = perfect(codec, points(case.size))
    with pytest.raises(InputError, match=rf"no readout 'soft'; it has \['{next(iter(codec.readouts))}'"):
        codec.decode(out, "soft")
    density = codec.density(out)
    if set(density) == {"map"}:
        assert density["map"].shape == (2, 5, codec.y.n, codec.x.n)
    else:
        assert density["x"].shape == (2, 5, codec.x.n) and density["y"].shape == (2, 5, codec.y.n)
        if "axis" not in case.name:
            torch.testing.assert_close(density["x"].sum(-1), torch.ones(2, 5))


REFUSED = listed("refused_arguments")


@pytest.mark.parametrize(("name", "arguments", "message"), REFUSED, ids=[message for *_, message in REFUSED])
def test_bad_arguments_are_refused(name, arguments, message):
    with pytest.raises(InputError, match=message):
        getattr(codecs if hasattr(codecs, name) else losses, name)(**arguments)


def test_maps_too_small_to_be_reflected_are_refused():
    with pytest.raises(InputError, match="5x9 bins is too small"):
        DARK(11, border="reflect")(torch.zeros(1, 1, 5, 9))


def test_ceiling_in_pixels_draws_the_reproduction_studys_gaussian():
    codec = Heatmap("160x160", sigma=7.16 / 4, quantise="ceil", grid="px", truncate=None, align="corner")
    x = torch.tensor([0.3, 20.9, 80.0, 156.4, 158.6, 159.2])
    target, _ = codec.encode(torch.stack([x, torch.full_like(x, 80.0)], -1)[None], torch.ones(1, 6))
    # Drawn at input resolution around the ceiling, of which every fourth pixel is kept.
    squares = (torch.arange(0, 160, 4) - torch.ceil(x)[:, None]) ** 2
    drawn = torch.exp(-(squares[:, None, :] + (torch.arange(0, 160, 4)[:, None] - 80) ** 2) / (2 * 7.16**2))
    torch.testing.assert_close(target[0], drawn, atol=1e-5, rtol=0)


@pytest.mark.parametrize("align", ALIGNMENTS)
def test_drawn_targets_of_joints_beside_the_crop_lie_on_their_side(align):
    codec = MultiScale("256x192", targets="drawn", align=align, bounds="published", truncate=None)
    xy = torch.tensor([[[210.0, 100.0], [214.5, 30.0], [100.0, 277.0], [-20.0, 60.0], [80.0, 60.0]]])
    targets, weight = codec.encode(xy, torch.ones(1, 5))
    side = torch.tensor([192, 256])
    for target in targets:
        assert (target[weight == 0] == 0).all()
        n = torch.tensor(target.shape[:1:-1])
        index = target.flatten(2).argmax(-1)
        at = torch.stack([index % n[0], index // n[0]], -1)
        nearest = xy.clamp_min(0).minimum(side.float()) * n / side
        assert ((at - nearest).abs() <= 1)[target.amax((-2, -1)) > 1e-6].all()
