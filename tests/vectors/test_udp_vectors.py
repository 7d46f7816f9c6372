"""UDP and UDP combined against mmpose 1.x, from points to maps and back, and through crops of the image.

Of joints whose visibility is below 0.5 mmpose draws nothing but keeps the weight, so that the loss pulls toward
nothing; they are compared in weights alone. Maps without a positive value are read elsewhere, or not at all (0 / 0).
"""

from typing import Any

import pytest
import torch
from torch import Tensor

from poserep.codecs import DARK, UDPDARK, Heatmap, PeakOffset, UDPCombined
from poserep.geometry import Crop, Size
from poserep.skeleton import COCO
from reference.vectors import full, tensors

FILES = full("mm_udp_*")
CODE: dict[str, Any] = {"align": "edge", "bounds": "published", "score": "published", "px_per_bin": "published"}
# px; two neighbouring float32 numbers at 256 to 511 px are 3e-5 apart.
PX = 6.2e-5


def gaussian(v: dict[str, Tensor], **options: Any) -> Heatmap:
    kernel = int(v["blur_kernel_size"])
    readouts = {"udp": UDPDARK(kernel), "dark": DARK(kernel)}
    return Heatmap(size(v), sigma=float(v["sigma"]), quantise="none", readouts=readouts, **options)


def combined(v: dict[str, Tensor], **options: Any) -> UDPCombined:
    return UDPCombined(size(v), readouts={"offset": PeakOffset(border="reflect")}, **options)


def size(v: dict[str, Tensor]) -> Size:
    width, height = v["input_size"].tolist()
    return Size(height, width)


def by_joint(maps: Tensor) -> Tensor:
    return maps.unflatten(1, (-1, 3))


@pytest.mark.parametrize("file", FILES)
def test_gaussians_and_weights_are_mmposes(file):
    v = tensors(file)
    codec = gaussian(v, truncate=3, window="rounded", **CODE)
    target, weight = codec.encode(v["kpts"], v["vis"])
    assert torch.equal(weight, v["g_weights"])
    labelled = v["vis"] >= 0.5
    # One joint of a file lies within a float32 number of the tie between two windows, and falls into the other one.
    ties = ((codec.to_bins(v["kpts"]) % 1 - 0.5).abs() < 2e-6).any(-1)
    assert ties.sum() == 1
    torch.testing.assert_close(target[labelled & ~ties], v["g_maps"][labelled & ~ties], atol=1e-5, rtol=0)
    ours, theirs = target[ties], v["g_maps"][ties]
    both = (ours > 0) & (theirs > 0)
    assert (ours[both] - theirs[both]).abs().max() < 1e-5 and both.sum() > 0.9 * (theirs > 0).sum()


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("kind", ["clean", "noisy"])
def test_gaussians_are_read_as_in_mmpose(file, kind):
    v = tensors(file)
    maps, theirs, score = (
        v["g_maps" if kind == "clean" else "g_noisy_maps"],
        v[f"g_dec_{kind}"],
        v[f"g_dec_{kind}_score"],
    )
    codec = gaussian(v, **CODE)
    points, found = codec.decode(maps), score > 0
    assert torch.equal(points.score, score) and torch.isfinite(points.xy).all() and found.float().mean() > 0.7
    assert (points.xy - theirs)[found].abs().max() < PX
    bins, _ = codec.readout("udp")(maps.double())
    official = theirs * (v["heatmap_size"] - 1) / v["input_size"]
    assert (bins - official)[found].abs().max() < 1e-5


@pytest.mark.parametrize("file", full("dec_mm_heatmap"))
@pytest.mark.parametrize(("shape", "kernel"), [("48x64", 11), ("72x96", 17), ("24x32", 3)])
def test_newton_steps_are_mmposes(file, shape, kernel):
    v = tensors(file)
    theirs = v[f"{shape}_refine_udp{kernel}_hmpx"].double()
    ours, value = UDPDARK(kernel)(v[f"{shape}_hm"].double())
    found = value > 0
    # Logarithms in float32, amplified by the longest steps, which are those of noise.
    error, step = (ours - theirs).abs().amax(-1), (theirs - v[f"{shape}_max"]).abs().amax(-1)
    assert found.sum() > 0.9 * found.numel() and (error[found] < 1e-5 * step[found].clamp_min(1)).all()


