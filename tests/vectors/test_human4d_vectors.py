"""HUMAN4D's measures against moai, the reproduction study's framework, whose values are float32."""

import numpy as np
import pytest

from poserep.metrics.human4d import code_hits, code_rmse
from reference.vectors import arrays, full

# One step of the reference's precision.
STEP = np.finfo(np.float32).eps
FILE = pytest.mark.parametrize("file", full("eval_moai"))


@FILE
@pytest.mark.parametrize(("name", "alpha"), [("pck50", 0.5), ("pck10", 0.1)])
def test_pckh_per_coordinate_is_moais(file, name, alpha):
    v = arrays(file)
    right, counted = code_hits(v["gt"], v["pred"], v["gt_mask"], v["pred_mask"], (2, 3), alpha)
    assert (counted & ~(v["gt_mask"] & v["pred_mask"])).any()
    np.testing.assert_allclose(100 * right.sum() / counted.sum(), v[name], rtol=STEP)
    per_image = 100 * right.sum((1, 2)) / counted.sum((1, 2))
    np.testing.assert_allclose(per_image, v[f"{name}_perimage"], rtol=STEP)


@FILE
@pytest.mark.parametrize("name", ["rmse", "rmse_w"])
def test_rmse_per_coordinate_is_moais(file, name):
    v = arrays(file)
    weight = v["weights"] if name == "rmse_w" else np.ones(1)
    np.testing.assert_allclose(code_rmse(v["gt"], v["pred"], weight).mean(), v[name], rtol=STEP)
