"""Targets and weights against the official code of HRNet, DarkPose and SimCC."""

import pytest
import torch

from poserep.codecs import Equal, Gaussian, Heatmap, SimCC
from poserep.geometry import Size
from reference.vectors import tensors

HEATMAPS = ["64x64_s1", "128x128_s1", "192x256_s2", "256x256_s2"]
DARK = ["48x64_s2", "72x96_s3"]
SIMDR = ["128x128_k2p0", "192x256_k1p0", "192x256_k1p5", "192x256_k2p0"]
SA = ["192x256_k1p0_s2", "192x256_k1p5_s4", "192x256_k2p0_s4", "192x256_k2p0_s6", "288x384_k2p0_s6"]


def size(v: dict[str, torch.Tensor]) -> Size:
    width, height = v["image_size"].tolist()
    return Size(height, width)


def robust(joints: torch.Tensor, per_px: float, offset: float) -> torch.Tensor:
    """Joints whose bin does not depend on float32, in which points arrive; the vectors probe ties to 1e-6 px."""
    bins = joints[..., :2] * per_px
    tie = (bins - offset).round() + offset
    return ((bins == tie) | ((bins - tie).abs() > 1e-4)).all(-1)


def close(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    # Both are float32 evaluations of an exponential at a position of a few hundred px (2e-5 px apart at most).
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", HEATMAPS)
def test_quantised_heatmaps_and_weights_are_hrnets(name):
    v = tensors(f"enc_heatmap_{name}")
    codec = Heatmap(size(v), sigma=float(v["sigma"]), align="corner", bounds="published")
    target, weight = codec.encode(v["joints"][..., :2], v["vis"][..., 0].float())
    sure = robust(v["joints"], 1 / 4, 0.5)
    assert sure.float().mean() > 0.9
    assert torch.equal(weight[sure], v["weight"][..., 0][sure])
    close(target[sure], v["target"][sure])


@pytest.mark.parametrize("name", DARK)
def test_unbiased_heatmaps_and_weights_are_darkposes(name):
    v = tensors(f"enc_dark_{name}")
    codec = Heatmap(size(v), sigma=float(v["sigma"]), quantise="none", truncate=None, align="edge", bounds="published")
    joints = v["joints_heatmap"]
    xy = torch.stack([codec.x.to_px(joints[..., 0]), codec.y.to_px(joints[..., 1])], -1)
    target, weight = codec.encode(xy, v["vis"][..., 0].float())
    assert torch.equal(weight, v["weight"][..., 0])
    close(target, v["target"])


@pytest.mark.parametrize("name", SIMDR)
def test_equal_labels_peak_at_simdrs_label_with_its_weights(name):
    v = tensors(f"enc_simdr_{name}")
    codec = SimCC(size(v), k=float(v["k"]), label=Equal(), align="corner", bounds="published")
    (x, y), weight = codec.encode(v["joints"][..., :2], v["vis"][..., 0].float())
    sure = robust(v["joints"], float(v["k"]), 0.5)
    assert torch.equal(weight[sure], v["weight"][..., 0][sure])
    kept = sure & (weight > 0)
    assert kept.sum() > 50
    assert torch.equal(x.argmax(-1)[kept], v["label"][..., 0][kept])
    assert torch.equal(y.argmax(-1)[kept], v["label"][..., 1][kept])


@pytest.mark.parametrize("name", SA)
def test_gaussian_labels_and_weights_are_sa_simdrs(name):
    v = tensors(f"enc_sasimdr_{name}")
    label = Gaussian(sigma=float(v["sigma"]), renormalise=False)
    codec = SimCC(size(v), k=float(v["k"]), label=label, align="corner", bounds="published")
    (x, y), weight = codec.encode(v["joints"][..., :2], v["vis"][..., 0].float())
    assert torch.equal(weight, v["weight"][..., 0])
    close(x, v["target_x"])
    close(y, v["target_y"])
