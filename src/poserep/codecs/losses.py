"""Losses: small objects that turn outputs, targets and the joints' weights into a scalar."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from poserep.errors import InputError, check_choice, check_positive

# Takes outputs, targets, and weights (B, K); returns a scalar.
Criterion = Callable[[Tensor, Tensor, Tensor], Tensor]
Reduction = Literal["sum", "mean", "samples"]
LikelihoodLoss = Literal["log", "linear", "square"]
DistanceNorm = Literal["l1", "l2", "squared", "smooth"]


@dataclass(frozen=True)
class MSE:
    """Mean squared error of maps or vectors, factor * mean((w (p - t))^2), as in the code of HRNet and SRPose.

    Joints of weight 0 count in the mean. The factor is 0.5 in HRNet, SimpleBaseline and DarkPose, and 1 in SRPose.
    """

    factor: float = 0.5

    def __post_init__(self) -> None:
        check_positive("MSE: factor", self.factor)

    def __call__(self, out: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Compute a scalar from outputs and targets (B, K, ...) and weights (B, K)."""
        return self.factor * _per_joint(out, target, weight).mean()


@dataclass(frozen=True)
class OHKM:
    """Online hard keypoint mining: `MSE` of the ``top`` worst joints of each sample (CPN; HRNet's code)."""

    top: int = 8
    factor: float = 0.5

    def __post_init__(self) -> None:
        check_positive("OHKM: factor", self.factor)
        if self.top < 1:
            raise InputError(f"OHKM: top={self.top} must be at least 1 joint")

    def __call__(self, out: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Compute a scalar from outputs and targets (B, K, ...) and weights (B, K)."""
        each = _per_joint(out, target, weight)
        if self.top > each.shape[1]:
            raise InputError(f"OHKM: top={self.top} of {each.shape[1]} joints; take fewer")
        return self.factor * each.topk(self.top, dim=1).values.mean()


@dataclass(frozen=True)
class KL:
    """KL(target || softmax(logits)) of one axis, averaged over the batch (Li et al. 2022, SimCC, section 3.2).

    ``reduction`` is the ``sum`` over bins and joints (SimCC's ``NMTCritierion``), or the ``mean`` over both (its
    ``NMTNORMCritierion`` and ``KLDiscretLoss``), with which an axis of fewer bins weighs more. ``samples`` adds these
    means up over the batch (mmpose's ``KLDiscretLoss``): that loss grows with the batch, and parts of a batch
    (``trainer.micro_batch``) have less of it.
    """

    reduction: Reduction = "sum"

    def __post_init__(self) -> None:
        check_choice(f"{type(self).__name__}: reduction", self.reduction, get_args(Reduction))

    def __call__(self, logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Compute a scalar from logits and targets (B, K, n), non-negative and of any sum, and weights (B, K)."""
        target = target.detach()
        # The smallest float32 keeps 0 log 0 at 0 without a scalar loop over the bins.
        constant = (target * target.clamp_min(torch.finfo(target.dtype).tiny).log()).sum(-1)
        return self._reduce(constant + cross_entropy(logits, target), weight, logits.shape[-1])

    def _reduce(self, each: Tensor, weight: Tensor, n: int) -> Tensor:
        if self.reduction == "sum":
            return (each * weight).sum(-1).mean()
        return (each * weight).mean() / n * (len(each) if self.reduction == "samples" else 1)


@dataclass(frozen=True)
class CrossEntropy(KL):
    """`KL` without the target's own entropy: another value, the same gradient (Li et al. 2021, SimDR, section 3.2)."""

    def __call__(self, logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Compute a scalar as `KL` does."""
        return self._reduce(cross_entropy(logits, target), weight, logits.shape[-1])


@dataclass(frozen=True)
class MLECC:
    """Likelihood of the labels under both axes' distributions p, q = (sum_i p_i t_i of x) (sum_i p_i t_i of y).

    RTMO's loss (Lu et al. 2024; mmpose's ``MLECCLoss``): -log(q + ``eps``), 1 - q (``linear``) or 1 - q^2 (``square``),
    averaged over samples and joints, those of weight 0 counted. With labels that peak at 1 (`UnitGaussian`) it is least
    where all probability is on the label's highest bin; with `KL` that would be the label itself.
    """

    mode: LikelihoodLoss = "log"
    eps: float = 1e-4

    def __post_init__(self) -> None:
        check_choice("MLECC: mode", self.mode, get_args(LikelihoodLoss))
        check_positive("MLECC: eps", self.eps)

    def __call__(self, logits: tuple[Tensor, Tensor], target: tuple[Tensor, Tensor], weight: Tensor) -> Tensor:
        """Compute a scalar from logits and targets of x and of y, (B, K, n) each, and weights (B, K)."""
        return self.of_probabilities((logits[0].softmax(-1), logits[1].softmax(-1)), target, weight)

    def of_probabilities(self, p: tuple[Tensor, Tensor], target: tuple[Tensor, Tensor], weight: Tensor) -> Tensor:
        """Compute the same from probabilities."""
        x, y = ((a * t.detach()).sum(-1) for a, t in zip(p, target, strict=True))
        q = x * y
        each = -(q + self.eps).log() if self.mode == "log" else 1 - q.pow(1 if self.mode == "linear" else 2)
        return (each * weight).mean()


@dataclass(frozen=True)
class Distance:
    """Mean distance of points, joints of weight 0 left out of the sum but not of the count.

    ``norm`` adds both coordinates' absolute differences (``l1``, IPR) or squares, or takes these' root (``l2``, DSNT),
    or adds d^2 / 2 for differences up to 1 and |d| - 1/2 beyond (``smooth``; half of it is mmpose's smooth L1).
    """

    norm: DistanceNorm = "l1"

    def __post_init__(self) -> None:
        check_choice("Distance: norm", self.norm, get_args(DistanceNorm))

    def __call__(self, out: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Compute a scalar from points (B, K, 2) and weights (B, K)."""
        # The target of a joint of weight 0 may be infinite, and 0 x infinity is not a number.
        difference = torch.where((weight > 0)[..., None], out - target, 0.0)
        if self.norm == "squared":
            each = difference.square().sum(-1)
        elif self.norm == "smooth":
            each = F.smooth_l1_loss(difference, torch.zeros_like(difference), reduction="none").sum(-1)
        else:
            each = torch.linalg.vector_norm(difference, ord=1 if self.norm == "l1" else 2, dim=-1)
        return (each * weight).mean()


@dataclass(frozen=True)
class ExpectedRisk:
    """Expected 1 - OKS of a distribution, with a penalty for edges in it (Purkrabek & Matas 2025, ProbPose).

    Of each joint (1 - smoothness) sum_p P(p) (1 - OKS(p)) + smoothness max_p |grad P(p)|^2, the gradient by Sobel's
    3x3 kernels with zeros beyond the map, as in the code; averaged over samples and joints, those of weight 0 counted.
    """

    smoothness: float = 0.05

    def __post_init__(self) -> None:
        if not 0 <= self.smoothness < 1:
            raise InputError(f"ExpectedRisk: smoothness={self.smoothness} must be in [0, 1)")

    def __call__(self, p: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Compute a scalar from distributions and OKS (B, K, h, w) and weights (B, K)."""
        each = (p * (1 - target)).sum((-2, -1))
        if self.smoothness:
            each = (1 - self.smoothness) * each + self.smoothness * _squared_gradient(p).amax((-2, -1))
        return (each * weight).mean()


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Compute -sum_i t_i log softmax(logits)_i over the last axis of (..., n), in two passes over the logits; (...).

    Targets are constants: no gradient flows into them.
    """
    return _CrossEntropy.apply(logits, target.detach())


class _CrossEntropy(torch.autograd.Function):
    """Keeps the softmax of the forward pass, which is all that the gradient needs."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor) -> Tensor:
        highest = logits.amax(-1, keepdim=True)
        shifted = logits - highest
        aligned = (target * shifted).sum(-1)
        p = shifted.exp_()
        total = p.sum(-1, keepdim=True)
        mass = target.sum(-1, keepdim=True)
        ctx.save_for_backward(p, total, mass, target)
        return (mass * total.log())[..., 0] - aligned

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        p, total, mass, target = ctx.saved_tensors
        grad = grad[..., None]
        return (p * (mass / total * grad)).addcmul_(target, grad, value=-1), None


def _per_joint(out: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    return (out - target).flatten(2).square().mean(-1) * weight.square()


def _squared_gradient(maps: Tensor) -> Tensor:
    across = maps.new_tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])
    kernels = torch.stack([across, across.T])[:, None]
    gradient = F.conv2d(maps.flatten(0, 1)[:, None], kernels, padding=1)
    return gradient.square().sum(1).view_as(maps)
