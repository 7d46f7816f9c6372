"""What every codec must do, over all codecs, sizes, alignments and bins per pixel."""

import math

import pytest
import torch

from codec_cases import CASES, FEW, PERM, each, leaves, mirror, noise, points
from poserep.codecs import DARK, Equal, Gaussian, Heatmap, SimCC, SRHeatmap
from poserep.errors import InputError
from poserep.geometry import Size

F32 = 1e-3  # px; positions of a few hundred px in float32, and argmaxima that float32 cannot tell apart
all_cases = pytest.mark.parametrize("case", CASES, ids=str)
few_cases = pytest.mark.parametrize("case", FEW, ids=str)


def perfect(codec, xy):
    target, weight = codec.encode(xy, torch.ones(xy.shape[:2]))
    return codec.oracle(target), weight


@all_cases
def test_round_trip_stays_within_the_bins_and_scores_one(case):
    codec, xy = case(), points(case.size, batch=3)
    height, width = Size.parse(case.size)
    xy[0, :4] = torch.tensor([[-0.5, -0.5], [width - 0.501, -0.5], [0, height - 0.501], [width - 1, height - 1]])
    out, weight = perfect(codec, xy)
    decoded = codec.decode(out)
    assert (weight == 1).all()
    bound = torch.tensor([axis.reach() * axis.px_per_bin() for axis in (codec.x, codec.y)])
    assert ((decoded.xy - xy).abs() <= bound + F32).all()
    # Of the order of a float32 sum over a few hundred bins.
    torch.testing.assert_close(decoded.score, torch.ones(xy.shape[:2]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("case", [c for c in CASES if "simcc" not in c.name], ids=str)
def test_sub_bin_readouts_refine_inside_the_border(case):
    codec, xy = case(), points(case.size, seed=1, margin=0.45 if case.size == "64x64" else 0.3)
    out, _ = perfect(codec, xy)
    px = torch.tensor([axis.px_per_bin() for axis in (codec.x, codec.y)])

    def error(readout):
        return ((codec.decode(out, readout).xy - xy).abs() / px).max()

    # A target around the nearest bin is symmetric: nothing is left to refine. Around the exact position, the higher
    # neighbour is on its side, so that a step of 1/4 leaves at most 1/4 of [0, 1/2].
    eps = F32 / px.min()
    assert error("quarter") <= (0.5 if codec.quantise else 0.25) + eps
    # Blurring keeps a Gaussian Gaussian but for the kernel's cut tails, so the logarithm stays quadratic and a Newton
    # step is exact: 0.03 bins at most with the narrowest (sigma 1).
    assert error("dark") <= (0.5 if codec.quantise else 0.03) + eps


@all_cases
def test_mirrored_images_give_mirrored_points(case):
    codec = case()
    # Whole-bin shifts are exact but for bins that leave at the border. Without a shift the border is exact too.
    xy = points(case.size, batch=3, seed=2, margin=0.25 if case.align == "corner" else 0.0)
    out, _ = perfect(codec, xy)
    mirrored, _ = perfect(codec, mirror(xy, case.size))
    plain, merged = codec.decode(out), codec.decode(codec.merge(out, mirrored, PERM))
    shift = codec.flip_shift % 1
    assert codec.flip_shift == -codec.x.flip_shift()
    if shift == 0:
        torch.testing.assert_close(merged.xy, plain.xy, atol=F32, rtol=0)
        torch.testing.assert_close(merged.score, plain.score, atol=1e-3, rtol=0)
        return
    # Interpolation splits the mirrored response into two, shift and 1 - shift bins beside the position; a maximum of
    # unimodal responses lies between the outermost, and at most half a bin farther on an integer.
    bound = (0.5 + max(shift, 1 - shift)) * codec.x.px_per_bin()
    assert ((merged.xy - xy)[..., 0].abs() <= bound + F32).all()
    torch.testing.assert_close(merged.xy[..., 1], plain.xy[..., 1], atol=F32, rtol=0)


@all_cases
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
        where = masked[..., None] if isinstance(out, tuple) else masked[..., None, None]
        parts = [torch.where(where, g, o) for g, o in zip(leaves(garbage), leaves(out), strict=True)]
        parts = [p.requires_grad_() for p in parts]
        loss = codec.loss(tuple(parts) if isinstance(out, tuple) else parts[0], target, weight)
        loss.backward()
        assert all((p.grad[masked] == 0).all() for p in parts)
        results.append((loss.detach(), [p.grad for p in parts]))
    assert torch.equal(results[0][0], results[1][0])
    for a, b in zip(results[0][1], results[1][1], strict=True):
        assert torch.equal(a, b)


@all_cases
def test_the_oracle_minimises_the_loss_and_gradients_are_finite(case):
    codec = case()
    target, weight = codec.encode(points(case.size, seed=4), torch.ones(2, 5))
    oracle = codec.oracle(target)
    best = codec.loss(oracle, target, weight)
    for seed, size in enumerate((0.01, 0.1, 1.0)):
        assert codec.loss(noise(oracle, size, seed), target, weight) >= best
    assert codec.loss(noise(each(oracle, torch.zeros_like), 1.0), target, weight) > best
    for start in (each(oracle, torch.zeros_like), noise(oracle, 1.0), each(oracle, lambda o: 50 * torch.ones_like(o))):
        out = each(start, lambda o: o.clone().requires_grad_())
        codec.loss(out, target, weight).backward()
        assert all(torch.isfinite(o.grad).all() for o in leaves(out))


@few_cases
@pytest.mark.parametrize("score", ["contract", "published"])
def test_scores_of_any_output_lie_between_zero_and_one(case, score):
    codec = case(score=score)
    out, _ = perfect(codec, points(case.size))
    flat = each(out, torch.zeros_like)
    candidates = [out, flat, each(out, lambda o: -o.abs()), noise(flat, 1.0), noise(flat, 30.0)]
    if score == "published" and not isinstance(out, tuple):
        candidates = candidates[:2]  # the published score of a heatmap is its raw maximum
    for candidate in candidates:
        decoded = codec.decode(candidate).score
        assert ((decoded >= 0) & (decoded <= 1)).all()


@few_cases
def test_order_of_the_batch_is_irrelevant(case):
    codec, xy = case(), points(case.size, batch=4)
    order = torch.tensor([2, 0, 3, 1])
    out, _ = perfect(codec, xy)
    out = noise(out, 0.1)
    shuffled = each(out, lambda o: o[order])
    again, _ = perfect(codec, xy[order])
    for readout in codec.readouts:
        plain, other = codec.decode(out, readout), codec.decode(shuffled, readout)
        torch.testing.assert_close(plain.xy[order], other.xy)
        torch.testing.assert_close(plain.score[order], other.score)
    for a, b in zip(leaves(perfect(codec, xy)[0]), leaves(again), strict=True):
        assert torch.equal(a[order], b)


@few_cases
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_low_precision_outputs_decode_and_train(case, dtype):
    codec, xy = case(), points(case.size, margin=0.2)
    target, weight = codec.encode(xy, torch.ones(2, 5))
    out = each(codec.oracle(target), lambda o: o.to(dtype).requires_grad_())
    for readout in codec.readouts:
        decoded, exact = codec.decode(out, readout), codec.decode(codec.oracle(target), readout)
        assert decoded.xy.dtype == decoded.score.dtype == torch.float32
        # bfloat16 keeps 8 bits: values within 2 bins of the peak of the widest target (sigma 8) can become equal.
        assert ((decoded.xy - exact.xy).abs() <= 2 * codec.x.px_per_bin()).all()
    loss = codec.loss(out, target, weight)
    loss.backward()
    assert loss.dtype == torch.float32 and all(torch.isfinite(o.grad).all() for o in leaves(out))
    merged = codec.merge(out, out, PERM)
    assert all(torch.isfinite(m).all() for m in leaves(merged))


@few_cases
def test_density_is_a_picture_of_the_output(case):
    codec = case()
    out, _ = perfect(codec, points(case.size))
    density = codec.density(out)
    if set(density) == {"map"}:
        assert density["map"].shape == (2, 5, codec.y.n, codec.x.n)
    else:
        assert density["x"].shape == (2, 5, codec.x.n) and density["y"].shape == (2, 5, codec.y.n)
        torch.testing.assert_close(density["x"].sum(-1), torch.ones(2, 5))


@few_cases
def test_unknown_readout_is_refused_by_name(case):
    codec = case()
    out, _ = perfect(codec, points(case.size))
    with pytest.raises(InputError, match=r"no readout 'soft'; it has \['argmax'"):
        codec.decode(out, "soft")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Heatmap("256x190"), "does not divide into bins of 4"),
        (lambda: Heatmap("64x64", stride=-4), "does not divide"),
        (lambda: Heatmap("64x64", sigma=0), "sigma"),
        (lambda: Heatmap("64x64", score="best"), "best"),
        (lambda: Heatmap("64x64", bounds="none"), "none"),
        (lambda: Heatmap("4x4"), "at least 2x2"),
        (lambda: Heatmap("64"), "256x192"),
        (lambda: SRHeatmap("64x64", scale=0.5), "use Heatmap"),
        (lambda: SimCC("64x64", k=0.5), "k=0.5"),
        (lambda: SimCC("64x64", reduction="max"), "reduction"),
        (lambda: SimCC("64x64", merge_on="bins"), "merge_on"),
        (lambda: SimCC("64x64", score="best"), "best"),
        (lambda: Equal(1.0), "smoothing=1"),
        (lambda: Gaussian(-1), "sigma=-1"),
        (lambda: DARK(4), "kernel=4"),
        (lambda: Heatmap("64x64", align="middle"), "align"),
        (lambda: SimCC("64x64", k=math.nan), "k=nan"),
    ],
)
def test_bad_arguments_are_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.parametrize("scale", [1, 1.5, 2, 3, 4, 5, 6])
def test_every_scale_that_gives_whole_bins_is_accepted(scale):
    codec = SRHeatmap("96x64", scale=scale)
    assert (codec.x.n, codec.y.n) == (64 * scale, 96 * scale)
