"""Half bodies and mirrored joints against the official code."""

import numpy as np
import pytest

from poserep.data.augment import Augment, CropRegion
from poserep.geometry import Size
from poserep.skeleton import COCO, CROWDPOSE, MPII, Skeleton
from reference.vectors import arrays, full


@pytest.mark.parametrize("path", full("geom_half_body"))
def test_half_body_is_hrnets(path):
    v = arrays(path)
    whole = CropRegion(np.array([-7.0, -7.0]), np.array([1.0, 1.0]))
    halved = 0
    columns = (v[k] for k in ("joints", "vis", "randn", "valid", "center", "scale"))
    for joints, vis, coin, valid, centre, scale in zip(*columns, strict=True):
        # The official coin is a normal that must stay below 0.5.
        augment = Augment(half_body=1.0, half_body_min=0, upper_prob=float(coin < 0.5))
        person = joints[:, :2].astype(np.float32), vis[:, 0], COCO.upper_mask()
        view = augment.region(np.random.default_rng(0), whole, *person, Size(256, 192))
        if not valid:
            assert view.centre is whole.centre
            continue
        halved += 1
        # Joints and results are float32 in the reference or in our instances.
        np.testing.assert_allclose(view.centre, centre, rtol=1e-6, atol=1e-4)
        np.testing.assert_allclose(view.extent, scale * 200.0, rtol=1e-6, atol=1e-4)
    assert halved > 100


@pytest.mark.parametrize("skeleton", [COCO, MPII, CROWDPOSE], ids=lambda s: s.name)
@pytest.mark.parametrize("path", full("geom_fliplr"))
def test_mirrored_joints_are_hrnets(path, skeleton: Skeleton):
    v = {key.removeprefix(f"{skeleton.name}_"): a for key, a in arrays(path).items() if key.startswith(skeleton.name)}
    perm = skeleton.flip_perm().numpy()
    index = {name: i for i, name in enumerate(skeleton.names)}
    pairs = {frozenset((index[a], index[b])) for a, b in skeleton.pairs}
    assert {frozenset(pair) for pair in v["pairs"].tolist()} == pairs
    vis = v["vis"][:, perm, 0]
    np.testing.assert_array_equal(vis, v["out_vis"][..., 0])
    x = v["width"][:, None] - 1 - v["joints"][:, perm, 0]
    # The official code puts joints of no weight at 0; ours leaves them where they are.
    np.testing.assert_allclose(x * vis, v["out"][..., 0], atol=1e-9)
    np.testing.assert_allclose(v["joints"][:, perm, 1] * vis, v["out"][..., 1], atol=1e-9)
