"""Axes and crops: properties that hold for every size, alignment and region."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from poserep.errors import InputError
from poserep.geometry import ALIGNMENTS, Axis, Crop, Size, crop_matrix, fit_aspect

axes = st.builds(Axis, st.integers(8, 512), st.integers(2, 2048), st.sampled_from(ALIGNMENTS), st.floats(0.1, 4))
parts = st.floats(0, 1)
settings.register_profile("poserep", deadline=None, max_examples=30, derandomize=True, database=None)
settings.load_profile("poserep")


@given(axes, parts)
def test_bins_and_pixels_are_inverse_and_reach_bounds_the_distance_to_the_nearest_bin(axis, part):
    x = torch.tensor(-0.5 + part * axis.length, dtype=torch.float64)
    assert abs(axis.to_px(axis.to_bin(x)) - x) < 1e-9
    bins = axis.to_bin(torch.stack([x, x + axis.px_per_bin()]))
    assert abs(bins[1] - bins[0] - 1) < 1e-9
    assert abs(bins[0] - bins[0].round().clamp(0, axis.n - 1)) <= axis.reach() + 1e-9


regions = st.tuples(
    st.tuples(st.floats(0, 1500), st.floats(0, 1500)),
    st.floats(8, 1500),
    st.sampled_from([Size(64, 64), Size(128, 96), Size(256, 192)]),
    st.sampled_from(ALIGNMENTS),
    st.floats(-180, 180),
)


def region_matrix(region, flip):
    centre, width, size, align, rotation = region
    return crop_matrix(np.array(centre), fit_aspect(np.array([width, 1.0]), size), size, align, rotation, flip)


@given(regions)
def test_points_survive_the_way_to_the_crop_and_back_and_a_flipped_crop_is_the_mirror_image(region):
    centre, width, size, *_ = region
    xy = torch.tensor(centre) + width * (torch.rand(1, 9, 2, generator=torch.Generator().manual_seed(0)) - 0.5)
    crops = [Crop(torch.from_numpy(region_matrix(region, flip))[None]) for flip in (False, True)]
    for crop in crops:
        # float32 holds coordinates up to 2250 px to 1.2e-4 px.
        assert (crop.to_image(crop.to_input(xy)) - xy).abs().max() < 1e-3
        assert (crop.to_image(crop.to_input(xy.double())) - xy).abs().max() < 1e-8
    plain, flipped = (crop.to_input(xy.double()) for crop in crops)
    torch.testing.assert_close(flipped[..., 0], size.width - 1 - plain[..., 0], atol=1e-9, rtol=0)
    torch.testing.assert_close(flipped[..., 1], plain[..., 1], atol=1e-9, rtol=0)


@given(regions)
def test_crops_are_isotropic_and_put_the_centre_in_the_middle(region):
    centre, width, size, align, *_ = region
    matrix = region_matrix(region, flip=False)
    scale = (size.width - 1) / (width - 1) if align in ("edge", "dark") else size.width / width
    np.testing.assert_allclose(matrix[:, :2] @ matrix[:, :2].T, scale**2 * np.eye(2), atol=1e-9 * scale**2)
    middle = np.array([size.width, size.height]) / 2 - (0.5 if align != "corner" else 0)
    np.testing.assert_allclose(matrix @ [*centre, 1], middle, atol=1e-8)


def test_many_crops_at_once_are_the_same_as_one_by_one():
    rng = np.random.default_rng(0)
    centre, extent = rng.uniform(0, 100, (5, 2)), rng.uniform(20, 90, (5, 2))
    rotation, flip = rng.uniform(-90, 90, 5), np.array([0, 1, 0, 1, 1], bool)
    together = crop_matrix(centre, extent, Size(64, 48), "centre", rotation, flip)
    for i in range(5):
        alone = crop_matrix(centre[i], extent[i], Size(64, 48), "centre", rotation[i], bool(flip[i]))
        np.testing.assert_allclose(together[i], alone)


def test_sizes_read_height_first():
    assert Size.parse("256x192") == Size(height=256, width=192) == Size.parse(Size(256, 192))
    assert str(Size(256, 192)) == "256x192"
    for text in ("256", "x192", "0x64", "64x64x3", "-64x64", "", "64.5x64"):
        with pytest.raises(InputError, match="256x192"):
            Size.parse(text)