@pytest.mark.parametrize("file", FILES)
def test_discs_and_offsets_are_mmposes(file):
    v = tensors(file)
    theirs = by_joint(v["c_maps"])
    target, weight = combined(v, **CODE).encode(v["kpts"][: len(theirs)], v["vis"][: len(theirs)])
    assert torch.equal(weight, v["c_weights"])
    labelled = v["vis"][: len(theirs)] >= 0.5
    assert torch.equal(target[labelled][:, 0], theirs[labelled][:, 0])
    torch.testing.assert_close(target[labelled], theirs[labelled], atol=1e-5, rtol=0)


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("kind", ["clean", "noisy"])
def test_discs_and_offsets_are_read_as_in_mmpose(file, kind):
    v = tensors(file)
    maps, theirs = by_joint(v["c_maps" if kind == "clean" else "c_noisy_maps"]), v[f"c_dec_{kind}"]
    codec, score = combined(v, **CODE), v[f"c_dec_{kind}_score"]
    points, found = codec.decode(maps), score > 0
    torch.testing.assert_close(points.score, score, atol=1e-6, rtol=0)
    assert found.float().mean() > 0.6 and (points.xy - theirs)[found].abs().max() < PX
    bins, *_ = codec.readout("offset")(maps.double(), codec.radius)
    official = theirs * (v["heatmap_size"] - 1) / v["input_size"]
    assert (bins - official)[found].abs().max() < 1e-6


@pytest.mark.parametrize("file", full("dec_mm_heatmap"))
def test_discs_and_offsets_of_all_kinds_of_maps_are_read_as_in_mmpose(file):
    v = tensors(file)
    codec = UDPCombined("256x192", readouts={"offset": PeakOffset(border="reflect")}, **CODE)
    maps = by_joint(v["comb_hm"])
    points = codec.decode(maps)
    torch.testing.assert_close(points.score, v["comb_scores"], atol=1e-6, rtol=0)
    # Of two bins that blur to the same number either may be found.
    first, second = codec.readout("offset")._blurred(maps[:, :, 0], 3.5).flatten(2).topk(2).values.unbind(-1)
    found = (v["comb_scores"] > 0) & (first - second > 1e-6)
    assert found.float().mean() > 0.8 and (points.xy - v["comb_out"])[found].abs().max() < PX


@pytest.mark.parametrize("file", full("dec_flip"))
def test_discs_and_offsets_are_unmirrored_as_in_mmpose_and_srpose(file):
    v = tensors(file)
    back = UDPCombined("64x48", align="edge").unmirror(by_joint(v["comb_in"]), COCO.flip_perm()).flatten(1, 2)
    assert torch.equal(back, v["comb_mm"]) and torch.equal(back, v["comb_sr"])


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("kind", ["g", "c"])
def test_points_of_the_image_come_back_as_from_mmpose_or_exactly(file, kind):
    v = tensors(file)
    crop, image = Crop(v["e2e_matrix"].double()), v["e2e_img"].double()
    # OpenCV transforms in float32.
    torch.testing.assert_close(crop.to_input(image), v["e2e_crop"].double(), atol=1e-4, rtol=0)
    ones = torch.ones(image.shape[:2])
    codec = gaussian(v, truncate=3, window="rounded", **CODE) if kind == "g" else combined(v, **CODE)
    target, weight = codec.encode(v["e2e_crop"], ones)
    assert weight.all()
    points = codec.decode(target).xy
    assert (points - v[f"e2e_{kind}_dec_crop"]).abs().max() < PX
    # mmpose lays the whole input over the whole box, whether or not the crop was turned.
    box, centre = v["e2e_scale"].double()[:, None], v["e2e_center"].double()[:, None]
    placed = points.double() / v["input_size"] * box + centre - box / 2
    torch.testing.assert_close(placed, v[f"e2e_{kind}_dec_img"], atol=1e-4, rtol=0)
    upright = v["e2e_rot"] == 0
    assert (placed - image)[upright].abs().max() < 4e-4 and (placed - image)[~upright].abs().max() > 10
    # With exact lengths the inverse of the crop's own map leads back, of turned ones too.
    if kind == "c":
        exact = combined(v, align="edge")
        target, weight = exact.encode(v["e2e_crop"], ones)
        back = crop.to_image(exact.decode(target).xy.double())
        assert (back - image)[weight > 0].abs().max() < 1e-4 and weight.mean() > 0.9
