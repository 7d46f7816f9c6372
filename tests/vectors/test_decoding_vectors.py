"""Decoding and flip test against HRNet, DarkPose and SimCC; exceptions in reference/README.md.

Positions in bins and input px: 1e-5, and 1e-6 of the coordinate for those stored in float32. In image px: 1e-3, for the
way back is an affine that cv2 solves from float32 points.
"""

import pytest
import torch
from torch import Tensor

from poserep.codecs import DARK, Argmax, Equal, Gaussian, Heatmap, QuarterShift, SimCC
from poserep.codecs.dark import blur, gaussian_kernel
from poserep.geometry import Align, Size
from poserep.skeleton import COCO
from reference.vectors import close, files, full, input_size, like, official_crop, tensors


def same_position(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs.to(ours.dtype), atol=1e-5, rtol=1e-6)


def in_image(v: dict[str, Tensor], points: Tensor, align: Align = "corner", size: Size | None = None) -> Tensor:
    """Return points, in px of an input of that size or in bins of the file's maps, in px of the image."""
    return official_crop(v, size or Size(*v["hm"].shape[-2:]), align).to_image(points.double())


def same_image_position(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs.double(), atol=1e-3, rtol=0)


@pytest.mark.parametrize("file", files("dec_heatmap_*"))
def test_argmax_is_hrnets_and_quarter_shift_mmposes_too(file):
    v = tensors(file)
    position, peak = Argmax()(v["hm"])
    assert torch.equal(position, v["max_preds"])
    assert torch.equal(peak, v["maxvals"][..., 0])
    if "nopost" in v:
        same_image_position(in_image(v, position), v["nopost"])
    position, peak = QuarterShift()(v["hm"])
    same_position(position, v["quarter_heatmap_px"])
    image = in_image(v, position)
    same_image_position(image, v["quarter"])
    if "srpose_default" in v:
        # mmpose puts joints without a positive value to (-1, -1), HRNet's code to (0, 0).
        found = peak > 0
        same_image_position(image[found], v["srpose_default"][found])
        assert torch.equal(peak, v["srpose_maxvals"][..., 0])


@pytest.mark.parametrize("file", files("dec_heatmap_*"))
def test_dark_steps_are_darkposes(file):
    v = tensors(file)
    kernels = [int(key[4:].split("_")[0]) for key in v if key.startswith("dark") and key.endswith("_heatmap_px")]
    assert kernels
    for kernel in kernels:
        assert not v[f"dark{kernel}_nan"].any()
        theirs = v[f"dark{kernel}_heatmap_px"].double()
        ours, peak = DARK(kernel, max_step=None)(v["hm"].double())
        assert torch.equal(peak.float(), v["maxvals"][..., 0])
        still = ~v[f"dark{kernel}_refined"]
        assert torch.equal(ours[still], v["max_preds"][still].double())
        error = (ours - theirs).abs().amax(-1)
        step = (theirs - v["max_preds"]).abs().amax(-1)
        sane = step < 2
        assert sane.float().mean() > 0.9
        assert (error[sane] < 1e-5).all()
        # The rest are noise maps with steps of up to thousands of bins: the official code takes logarithms in float32
        # (up to 23 in size, so 1e-6 off); solving multiplies that by the adjugate (at most 24) over the determinant.
        det = v[f"dark{kernel}_hess_det"].abs()[~sane]
        assert (error[~sane] <= 24e-6 * (1 + 2 * step[~sane]) / det).all()
        if f"dark{kernel}_image_px" in v:
            image = in_image(v, ours, "dark")
            same_image_position(image[sane], v[f"dark{kernel}_image_px"][sane])


@pytest.mark.parametrize("file", full("dec_heatmap_*"))
def test_blurred_and_rescaled_maps_are_darkposes(file):
    v = tensors(file)
    compared = 0
    for key in (key for key in v if key.endswith("_blur_first2")):
        maps = v["hm"][: len(v[key])].double()
        smooth = blur(maps, gaussian_kernel(int(key[4:].split("_")[0])))
        factor = maps.amax((-2, -1)) / smooth.amax((-2, -1))
        # An all-zero map is divided by zero; its maximum is not refined.
        some = smooth.amax((-2, -1)) != 0
        close((smooth * factor[..., None, None])[some], v[key][some].double())
        compared += int(some.sum())
    assert compared > 20


