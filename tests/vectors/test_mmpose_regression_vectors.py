"""Regression with a learnt error density against mmpose 1.x (`mm_integral_rle`); values in float64 there."""

import pytest
import torch

from model_cases import head_on
from poserep.codecs import RLE
from poserep.models import RLEHead
from poserep.models.heads.points import RealNVP
from reference.vectors import files, tensors
from reference.weights import named_state

VARIANTS = {
    "laplace_avg": {},
    "laplace_sum": {},
    "gaussian_avg": {"base": "gaussian"},
    "flowonly_avg": {"base": "none"},
    "gain1_laplace_avg": {},
}
FILES = files("mm_integral_rle")


def flow_of(gain: float) -> RealNVP:
    flow = RealNVP()
    # The published flow applies its couplings last to first, and has the mask of the first in ours last.
    names = {}
    for i in range(6):
        for part, kind in (("scale", "s"), ("shift", "t")):
            for layer in (0, 2, 4):
                names |= {
                    f"{part}.{5 - i}.{layer}.{w}": f"flow_model.{kind}.{i}.{layer}.{w}" for w in ("weight", "bias")
                }
    state = flow.state_dict()
    made = named_state({theirs: state[ours] for ours, theirs in names.items()}, 1.0)
    flow.load_state_dict(
        {ours: made[theirs] * (gain if ours.endswith("weight") else 1) for ours, theirs in names.items()}
    )
    flow.mask = flow.mask.flip(0)
    return flow


@pytest.mark.parametrize("file", FILES)
def test_the_flow_is_mmposes(file):
    v = tensors(file)
    ours = flow_of(float(v["flow_gain"])).double().log_prob(v["flow_x"])
    torch.testing.assert_close(ours, v["flow_logprob"], atol=1e-9, rtol=0)


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_published_likelihood_is_mmposes(file, variant):
    v = tensors(file)
    flow = flow_of(1.0 if variant.startswith("gain1") else float(v["flow_gain"]))
    codec = RLE("256x192", likelihood="published", **VARIANTS[variant])
    xy, raw = (v[name].clone().requires_grad_() for name in ("pred", "sigma_raw"))
    joints = v["weight"].shape[1] * (len(xy) if variant.endswith("sum") else 1)
    loss = codec.loss((xy, raw.sigmoid(), flow.log_prob), v["target"], v["weight"][..., 0]) * joints
    loss.backward()
    torch.testing.assert_close(loss.double(), v[f"{variant}_val_f64"], atol=0, rtol=1e-5)
    for ours, name in ((xy.grad, "gpred"), (raw.grad, "gsigma")):
        theirs = v[f"{variant}_{name}"]
        assert (ours - theirs).abs().max() < 1e-5 * theirs.abs().max()
    by_coupling = torch.stack([p.grad.norm() for p in flow.parameters()]).double().view(2, 6, 6).flip(1).flatten()
    norms = v[f"{variant}_gflow_norms"]
    assert (by_coupling - norms).abs().max() < 1e-5 * norms.max()


@pytest.mark.parametrize("file", FILES)
def test_labels_and_decoding_are_mmposes(file):
    v = tensors(file)
    for size in ("256x192", "384x288"):
        codec, key = RLE(size), "x".join(size.split("x")[::-1])
        # Theirs are px over width and height, ours lie between the pixels' borders with 0 in the middle.
        offset = 0.5 / codec.side - 0.5
        xy, (target, weight) = v[f"enc_{key}_kpts"], codec.encode(v[f"enc_{key}_kpts"], torch.ones(4, 17))
        # Theirs leave out what lies beyond the outermost pixels' centres, ours beyond their borders.
        kept = v[f"enc_{key}_weights"] > 0
        inner = ((xy >= 0) & (xy <= codec.side - 1)).all(-1)
        assert torch.equal(kept, inner & (v[f"enc_{key}_vis"] > 0.5)) and (weight[inner] == 1).all() and kept.sum() > 20
        torch.testing.assert_close(target[kept], (v[f"enc_{key}_labels"] + offset)[kept], atol=1e-6, rtol=0)
        out = v["enc4"][..., :2] + offset, v["enc4"][..., 2:], None
        points = RLE(size, score="published").decode(out)
        torch.testing.assert_close(points.xy.double(), v[f"dec_{key}"], atol=1e-4, rtol=0)
        torch.testing.assert_close(points.score, v[f"dec_{key}_score"], atol=1e-6, rtol=0)


@pytest.mark.parametrize("file", FILES)
def test_the_head_and_its_exact_flip_test_are_mmposes(file):
    v, codec = tensors(file), RLE("256x192", score="published")
    head = head_on(RLEHead, codec, (64,), (32,)).eval()
    made = named_state({"fc.weight": torch.zeros(68, 64), "fc.bias": torch.zeros(68)}, 1.0)
    offset = (0.5 / codec.side - 0.5).repeat(17)
    with torch.no_grad():
        for layer, columns in ((head.fc_coord, slice(0, 2)), (head.fc_sigma, slice(2, 4))):
            for name in ("weight", "bias"):
                getattr(layer, name).copy_(made[f"fc.{name}"].unflatten(0, (17, 4))[:, columns].flatten(0, 1))
        head.fc_coord.bias += offset
        out, mirrored = (head([v[name][..., None, None]]) for name in ("head_feat", "head_feat_flip"))
    perm = torch.tensor([0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15])
    # Without its shift, mmpose's flip test is a px off, half of it in the mean.
    for found, name in ((out, "head_pred"), (codec.merge(out, mirrored, perm), "head_flip_shift1")):
        points = codec.decode(found)
        torch.testing.assert_close(points.xy.double(), v[name], atol=1e-3, rtol=1e-6)
        score = v[name.replace("pred", "score") if name == "head_pred" else f"{name}_score"]
        torch.testing.assert_close(points.score, score, atol=1e-6, rtol=0)
    assert (v["head_flip_shift0"] - v["head_flip_shift1"])[..., 0].mean().item() == pytest.approx(0.5, abs=1e-5)
