"""Losses as pure functions: prediction and target in, a scalar out, per-joint weights respected."""

from typing import Literal

from torch import Tensor
from torch.nn import functional as F

Reduction = Literal["sum", "mean"]


def mse(out: Tensor, target: Tensor, weight: Tensor, factor: float = 0.5) -> Tensor:
    """Mean squared error of heatmaps: factor * mean((w (p - t))^2), joints of weight 0 counted in the mean.

    Args:
        out: (B, K, h, w) predicted heatmaps.
        target: (B, K, h, w).
        weight: (B, K); acts squared, as in the code of HRNet and SRPose.
        factor: 0.5 in HRNet, SimpleBaseline and DarkPose; 1 in SRPose.
    """
    return factor * ((out - target) * weight[..., None, None]).square().mean()


def kl_divergence(logits: Tensor, target: Tensor, weight: Tensor, reduction: Reduction = "sum") -> Tensor:
    """KL(target || softmax(logits)) of one axis, averaged over the batch (Li et al. 2022, SimCC, section 3.2).

    Args:
        logits: (B, K, n).
        target: (B, K, n), non-negative; need not sum to one.
        weight: (B, K).
        reduction: ``sum`` over bins and joints (SimCC's ``NMTCritierion``), or ``mean`` over both (its
            ``NMTNORMCritierion`` and ``KLDiscretLoss``).
    """
    divergence = F.kl_div(F.log_softmax(logits, -1), target, reduction="none")
    if reduction == "sum":
        return (divergence.sum(-1) * weight).sum(-1).mean()
    return (divergence.mean(-1) * weight).mean()
