"""Targets, loss and decoding against SRPose's code (a fork of mmpose 0.x); exceptions in reference/README.md."""

import pytest
import torch
from torch import Tensor

from poserep.codecs import Argmax, Heatmap, MultiScale, QuarterShift
from poserep.geometry import Size
from reference.vectors import close, files, full, official_crop, tensors


def points(v: dict[str, Tensor], prefix: str = "") -> tuple[Tensor, Tensor, Tensor]:
    """Points in input px, their weights, and which of them float32 cannot push to another bin of any map."""
    xy, weight = v[f"{prefix}joints"][..., :2], v[f"{prefix}vis"][..., 0].float()
    # Official targets round at whole and half px or, on coarser maps, at even ones; the vectors probe ties to 1e-6 px.
    tie = (2 * xy).round() / 2
    return xy, weight, ((xy == tie) | ((xy - tie).abs() > 1e-4)).all(-1)


@pytest.mark.parametrize("file", files("enc_srpose"))
def test_pooled_targets_and_weights_are_srposes(file):
    v = tensors(file)
    codec = MultiScale("256x192", scale=1, base_sigma=2, align="corner", bounds="published", targets="pooled")
    xy, weight, sure = points(v)
    (low, *mid, final), weight = codec.encode(xy, weight)
    assert torch.equal(weight[sure], v["weight"][..., 0][sure])
    assert len(mid) == 3
    close(final[sure], v["target_256x192"][sure])
    close(mid[0][sure], v["pooled_64x48"][sure])
    close(low[sure], v["pooled_8x6"][sure])


@pytest.mark.parametrize("file", files("enc_srpose"))
@pytest.mark.parametrize(("name", "scale"), [("48x64_s2", 0.25), ("96x128_s4", 0.5)])
def test_targets_of_other_scales_are_srposes(file, name, scale):
    v = tensors(file)
    codec = MultiScale("256x192", scale=scale, base_sigma=2, align="corner", bounds="published", targets="pooled")
    xy, weight, sure = points(v, f"direct_{name}_")
    target, weight = codec.encode(xy, weight)
    assert torch.equal(weight[sure], v[f"direct_{name}_w"][..., 0][sure])
    close(target[-1][sure], v[f"direct_{name}"][sure])


@pytest.mark.parametrize("file", files("enc_srpose"))
def test_drawn_intermediate_targets_are_those_of_that_resolution(file):
    v = tensors(file)
    codec = MultiScale("256x192", scale=1, base_sigma=2, align="corner", bounds="published", targets="drawn")
    xy, weight, sure = points(v, "direct_48x64_s2_")
    target, weight = codec.encode(xy, weight)
    # Which joints count follows from the finest map's window, which ends elsewhere by up to half a bin of the other.
    kept = sure & (weight > 0) & (v["direct_48x64_s2_w"][..., 0] > 0)
    assert kept.sum() > 5
    close(target[1][kept], v["direct_48x64_s2"][kept])


@pytest.mark.parametrize("file", files("enc_srpose"))
def test_megvii_targets_are_srposes(file):
    v = tensors(file)
    # A spike blurred by an 11-tap kernel of sigma 2, and scaled to 255: a Gaussian that ends after 5 bins.
    codec = Heatmap("256x192", sigma=2, quantise="floor", truncate=2.5, align="corner")
    xy, weight, _ = points(v, "megvii_")
    target, weight = codec.encode(xy, weight)
    # Its blur mirrors at the map's border; its rule for joints outside is that of the bin, cut toward zero.
    bins, end = codec.to_bins(xy).trunc(), torch.tensor([codec.x.n, codec.y.n])
    assert torch.equal(((bins >= 0) & (bins < end)).all(-1) * v["megvii_vis"][..., 0].float(), v["megvii_w"][..., 0])
    inner = (weight > 0) & ((bins >= 5) & (bins < end - 5)).all(-1)
    assert inner.any()
    close(target[inner], v["megvii_48x64"][inner] / 255)


