"""ProbPose: its code's targets, readout and points, and expected OKS as defined. Of its loss there is no output."""

from typing import Any

import pytest
import torch

from poserep.codecs import ExpectedOKS, PersonArea, ProbMap, ProbPose, ProbPoseSpread, SameSpread
from reference.vectors import full, tensors

FILES = full("mm_probpose_*")
# What their smallest file says of itself: positions of some tens of bins, stored in float32.
DECISIVE = 1e-5


def options(v: dict[str, Any]) -> dict[str, Any]:
    width, height = (4 * v["heatmap_size"]).tolist()
    return {"size": f"{height}x{width}", "align": "edge", "sigmas": v["coco_sigmas"].tolist()}


@pytest.mark.parametrize("file", FILES)
def test_expected_oks_is_as_defined(file):
    v = tensors(file)
    w, h = v["heatmap_size"].tolist()
    share = PersonArea(float(v["def_area"] / (w * h)))
    sigmas = v["coco_sigmas"].tolist()
    torch.testing.assert_close(share(v["coco_sigmas"], h, w), v["def_s"], atol=1e-9, rtol=0)
    decisive = v["def_margin"] > DECISIVE
    for dtype, tolerance in ((torch.float32, 1e-6), (torch.float64, 1e-12)):
        at, value = ExpectedOKS(sigmas, share, steps=0)(v["prob"].to(dtype))
        assert torch.equal(at.long()[decisive], v["def_argmax"][decisive]) and decisive.sum() > decisive.numel() / 2
        # Theirs are of maps that sum to nearly 1.
        torch.testing.assert_close(value * v["prob_sum"], v["def_max"], atol=tolerance, rtol=0)
        assert (ExpectedOKS(sigmas, share)(v["prob"].to(dtype))[1] >= value - 1e-7).all()


@pytest.mark.parametrize("file", FILES)
def test_probposes_readout_and_its_stretched_points_are_met(file):
    v = tensors(file)
    given, (w, h) = options(v), v["heatmap_size"].tolist()
    torch.testing.assert_close(ProbPoseSpread()(v["coco_sigmas"], h, w), v["off_s"], atol=1e-9, rtol=0)
    at, value = ProbPose(given["sigmas"])(v["prob"].double())
    decisive = v["off_margin"] > DECISIVE
    torch.testing.assert_close(at[decisive].float(), v["off_locs"][decisive], atol=1e-5, rtol=0)
    torch.testing.assert_close((value * v["prob_sum"])[decisive].float(), v["off_vals"][decisive], atol=1e-6, rtol=0)
    codec = ProbMap(**given, px_per_bin="published", readouts={"probpose": ProbPose()})
    torch.testing.assert_close(codec.to_px(at)[decisive], v["dec_kpts"][decisive], atol=1e-5, rtol=0)
    # Logits and positions of some hundred px in float32.
    decoded = codec.decode(v["prob"].log()).xy.double()
    torch.testing.assert_close(decoded[decisive], v["dec_kpts"][decisive], atol=1e-5, rtol=1e-6)


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize(("tag", "spread"), [("fix2", SameSpread(2.0)), ("percoco", ProbPoseSpread())])
def test_oks_maps_are_probposes(file, tag, spread):
    v = tensors(file)
    target, weight = ProbMap(**options(v), spread=spread, bounds="published").encode(v["enc_kpts"], v["enc_vis"])
    assert torch.equal(weight, v[f"enc_{tag}_w"])
    torch.testing.assert_close(target[0], v[f"enc_{tag}_maps"], atol=1e-5, rtol=0)
