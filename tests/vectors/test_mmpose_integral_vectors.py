"""Integral regression against mmpose 1.x and dsntnn (`mm_integral_soft_*`, `mm_integral_dsnt_*`).

Not reproduced: mmpose's score, which is 1 for every joint; its gradients that are no numbers, for all bins of joints
without weight; dsntnn's other regularisers, KL and variance.
"""

import itertools

import pytest
import torch

from poserep.codecs import Integral, SoftArgmax
from poserep.codecs.integral import distribution, jensen_shannon
from poserep.codecs.losses import Distance
from poserep.geometry import Size
from poserep.skeleton import COCO
from reference.vectors import files, tensors

SOFT, DSNT = files("mm_integral_soft_*"), files("mm_integral_dsnt_*")
TAGS = [f"{bias}_b{beta}" for bias, beta in itertools.product(("plain", "debias"), (1, 10))]


def codec_of(v: dict[str, torch.Tensor], tag: str = "plain_b1", **options) -> Integral:
    bias, beta = tag.split("_b")
    width, height = v["input_size"].tolist()
    position = SoftArgmax(float(beta), "none" if bias == "plain" else "published")
    stride = height // int(v["heatmap_size"][1])
    return Integral(Size(height, width), stride=stride, align="corner", position=position, **options)


@pytest.mark.parametrize("file", SOFT)
@pytest.mark.parametrize("tag", TAGS)
def test_positions_peaks_and_gradients_are_mmposes(file, tag):
    v = tensors(file)
    codec, logits = codec_of(v, tag), v["logits"].double().requires_grad_()
    share = codec.position.mean(logits) / v["heatmap_size"]
    torch.testing.assert_close(share, v[f"{tag}_coords_f64"], atol=1e-12, rtol=1e-10)
    (share * v["up"]).sum().backward()
    norm = v[f"{tag}_gradnorm_f64"]
    torch.testing.assert_close(logits.grad.norm(), norm, atol=0, rtol=1e-10)
    if f"{tag}_grad_f64" in v:
        torch.testing.assert_close(logits.grad, v[f"{tag}_grad_f64"], atol=1e-12, rtol=1e-8)
    points = codec.decode(v["logits"])
    torch.testing.assert_close(points.xy.double(), v[f"{tag}_dec"], atol=1e-6 * float(v["input_size"].max()), rtol=0)
    peak = codec.probabilities(v["logits"]).amax((-2, -1))
    torch.testing.assert_close(peak, v[f"{tag}_map_max"], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("file", files("mm_integral_soft_64x48"))
@pytest.mark.parametrize("tag", TAGS)
def test_flip_tests_average_mmposes_points(file, tag):
    v = tensors(file)
    perm, px = COCO.flip_perm(), v["input_size"][0] / v["heatmap_size"][0]
    codec = codec_of(v, tag, flip_shift=0)
    plain = codec.decode(v["logits"]).xy.double()
    # The mirrored image's points themselves: mirrored about the middle of the pixels, and without it half a px off.
    back = codec.decode(v["logits_flip"]).xy.double()[:, perm]
    for shift in (0, 1):
        mirrored = torch.stack([v["input_size"][0] - shift - back[..., 0], back[..., 1]], -1)
        torch.testing.assert_close((plain + mirrored) / 2, v[f"{tag}_flipavg_shift{shift}"], atol=2e-4, rtol=0)
    if tag.startswith("plain"):
        # The mean of maps is the mean of their means: the same, but for the turned map's own place.
        merged = codec.decode(codec.merge(v["logits"], v["logits_flip"], perm)).xy.double()
        merged[..., 0] += px / 2
        torch.testing.assert_close(merged, v[f"{tag}_flipavg_shift0"], atol=1e-3, rtol=0)


@pytest.mark.parametrize("file", DSNT)
@pytest.mark.parametrize("tag", ["plain_b1", "plain_b10", "debias_b10"])
def test_losses_are_mmposes_and_joints_without_weight_have_no_gradient(file, tag):
    v = tensors(file)
    joints = v["weights"].shape[1]

    def smooth(out, target, weight):
        # Theirs are in [0, 1], and a mean over coordinates.
        return Distance("smooth")(out / 2, target / 2, weight) / 2

    codec = codec_of(v, tag, criterion=smooth, sigma=float(v["sigma"]), divergence=joints)
    centre, out = v["labels"] * v["heatmap_size"], v["logits"].clone().requires_grad_()
    drawn = distribution(v["target_maps"])
    assert (drawn - v["target_maps"]).abs().max() < 1e-7
    loss = codec.loss(out, (centre, v["target_maps"]), v["weights"])
    loss.backward()
    torch.testing.assert_close(loss.double(), v[f"{tag}_loss_f64"], atol=0, rtol=1e-5)
    theirs, kept = v[f"{tag}_grad_f64"], v["weights"] > 0
    assert (theirs[~kept] == -9999).all() and (out.grad[~kept] == 0).all()
    assert (out.grad - theirs)[kept].abs().max() < 1e-5 * theirs[kept].abs().max()


@pytest.mark.parametrize("file", DSNT)
def test_distance_and_divergence_are_dsntnns(file):
    v = tensors(file)
    codec = codec_of(v)
    unit, weight = codec.unit, v["weights"].double()
    out = v["logits"].double().requires_grad_()
    # Coordinates in (-1, 1), 0 in the middle of the map.
    middle = (v["heatmap_size"] - 1) / 2
    at = (codec.position.mean(out) - middle) / unit
    torch.testing.assert_close(at, v["nn_coords"], atol=1e-12, rtol=0)
    distance = Distance("l2")(at, v["nn_target"], weight) * weight.numel() / weight.sum()
    torch.testing.assert_close(distance, v["nn_euclid_avg"], atol=0, rtol=1e-10)
    torch.testing.assert_close(torch.autograd.grad(distance, out)[0], v["nn_euclid_grad"], atol=1e-12, rtol=1e-8)

    centre = v["nn_target"] * unit + middle
    h, w = out.shape[-2:]
    squares = (torch.arange(w) - centre[..., 0, None, None]) ** 2 + (
        torch.arange(h)[:, None] - centre[..., 1, None, None]
    ) ** 2
    gaussian = torch.exp(squares / (-2 * v["nn_sigma_px"] ** 2))
    at = (codec.position.mean(out) - middle) / unit
    each = jensen_shannon(codec.position.beta * out, distribution(gaussian))
    torch.testing.assert_close(each, v["nn_js_losses"], atol=1e-9, rtol=1e-8)
    divergence = (each * weight).sum() / weight.sum()
    torch.testing.assert_close(torch.autograd.grad(divergence, out)[0], v["nn_js_grad"], atol=1e-9, rtol=1e-6)
