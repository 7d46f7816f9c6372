"""Losses and their gradients against the official code of HRNet, SRPose and SimCC, in float64."""

import pytest
import torch

from poserep.codecs import Equal
from poserep.losses import KL, MSE
from reference.vectors import tensors


@pytest.mark.parametrize("sample", ["a", "one"])
@pytest.mark.parametrize(("name", "factor"), [("mse", 0.5), ("sr_mse", 1.0)])
def test_heatmap_loss_and_gradient_are_official(sample, name, factor):
    v = tensors("loss_heatmap")
    out = v[f"{sample}_pred"].double().requires_grad_()
    loss = MSE(factor)(out, v[f"{sample}_target"].double(), v[f"{sample}_weight"][..., 0].double())
    loss.backward()
    torch.testing.assert_close(loss.detach(), v[f"{sample}_{name}_val"], atol=0, rtol=1e-9)
    torch.testing.assert_close(out.grad.flatten()[::7], v[f"{sample}_{name}_grad"], atol=1e-12, rtol=1e-9)


@pytest.mark.parametrize(
    ("name", "smoothing", "reduction"),
    [("nmt0.1", 0.1, "sum"), ("nmt0.2", 0.2, "sum"), ("nmtnorm0.1", 0.1, "mean"), ("kl", None, "mean")],
)
def test_simcc_loss_and_gradient_are_official(name, smoothing, reduction):
    v = tensors("loss_simcc")
    weight, total, leaves = v["c_weight"][..., 0].double(), 0.0, []
    for i, axis in enumerate("xy"):
        logits = v[f"c_logit_{axis}"].double().requires_grad_()
        target = v[f"c_target_{axis}"].double()
        if smoothing is not None:
            target = Equal(smoothing)(v["c_label"][..., i].double(), logits.shape[-1])
        total = total + KL(reduction)(logits, target, weight)
        leaves.append(logits)
    total.backward()
    # The official code rounds the smoothing constants to float32.
    torch.testing.assert_close(total.detach(), v[f"c_{name}_val"], atol=0, rtol=1e-6)
    for i, leaf in enumerate(leaves):
        torch.testing.assert_close(leaf.grad.flatten()[::7], v[f"c_{name}_grad{i}"], atol=1e-8, rtol=1e-5)
