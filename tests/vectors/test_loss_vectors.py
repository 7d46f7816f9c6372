"""Losses and their gradients against HRNet, SRPose, SimCC and mmpose, in float64; exceptions in reference/README.md."""

import pytest
import torch
from torch import Tensor

from poserep.codecs import Equal
from poserep.codecs.losses import KL, MSE, OHKM
from reference.vectors import files, like, tensors

# The criterion, and the power of our weights (which act squared) that is theirs.
HEATMAP_LOSSES = {
    "mse": (MSE(0.5), 1),
    "ohkm8": (OHKM(8, 0.5), 1),
    "sr_mse": (MSE(1.0), 1),
    "mm_mse": (MSE(1.0), 0.5),  # mmpose 1.x weighs the mean squared error, but squares the weights when mining
    "mm_ohkm8": (OHKM(8, 1.0), 1),
}


def stored(v: dict[str, Tensor], names: list[str]) -> list[str]:
    """Return those of the samples' losses that a file has."""
    found = [name for name in names if f"{name}_val_f64" in v]
    assert found
    return found


@pytest.mark.parametrize("file", files("loss_heatmap"))
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("name", HEATMAP_LOSSES)
def test_heatmap_loss_and_gradient_are_official(file, name, weighted):
    v, (criterion, power) = tensors(file), HEATMAP_LOSSES[name]
    for key in stored(v, [f"{sample}_{name}_w{int(weighted)}" for sample in ("a", "b", "one")]):
        sample = key.split("_")[0]
        weight = v[f"{sample}_weight"][..., 0].double() ** power
        # mmpose's KeypointMSELoss takes weights that are handed in even with use_target_weight=False.
        if not weighted and name != "mm_mse":
            weight = torch.ones_like(weight)
        out = v[f"{sample}_pred"].double().requires_grad_()
        loss = criterion(out, v[f"{sample}_target"].double(), weight)
        loss.backward()
        torch.testing.assert_close(loss.detach(), v[f"{key}_val_f64"], atol=0, rtol=1e-9)
        if f"{key}_grad0_f64" in v:
            torch.testing.assert_close(*like(out.grad, v[f"{key}_grad0_f64"]), atol=1e-12, rtol=1e-9)
        single = criterion(v[f"{sample}_pred"], v[f"{sample}_target"], weight.float())
        torch.testing.assert_close(single.double(), v[f"{key}_val_f64"], atol=0, rtol=1e-5)


def smoothed(epsilon: float):
    return lambda v, sample, i, n: Equal(epsilon)(v[f"{sample}_label"][..., i].double(), n)


def drawn(v: dict[str, Tensor], sample: str, i: int, n: int) -> Tensor:
    return v[f"{sample}_target_{'xy'[i]}"].double()


same = torch.nn.Identity()
# What stands in for the target, what becomes of the logits, and how bins and joints are reduced.
SIMCC_LOSSES = {
    "nmt0.1": (smoothed(0.1), same, "sum"),
    "nmt0.2": (smoothed(0.2), same, "sum"),
    "nmtnorm0.1": (smoothed(0.1), same, "mean"),
    "nmtnorm0.2": (smoothed(0.2), same, "mean"),
    "kl": (drawn, same, "mean"),
    # SimCC's validation hands probabilities to the loss, which takes a softmax of them again.
    "kl_softmaxed": (drawn, lambda logits: logits.softmax(-1), "mean"),
    # mmpose 1.x adds over the batch where SimCC takes the mean.
    "mm": (drawn, same, "mean"),
    "mm_now": (drawn, same, "mean"),
    "mm_mask": (drawn, same, "mean"),
    # Its beta and label_softmax change logits and target; the divergence is the same.
    "mm_b10_ls": (lambda *a: (10 * drawn(*a)).softmax(-1), lambda logits: 10 * logits, "mean"),
    "mm_b10_ls_lb1": (lambda *a: drawn(*a).softmax(-1), lambda logits: 10 * logits, "mean"),
}


@pytest.mark.parametrize("file", files("loss_simcc"))
@pytest.mark.parametrize("name", SIMCC_LOSSES)
def test_simcc_loss_and_gradient_are_official(file, name):
    v, (target, transform, reduction) = tensors(file), SIMCC_LOSSES[name]
    for key in stored(v, [f"{sample}_{name}" for sample in "abc"]):
        sample = key[0]
        weight, total, leaves = v[f"{sample}_weight"][..., 0].double(), torch.tensor(0.0).double(), []
        if name == "mm_now":
            weight = torch.ones_like(weight)
        if name == "mm_mask":
            weight[:, [0, 3]] *= 0.25
        for i, axis in enumerate("xy"):
            logits = v[f"{sample}_logit_{axis}"].double().requires_grad_()
            wanted = target(v, sample, i, logits.shape[-1])
            total = total + KL(reduction)(transform(logits), wanted, weight)
            leaves.append(logits)
        if name.startswith("mm"):
            total = total * len(weight)
        total.backward()
        rtol, atol = 1e-9, 1e-15
        if name.startswith("nmt"):
            # The official code rounds the smoothing constants to float32, 2.4e-8 off; a mean shares that out.
            rtol, atol = 1e-6, 2e-8 if reduction == "sum" else 2e-11
        torch.testing.assert_close(total.detach(), v[f"{key}_val_f64"], atol=0, rtol=rtol)
        for i, leaf in enumerate(leaves):
            if f"{key}_grad{i}_f64" in v:
                torch.testing.assert_close(*like(leaf.grad, v[f"{key}_grad{i}_f64"]), atol=atol, rtol=rtol)
