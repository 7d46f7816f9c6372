"""Similarity of poses and the suppression of duplicates by it."""

import numpy as np

from poserep.metrics import oks, oks_nms


def test_oks_is_one_on_the_diagonal_and_falls_to_exp_minus_half_at_two_sigma_root_area():
    area, sigmas = np.array([400.0, 400.0]), np.array([0.1, 0.1])
    xy = np.zeros((2, 2, 2))
    xy[1, :, 0] = 2 * 0.1 * 20
    expected = np.exp(-0.5)
    np.testing.assert_allclose(oks(xy, area, sigmas), [[1, expected], [expected, 1]])
    assert oks_nms(xy, np.array([0.1, 0.9]), area, sigmas, 0.6).tolist() == [1]
    assert oks_nms(xy, np.array([0.1, 0.9]), area, sigmas, 0.61).tolist() == [1, 0]
