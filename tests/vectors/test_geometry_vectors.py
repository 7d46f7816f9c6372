"""Crops and their inverses against the official code of HRNet and DarkPose."""

import numpy as np
import pytest
import torch

from poserep.geometry import Align, Crop, Size, box_to_region, crop_matrix
from reference.vectors import arrays, full

OFFICIAL: list[tuple[str, Align]] = [("hrnet", "corner"), ("dark", "dark")]


def check_points(v, extents, align, theirs):
    for i, (width, height) in enumerate(v["output_size"]):
        matrix = crop_matrix(v["center"][i], extents[i], Size(height, width), align, v["rot"][i])
        ours = v["pts"][i] @ matrix[:, :2].T + matrix[:, 2]
        # The official code rounds the three points, from which it solves the matrix, to float32. A point as far from
        # them as the region is long therefore moves by up to 1e-3 px; points farther away in proportion.
        reach = 1 + np.abs(v["pts"][i] - v["center"][i]).max(-1, keepdims=True) / (extents[i, 0] / 2)
        assert (np.abs(ours - theirs[i]) < 1e-3 * reach).all(), i


@pytest.mark.parametrize(("code", "align"), OFFICIAL)
def test_crop_maps_points_as_the_official_affine(code, align):
    v = arrays("geom_affine")
    check_points(v, v["scale"] * 200.0, align, v[f"{code}_pts"])


@pytest.mark.parametrize("file", full("geom_warp_mmpose"))
def test_mmposes_warp_is_hrnets_convention_and_udp_darkposes_with_another_width(file):
    v = arrays(file)
    # Boxes are in px; rotations turn the same way, but not in UDP's warp.
    check_points(v, v["scale_px"], "corner", v["warp_pts"])
    for i, (width, height) in enumerate(v["output_size"]):
        # UDP takes a region's width for the distance of its outer pixels' centres, where DarkPose takes it less one;
        # it stretches both axes apart, here is the horizontal one of unrotated crops.
        matrix = crop_matrix(v["center"][i], v["scale_px"][i] + 1, Size(height, width), "edge")
        factor = (width - 1) / v["scale_px"][i, 0]
        assert matrix[0, 0] == pytest.approx(factor, rel=1e-6)
        turned = np.hypot(v["udp_warp"][i, 0, 0], v["udp_warp"][i, 0, 1])
        assert turned == pytest.approx(factor, rel=1e-4)


@pytest.mark.parametrize(("code", "align"), OFFICIAL)
def test_box_gives_the_official_centre_and_scale(code, align):
    v = arrays("geom_box2cs")
    rows = np.ones(len(v["box_xywh"]), bool)
    # Official code takes a centre of x = -1 for "no centre" and then forgets the padding: a bug, not reproduced.
    rows[72:75] = False
    for i, (width, height) in enumerate(v["image_size"]):
        centre, extent = box_to_region(v["box_xywh"][rows], Size(height, width), align)
        # The reference is stored in float32, so 6e-8 relative; scale is rounded before and after the padding.
        np.testing.assert_allclose(centre, v[f"{code}_center"][i][rows], rtol=1e-6, atol=1e-5)
        np.testing.assert_allclose(extent, v[f"{code}_scale"][i][rows] * 200.0, rtol=1e-6)


@pytest.mark.parametrize(("code", "align"), OFFICIAL)
def test_points_return_to_the_image_as_in_the_official_code(code, align):
    v = arrays("geom_transform_preds")
    for i, (width, height) in enumerate(v["output_size"]):
        matrix = crop_matrix(v["center"][i], v["scale"][i] * 200.0, Size(height, width), align)
        crop = Crop(torch.from_numpy(matrix)[None])
        ours = crop.to_image(torch.from_numpy(v["coords"][i].astype(float))[None])[0].numpy()
        # Solved by cv2 from float32 points: 1e-3 px at most for regions of a thousand px.
        np.testing.assert_allclose(ours, v[code][i], atol=1e-3)
