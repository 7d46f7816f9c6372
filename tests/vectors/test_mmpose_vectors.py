"""Targets and decoding against mmpose 1.x; its losses stand with HRNet's. Exceptions in reference/README.md."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from poserep.codecs import DARK, Argmax, ArgmaxBin, Equal, Gaussian, Heatmap, QuarterShift, SimCC
from poserep.codecs.dark import blur, gaussian_kernel
from poserep.codecs.readouts import window
from poserep.geometry import Size
from reference.vectors import files, full, official_crop, tensors

# Input size, bins per px, label of x and of y (mmpose has a sigma for each), and whether its labels are normalised.
SIX, FOUR = Gaussian(6.0, False, True), Gaussian(4.0, False, True)
SIMCC = {
    "gauss_s6_k2_norm": ("256x192", 2, SIX, SIX, True),
    "gauss_s6_k2_raw": ("256x192", 2, SIX, SIX, False),
    "gauss_rtm_k2_raw": ("256x192", 2, Gaussian(4.9, False, True), Gaussian(5.66, False, True), False),
    "gauss_s4_k1p5_norm": ("384x288", 1.5, FOUR, FOUR, True),
    "std_k2_ls0": ("256x192", 2, Equal(0.0), Equal(0.0), True),
    "std_k2_ls0p1": ("256x192", 2, Equal(0.1), Equal(0.1), True),
    "std_k3_ls0p1_64": ("64x64", 3, Equal(0.1), Equal(0.1), True),
}


def parts(v: dict[str, Tensor], tag: str) -> dict[str, Tensor]:
    return {key.removeprefix(f"{tag}_"): value for key, value in v.items() if key.startswith(f"{tag}_")}


@pytest.mark.parametrize("file", files("enc_mm_simcc"))
@pytest.mark.parametrize("tag", SIMCC)
def test_simcc_labels_are_mmposes_and_weights_too_or_lie_between_ours(file, tag):
    v, (size, k, *labels, divided) = parts(tensors(file), tag), SIMCC[tag]
    codec, published = (SimCC(size, k=k, label=labels[0], align="corner", bounds=b) for b in ("crop", "published"))
    drawn = v["x"].amax(-1) > 0
    assert drawn.sum() > 30
    for i, (axis, label) in enumerate(zip((codec.x, codec.y), labels, strict=True)):
        centre = axis.to_bin(v["kpts"][..., i])
        ours = label(centre, axis.n, shown=False) * (1 if divided else label.sigma * math.sqrt(2 * math.pi))
        torch.testing.assert_close(ours[drawn], v["xy"[i]][drawn], atol=1e-5, rtol=0)
    # Below a visibility of 0.5 mmpose draws nothing but keeps the weight, so that the loss pulls toward nothing.
    labelled = v["vis"] >= 0.5
    assert torch.equal(v["w"][~labelled], v["vis"][~labelled])
    least, most = (c.encode(v["kpts"], v["vis"])[1] for c in (codec, published))
    if tag.startswith("std"):
        assert torch.equal(most[labelled], v["w"][labelled])
    else:
        # mmpose keeps joints whose 3 sigma in bins touch the axis. SimCC's code, "published", takes them for px.
        assert ((least <= v["w"]) & (v["w"] <= most))[labelled].all()
        assert (least < most).any()


@pytest.mark.parametrize("file", full("enc_mm_heatmap"))
@pytest.mark.parametrize(("shape", "size", "sigma"), [("48x64", "256x192", 2.0), ("72x96", "384x288", 3.0)])
def test_quantised_heatmaps_and_weights_are_mmposes(file, shape, size, sigma):
    v = parts(tensors(file), f"msra_{shape}")
    target, weight = Heatmap(size, sigma=sigma, align="corner", bounds="published").encode(v["kpts"], v["vis"])
    assert torch.equal(weight, v["w"])
    torch.testing.assert_close(target, v["hm"], atol=1e-5, rtol=0)


def cases(pattern: str, *settings) -> list:
    return [pytest.param(*p.values, *settings, marks=p.marks, id=f"{p.id}-{settings[0]}") for p in full(pattern)]


def given(file, tag: str) -> tuple[Tensor, ...]:
    """Points, their weights, and mmpose's weights and maps; those of SRPose, a fork of its 0.x, have other names."""
    v = tensors(file)
    if tag in v:
        return v[f"{tag}_joints"][..., :2].float(), v[f"{tag}_vis"][..., 0].float(), v[f"{tag}_w"][..., 0], v[tag]
    return tuple(v[f"{tag}_{key}"] for key in ("kpts", "vis", "w", "hm"))


@pytest.mark.parametrize(
    ("file", "tag", "stride", "sigma"),
    [*cases("enc_mm_heatmap", "msra_unb_48x64", 4, 2.0), *cases("enc_srpose", "unb_96x128", 2, 4.0)],
)
def test_unbiased_heatmaps_and_weights_are_mmposes_and_srposes(file, tag, stride, sigma):
    xy, labelled, theirs, maps = given(file, tag)
    codec = Heatmap("256x192", stride, sigma, "none", truncate=None, align="corner", bounds="published")
    target, weight = codec.encode(xy, labelled)
    # DarkPose's code cuts the window's end to an integer before it asks whether that is negative, mmpose does not.
    touches = (codec.to_bins(xy) + 3 * codec.sigma + 1 >= 0).all(-1)
    assert torch.equal(weight * touches, theirs)
    torch.testing.assert_close(target * touches[..., None, None], maps, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("file", "tag", "size", "stride", "sigma"),
    [
        *cases("enc_mm_heatmap", "udp_48x64", "256x192", 4, 2.0),
        *cases("enc_mm_heatmap", "udp_72x96", "384x288", 4, 3.0),
        *cases("enc_srpose", "udp_96x128", "256x192", 2, 4.0),
    ],
)
def test_udp_heatmaps_and_weights_are_mmposes_and_srposes(file, tag, size, stride, sigma):
    xy, labelled, theirs, maps = given(file, tag)
    # Weights and windows are those of the rounded position, within them the Gaussian is that of the exact one.
    rounded = Heatmap(size, stride, sigma, align="edge", bounds="published")
    exact = Heatmap(size, stride, sigma, "none", truncate=None, align="edge", bounds="published")
    inside, weight = rounded.encode(xy, labelled)
    assert torch.equal(weight, theirs)
    gx, gy = exact.profiles(exact.to_bins(xy), weight)
    torch.testing.assert_close(gy[..., :, None] * gx[..., None, :] * (inside > 0), maps, atol=1e-5, rtol=0)