@pytest.mark.parametrize("file", full("loss_srpose"))
@pytest.mark.parametrize(("level", "stride"), [(1, 4), (2, 8), (3, 4)])
def test_losses_of_pooled_targets_are_srposes(file, level, stride):
    v = tensors(file)
    codec = MultiScale("256x192", supervise=(True, True), mid_stride=stride, align="corner", truncate=None)
    target, weight = codec.encode(v["centers_int"].float(), v["weight"][..., 0])
    theirs = v["losses"]
    # What is not asked for is perfect. The official values are float32.
    low = codec.loss((v["out0"], *target[1:]), target, weight)
    torch.testing.assert_close(low.double(), theirs[0], atol=0, rtol=1e-5)
    mid = codec.loss((target[0], v[f"out{level}"], target[2]), target, weight)
    torch.testing.assert_close(mid.double(), theirs[level], atol=0, rtol=1e-5)
    both = codec.loss((v["out0"], v[f"out{level}"], target[2]), target, weight)
    torch.testing.assert_close(both.double(), theirs[0] + theirs[level], atol=0, rtol=1e-5)


def in_image(v: dict[str, Tensor], name: str, position: Tensor) -> Tensor:
    return official_crop(v, Size(*v[f"{name}_hm"].shape[-2:]), "corner", f"{name}_").to_image(position.double())


@pytest.mark.parametrize("file", full("dec_srpose"))
@pytest.mark.parametrize("name", ["48x64", "96x128"])
def test_points_and_scores_are_srposes(file, name):
    v = tensors(file)
    position, peak = QuarterShift()(v[f"{name}_hm"])
    theirs = v[f"{name}_heatmap_px"]
    assert torch.equal(peak, theirs[..., 2])
    # Without a positive value theirs reads the last block (from an index of -1), ours answers (0, 0) as HRNet's code.
    found = peak > 0
    assert 0 < (~found).sum() < 0.1 * found.sum()
    assert torch.equal(position[found], theirs[..., :2][found])
    # The way back to the image is an affine in float32.
    image, theirs = in_image(v, name, position), v[f"{name}_preds"].double()
    torch.testing.assert_close(image[found], theirs[..., :2][found], atol=1e-3, rtol=0)

    position, peak = QuarterShift()((v[f"{name}_hm"] + v[f"{name}_hm_flipped_back"]) / 2)
    theirs = v[f"{name}_preds_flip"].double()
    assert (peak > 0).all()
    torch.testing.assert_close(in_image(v, name, position), theirs[..., :2], atol=1e-3, rtol=0)
    torch.testing.assert_close(peak.double(), theirs[..., 2], atol=1e-6, rtol=0)


@pytest.mark.parametrize("file", full("dec_srpose"))
def test_only_rows_and_columns_that_srposes_pooling_drops_differ(file):
    v = tensors(file)
    whole, part, theirs = v["50x70_hm"], v["50x70_hm"][..., :64, :48], v["50x70_heatmap_px"]
    position, peak = Argmax()(part)
    found = peak > 0
    # A quarter of a bin is undone by rounding; neighbours that decide about it may lie beyond the part.
    assert torch.equal(peak, theirs[..., 2])
    assert torch.equal(position[found], theirs[..., :2].round()[found])
    shifted, _ = QuarterShift()(part)
    inner = found & (position < torch.tensor([47, 63])).all(-1)
    assert torch.equal(shifted[inner], theirs[..., :2][inner])

    # Ours finds the maximum anywhere. It is where theirs is, or in the dropped part.
    position, peak = QuarterShift()(whole)
    dropped = ((position.round() >= torch.tensor([48, 64])).any(-1)) & (peak > theirs[..., 2])
    same = found & ~dropped
    assert dropped.any()
    assert torch.equal(position[same], theirs[..., :2][same])