@pytest.mark.parametrize("file", files("dec_gauss_kernels"))
def test_blur_kernels_are_opencvs(file):
    for name, kernel in tensors(file).items():
        if name != "k9":  # OpenCV 5 has a table for 9 too; no published configuration uses that size
            torch.testing.assert_close(gaussian_kernel(int(name[1:])), kernel, atol=1e-12, rtol=0)


def simcc(v: dict[str, Tensor], scheme: str, flip_shift: float) -> SimCC:
    label, merge_on = (Equal(), "probabilities") if scheme == "simdr" else (Gaussian(), "logits")
    options = {"align": "corner", "score": "published", "flip_shift": flip_shift}
    return SimCC(input_size(v), k=float(v["k"]), label=label, merge_on=merge_on, **options)


@pytest.mark.parametrize("scheme", ["simdr", "sa"])
@pytest.mark.parametrize("file", files("dec_simcc_validate_*"))
@pytest.mark.parametrize(("variant", "flip_shift"), [("f0s0", 0), ("f1s0", 0), ("f1s1", -1)])
def test_simcc_points_scores_and_flip_test_are_the_official_ones(file, scheme, variant, flip_shift):
    v = tensors(file)
    codec = simcc(v, scheme, flip_shift)
    out = v["logit_x"], v["logit_y"]
    if variant != "f0s0":
        out = codec.merge(out, (v["flip_logit_x"], v["flip_logit_y"]), COCO.flip_perm())
    points, theirs = codec.decode(out), v[f"{scheme}_{variant}_crop_preds"]
    same_position(points.xy, theirs[..., :2])
    close(points.score, theirs[..., 2])
    image = in_image(v, points.xy, size=input_size(v))
    same_image_position(image, v[f"{scheme}_{variant}_preds"][..., :2])
    for axis, ours in codec.density(out).items():
        if f"{scheme}_{variant}_prob_{axis}" in v:
            probability = v[f"{scheme}_{variant}_prob_{axis}"]
            close(ours[: len(probability)], probability)


@pytest.mark.parametrize("file", files("dec_flip"))
@pytest.mark.parametrize(("variant", "flip_shift"), [("s0", 0), ("s1", 1)])
def test_heatmap_flip_average_is_hrnets_and_mmposes(file, variant, flip_shift):
    v = tensors(file)
    codec = Heatmap("256x192", align="corner", flip_shift=flip_shift)
    merged = codec.merge(v["hm"], v["hm_flip"], COCO.flip_perm())
    torch.testing.assert_close(*like(merged, v[f"avg_{variant}"]), atol=1e-6, rtol=0)
    if f"mm_flip_{variant}" in v:
        back = codec.unmirror(v["hm_flip"], COCO.flip_perm())
        assert torch.equal(back, v[f"mm_flip_{variant}"])
        position, peak = QuarterShift()(merged)
        same_image_position(in_image(v, position), v[f"preds_{variant}"][..., :2])
        torch.testing.assert_close(peak, v[f"preds_{variant}"][..., 2], atol=1e-6, rtol=0)


@pytest.mark.parametrize("file", full("dec_flip"))
def test_maps_and_vectors_are_unmirrored_as_in_hrnet_simcc_and_mmpose(file):
    v, perm = tensors(file), COCO.flip_perm()
    codec = Heatmap("256x192", align="corner", flip_shift=0)
    assert torch.equal(codec.unmirror(v["hm_flip"], perm), v["flip_back"])
    # The vectors of one axis turn round, those of the other change joints only.
    for code in ("simcc", "mm"):
        assert torch.equal(codec.unmirror(v["vec_x"], perm), v[f"vec_{code}_x"])
        assert torch.equal(v["vec_y"][:, perm], v[f"vec_{code}_y"])
