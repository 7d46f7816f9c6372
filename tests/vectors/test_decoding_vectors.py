"""Decoding and flip test against the official code of HRNet, DarkPose and SimCC."""

import pytest
import torch

from poserep.codecs import DARK, Argmax, Equal, Gaussian, Heatmap, QuarterShift, SimCC
from poserep.codecs.readouts import gaussian_kernel
from poserep.geometry import Size
from poserep.skeleton import COCO
from reference.vectors import tensors

MAPS = ["48x64", "64x64"]
SIMCC = ["192x256_k1", "192x256_k2", "b1"]


@pytest.mark.parametrize("name", MAPS)
def test_argmax_is_hrnets(name):
    v = tensors(f"dec_heatmap_{name}")
    position, peak = Argmax()(v["hm"])
    assert torch.equal(position, v["max_preds"])
    assert torch.equal(peak, v["maxvals"][..., 0])


@pytest.mark.parametrize("name", MAPS)
def test_quarter_shift_is_hrnets(name):
    v = tensors(f"dec_heatmap_{name}")
    # The reference passed an affine of float32 points on its way back to heatmap px.
    torch.testing.assert_close(QuarterShift()(v["hm"])[0], v["quarter_heatmap_px"], atol=1e-3, rtol=0)


@pytest.mark.parametrize(("name", "kernel"), [("48x64", 11), ("64x64", 7), ("64x64", 11)])
def test_dark_steps_are_darkposes(name, kernel):
    v = tensors(f"dec_heatmap_{name}")
    theirs = v[f"dark{kernel}_heatmap_px"].double()
    ours, peak = DARK(kernel, max_step=None)(v["hm"].double())
    assert torch.equal(peak.float(), v["maxvals"][..., 0])
    error = (ours - theirs).abs().amax(-1)
    step = (theirs - v["max_preds"]).abs().amax(-1)
    sane = step < 2
    assert sane.float().mean() > 0.9
    assert (error[sane] < 1e-5).all()
    # The rest are noise maps with steps of up to thousands of bins: the official code takes logarithms in float32 (up
    # to 23 in size, so 1e-6 off); solving multiplies that by the adjugate (at most 24) over the determinant.
    det = v[f"dark{kernel}_hess_det"].abs()[~sane]
    assert (error[~sane] <= 24e-6 * (1 + 2 * step[~sane]) / det).all()


def test_blur_kernels_are_opencvs():
    for name, kernel in tensors("dec_gauss_kernels").items():
        if name != "k9":  # OpenCV 5 has a table for 9 too; no published configuration uses that size
            torch.testing.assert_close(gaussian_kernel(int(name[1:])), kernel, atol=1e-12, rtol=0)


def simcc(v: dict[str, torch.Tensor], scheme: str, flip_shift: float) -> SimCC:
    width, height = v["image_size"].tolist()
    label, merge_on = (Equal(), "probabilities") if scheme == "simdr" else (Gaussian(), "logits")
    return SimCC(
        Size(height, width),
        k=float(v["k"]),
        label=label,
        merge_on=merge_on,
        align="corner",
        score="published",
        flip_shift=flip_shift,
    )


@pytest.mark.parametrize("scheme", ["simdr", "sa"])
@pytest.mark.parametrize("name", SIMCC)
@pytest.mark.parametrize(("variant", "flip_shift"), [("f0s0", 0), ("f1s0", 0), ("f1s1", -1)])
def test_simcc_points_scores_and_flip_test_are_the_official_ones(name, scheme, variant, flip_shift):
    v = tensors(f"dec_simcc_validate_{name}")
    codec = simcc(v, scheme, flip_shift)
    out = v["logit_x"], v["logit_y"]
    if variant != "f0s0":
        out = codec.merge(out, (v["flip_logit_x"], v["flip_logit_y"]), COCO.flip_perm())
    points, theirs = codec.decode(out), v[f"{scheme}_{variant}_crop_preds"]
    # Through cv2's float32 affine; neighbouring bins are 0.5 px apart at least.
    torch.testing.assert_close(points.xy, theirs[..., :2], atol=1e-3, rtol=0)
    torch.testing.assert_close(points.score, theirs[..., 2], atol=1e-5, rtol=0)


@pytest.mark.parametrize(("variant", "flip_shift"), [("s0", 0), ("s1", 1)])
def test_heatmap_flip_average_is_hrnets(variant, flip_shift):
    v = tensors("dec_flip")
    codec = Heatmap("256x192", align="corner", flip_shift=flip_shift)
    ours = codec.merge(v["hm"], v["hm_flip"], COCO.flip_perm())
    torch.testing.assert_close(ours.flatten()[::7], v[f"avg_{variant}"], atol=1e-6, rtol=0)
