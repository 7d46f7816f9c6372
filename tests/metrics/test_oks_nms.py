"""Suppression of duplicates against its definition, one image and one pose at a time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poserep.metrics import oks as oks_module
from poserep.metrics.oks import oks_nms, pose_oks
from poserep.skeleton import COCO

SIGMAS = np.array(COCO.sigmas)


def by_definition(xy, score, area, image, threshold, sigmas=SIGMAS):
    kept = []
    for key in dict.fromkeys(image.tolist()):
        left = sorted(np.flatnonzero(image == key).tolist(), key=lambda i: (-score[i], -i))
        while left:
            best, *left = left
            kept.append(best)
            similar = [pose_oks(xy[[best]], xy[[i]], area[[best]], area[[i]], sigmas)[0] > threshold for i in left]
            left = [i for i, gone in zip(left, similar, strict=True) if not gone]
    return kept


@pytest.fixture(autouse=True, scope="module")
def few_pairs_at_a_time():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(oks_module, "_PAIRS", 7)
        yield


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**32 - 1), st.integers(0, 60), st.sampled_from([0.1, 0.5, 0.9, 1.0]), st.sampled_from([0.5, 2, 6])
)
def test_the_poses_kept_are_those_of_the_definition(seed, count, threshold, noise):
    rng = np.random.default_rng(seed)
    image, score, area = rng.integers(0, 5, count), rng.integers(0, 8, count) / 8, rng.uniform(1e3, 1e4, count)
    places = rng.uniform(0, 300, (4, 17, 2))[rng.integers(0, 4, count)]
    xy = (places + rng.normal(0, noise, (count, 17, 2))).astype(np.float32)
    assert oks_nms(xy, score, area, image, SIGMAS, threshold).tolist() == by_definition(
        xy, score, area, image, threshold
    )


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 6),
    st.sampled_from([1e-12, 1e-3, 0.3, 0.9, 1.0]),
    st.sampled_from([0, 30]),
)
def test_few_joints_and_small_areas_and_thresholds(seed, joints, threshold, side):
    rng = np.random.default_rng(seed)
    sigmas, area = rng.uniform(0.01, 0.3, joints), np.float32(rng.uniform(0, side + 1e-3, 20) ** 2)
    xy = rng.normal(0, side / 3 + 0.1, (20, joints, 2)).astype(np.float32)
    score, image = rng.random(20), rng.integers(0, 2, 20)
    found = oks_nms(xy, score, area, image, sigmas, threshold).tolist()
    assert found == by_definition(xy, score, area, image, threshold, sigmas)