def determinant(hm: Tensor, kernel: int, at: Tensor) -> Tensor:
    """Of the Hessian of the blurred map's logarithm, as DARK takes it."""
    p = window(blur(hm.double(), gaussian_kernel(kernel)), at.long(), 2).clamp_min(1e-10).log()
    hxx = 0.25 * (p[..., 2, 4] - 2 * p[..., 2, 2] + p[..., 2, 0])
    hyy = 0.25 * (p[..., 4, 2] - 2 * p[..., 2, 2] + p[..., 0, 2])
    hxy = 0.25 * (p[..., 3, 3] - p[..., 1, 3] - p[..., 3, 1] + p[..., 1, 1])
    return (hxx * hyy - hxy.square()).abs()


@pytest.mark.parametrize("file", full("dec_mm_heatmap"))
@pytest.mark.parametrize(("shape", "kernel"), [("48x64", 11), ("72x96", 17), ("24x32", 3)])
def test_heatmap_readouts_are_mmposes(file, shape, kernel):
    v = parts(tensors(file), shape)
    h, w = v["hm"].shape[-2:]
    highest, peak = Argmax()(v["hm"])
    assert torch.equal(peak, v["scores"])
    # Maps without a positive value: (-1, -1) in mmpose, (0, 0) in HRNet's code and here.
    found = peak > 0
    assert 0 < (~found).sum() < 0.1 * found.sum()
    assert (v["max"][~found] == -1).all()
    assert torch.equal(highest[found], v["max"][found])

    # HRNet's code moves joints that lie inside on both axes; mmpose also those that lie inside on one and are not in
    # the first row or column of the other.
    x, y = highest.unbind(-1)
    inside = torch.stack([(x > 1) & (x < w - 1), (y > 1) & (y < h - 1)], -1)
    moves = inside & (highest.flip(-1) > 0)
    alike = found & (inside.all(-1) | ~moves.any(-1))
    assert alike.sum() > 0.8 * found.sum()
    readouts = {"quarter": QuarterShift(), "dark": DARK(kernel, max_step=None)}
    codec = Heatmap(Size(4 * h, 4 * w), align="corner", readouts=readouts)
    ours = codec.decode(v["hm"], "quarter").xy
    assert torch.equal(ours[alike], v["msra"][alike])
    # On a map with a margin there are no borders; undoing what mmpose does not move leaves the very same points.
    moved = QuarterShift()(F.pad(v["hm"], (2, 2, 2, 2), value=-torch.inf))[0] - 2
    assert torch.equal(torch.where(moves, moved, highest)[found], v["refine_hmpx"][found])

    ours, theirs = DARK(kernel, max_step=None)(v["hm"].double())[0], v[f"refine_dark{kernel}_hmpx"].double()
    error, step = (ours - theirs).abs().amax(-1), (theirs - highest).abs().amax(-1)
    sane = found & (step < 2)
    assert sane.sum() > 0.95 * found.sum()
    assert (error[sane] < 1e-5).all()
    # Logarithms in float32, amplified on noise maps; see the bound for DarkPose's own steps.
    wild = found & ~sane
    det = determinant(v["hm"], kernel, highest)
    assert (error[wild] <= 24e-6 * (1 + 2 * step[wild]) / det[wild]).all()
    # In input px, four times that, float32.
    px = codec.decode(v["hm"], "dark").xy
    torch.testing.assert_close(px[sane], v[f"dark{kernel}"][sane], atol=4e-5, rtol=1e-6)

    # The 0.x version's "unbiased", in image px: the way back is an affine in float32.
    image = official_crop(v, Size(h, w), "corner").to_image(ours)
    torch.testing.assert_close(image[sane], v[f"srpose_unbiased{kernel}"][sane].double(), atol=1e-3, rtol=0)


@pytest.mark.parametrize("file", files("dec_mm_simcc"))
def test_simcc_readout_is_mmposes(file):
    v = tensors(file)
    position, px, py = ArgmaxBin()(v["logit_x"], v["logit_y"])
    score = torch.minimum(px, py)
    assert torch.equal(score, v["max_vals"])
    assert torch.equal(score, v["decode_scores"])
    # Without a positive value on either axis both coordinates are -1 in mmpose, which makes -0.5 px.
    found = score > 0
    assert (v["max_locs"][~found] == -1).all()
    assert torch.equal(position[found], v["max_locs"][found])
    codec = SimCC("256x192", k=2, align="corner", score="published")
    points = codec.decode((v["logit_x"], v["logit_y"]))
    assert torch.equal(points.xy[found], v["decode"][found])
    # After a softmax all values are positive.
    assert torch.equal(codec.to_bins(points.xy), v["sm_locs"])
    torch.testing.assert_close(points.score, v["sm_vals"], atol=1e-5, rtol=0)
