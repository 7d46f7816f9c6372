"""DarkPose from image px to targets and from maps to image px: crops, bins, targets, decoding and flip test in one."""

import pytest
import torch
from torch import Tensor

from poserep.codecs import DARK, Heatmap
from poserep.geometry import Axis
from poserep.skeleton import COCO
from reference.vectors import close, files, input_size, official_crop, tensors


def heatmap(v: dict[str, Tensor], align: str = "dark", **options) -> Heatmap:
    dark = {"dark": DARK(int(v["blur_kernel"]), max_step=None)}
    return Heatmap(input_size(v), sigma=float(v["sigma"]), readouts=dark, align=align, bounds="published", **options)


@pytest.mark.parametrize("file", files("dark_geometry_*"))
def test_points_of_the_image_become_darkposes_input_px_and_bins(file):
    v = tensors(file)
    points = official_crop(v, input_size(v), "dark", rotation=v["rot"]).to_input(v["joints_image"])
    labelled = v["vis"] > 0
    # The official matrices are solved from float32 points.
    torch.testing.assert_close(points[labelled], v["joints"][labelled], atol=1e-3, rtol=0)
    bins = heatmap(v).to_bins(points)[labelled]
    torch.testing.assert_close(bins, v["joints_heatmap"][labelled], atol=1e-3 / 4, rtol=0)
    # From its own input px the bins follow to the last digits, and if each axis has its own scale they do not.
    ours, apart = (
        (heatmap(v, align).to_bins(v["joints"]) - v["joints_heatmap"])[labelled].abs().amax(0)
        for align in ("dark", "edge")
    )
    assert (ours < 1e-9).all() and apart[0] < 1e-9 and apart[1] > 0.1


@pytest.mark.parametrize("file", files("dark_geometry_*"))
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("unbiased", {"quantise": "none", "truncate": None}),
        ("biased", {}),
        # DarkPose's crops with HRNet's bins.
        ("biased_stride", {"align": "corner"}),
    ],
)
def test_targets_and_weights_are_darkposes(file, name, options):
    v = tensors(file)
    codec = heatmap(v, **options)
    # The official code has coordinates in float64 and makes float32 maps.
    target, weight = codec.encode(v["joints"], v["vis"].float())
    assert torch.equal(weight, v[f"{name}_weight"].float())
    kept = weight > 0
    flat = target.flatten(2)
    torch.testing.assert_close(flat.sum(-1), v[f"{name}_sum"], atol=1e-3, rtol=1e-4)
    close(flat.amax(-1), v[f"{name}_peak"])
    assert torch.equal(flat.argmax(-1)[kept], v[f"{name}_argmax"].long()[kept])
    if f"{name}_target" in v:
        close(target[: len(v[f"{name}_target"])], v[f"{name}_target"])


@pytest.mark.parametrize("file", files("dark_geometry_*"))
@pytest.mark.parametrize("way", ["plain", "flip"])
def test_maps_become_darkposes_points_of_the_image(file, way):
    v = tensors(file)
    codec = heatmap(v, quantise="none", truncate=None, score="published")
    maps, mirrored = ((v[f"dec_{key}_u8"].float() - 16) / 256 for key in ("maps", "mirrored"))
    if way == "flip":
        maps = codec.merge(maps, mirrored, COCO.flip_perm())
    points = codec.decode(maps)
    torch.testing.assert_close(points.score, v[f"dec_{way}_score"], atol=0, rtol=0)
    bins = codec.to_bins(points.xy.double())
    # Steps far beyond a bin, on maps of noise, are those of float32 logarithms; see test_decoding_vectors.py.
    sane = (v[f"dec_{way}_bins"] - v[f"dec_{way}_argmax"]).abs().amax(-1) < 2
    assert sane.float().mean() > 0.9
    torch.testing.assert_close(bins[sane], v[f"dec_{way}_bins"].double()[sane], atol=1e-4, rtol=0)
    image = official_crop(v, input_size(v), "dark", "dec_").to_image(points.xy.double())
    torch.testing.assert_close(image[sane], v[f"dec_{way}_image"][sane], atol=1e-3, rtol=0)


def test_dark_is_edge_if_the_input_is_square():
    square, edge, x = Heatmap("128x128", align="dark"), Axis(128, 32, "edge"), torch.linspace(-20, 150, 1000)
    for axis in (square.x, square.y):
        assert torch.equal(axis.to_bin(x), edge.to_bin(x))
        torch.testing.assert_close(axis.to_px(x), edge.to_px(x), atol=0, rtol=1e-6)
