"""Readouts that maximise the expected OKS of a joint's distribution, on maps and on axes.

If a joint lies at p with probability P(p), predicting q scores E(q) = sum_p P(p) exp(-|p - q|^2 / (2 s)) on average,
see `poserep.codecs.oks_spread`. The most probable bin maximises E only where the distribution has one narrow peak.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from poserep.codecs.label_smoothing import LABEL_TAIL
from poserep.codecs.oks_spread import PersonArea, ProbPoseSpread, Spread
from poserep.codecs.readouts import Peaks, peak, window
from poserep.errors import InputError, check_positive

# A step is undone if it lowers E by more than float32 may do to the same number.
_SLACK = 1e-6
# Of the eigenvalues of I - C / s, each 1 for a point; where one is less, rounding would decide on the step.
_FLAT = 0.01


@dataclass(frozen=True)
class OKSReadout:
    """What readouts by OKS have in common.

    Attributes:
        sigmas: OKS sigma of each joint, as in `poserep.skeleton.Skeleton`; None takes those that the codec is given.
        own_score: The value that is read is a score in [0, 1] itself, and no peak to be compared with a perfect one.
    """

    sigmas: Sequence[float] | None = None
    own_score: ClassVar[bool] = True

    def spreads(self, spread: Spread, like: Tensor, height: int, width: int) -> Tensor:
        """Return the spread of each joint of maps or axes (B, K, ...), (K,) in bins^2."""
        return spread(joint_sigmas(self.sigmas, like, type(self).__name__), height, width)


def joint_sigmas(sigmas: Sequence[float] | None, like: Tensor, who: str) -> Tensor:
    """Return sigmas as a tensor (K,) for the joints of (B, K, ...); not K positive numbers are an `InputError`."""
    if sigmas is None or len(sigmas) != like.shape[1]:
        given = "no sigmas" if sigmas is None else f"{len(sigmas)} sigmas"
        raise InputError(f"{who}: {given} for {like.shape[1]} joints; pass sigmas=Skeleton.sigmas, one for each joint")
    if not all(sigma > 0 for sigma in sigmas):
        raise InputError(f"{who}: sigmas={list(sigmas)} must all be positive")
    return torch.tensor(list(sigmas), dtype=like.dtype, device=like.device)


@dataclass(frozen=True)
class ExpectedOKS(OKSReadout):
    """Readout of a map: the point, between bins, of the highest expected OKS; the value is that OKS, in [0, 1].

    E is computed over the whole map, with nothing beyond it, and its highest bin refined on E itself (published code
    refines by a parabola, see `ProbPose`, which also has the source of the idea). The OKS is that of a joint on the map
    for a person of the area that ``spread`` assumes.

    Attributes:
        sigmas: See `OKSReadout`.
        spread: Spread of each joint, by default `PersonArea`.
        beta: Maps are distributions by softmax(beta map); None takes their positive part over its sum.
        steps: Newton steps of the refinement; 0 stays on the bin. One is exact for a Gaussian distribution.
    """

    spread: Spread = field(default_factory=PersonArea)
    beta: float | None = None
    steps: int = 3

    def __post_init__(self) -> None:
        check_steps("ExpectedOKS", self.steps)
        if self.beta is not None:
            check_positive("ExpectedOKS: beta", self.beta, ", or null")

    def __call__(self, heatmap: Tensor) -> Peaks:
        """Read positions and expected OKS."""
        p, (h, w) = _distribution(heatmap, self.beta), heatmap.shape[-2:]
        s = self.spreads(self.spread, heatmap, h, w)
        start, _ = peak(kernel_matrix(h, s) @ p @ kernel_matrix(w, s), any_value=True)

        def moments(at: Tensor) -> Tensor:
            return weighted_powers(at[..., 1], h, s) @ p @ weighted_powers(at[..., 0], w, s).mT

        at, found = refined(start.to(p.dtype), moments, s, self.steps, (h, w))
        return at, found[..., 0, 0]


@dataclass(frozen=True)
class AxisExpectedOKS(OKSReadout):
    """Readout of axes (SimCC): `ExpectedOKS` of the product of both axes' distributions.

    Because OKS is a product over axes as well, so is its expectation, and no map is made. The values of x and y are the
    two factors.

    Attributes:
        sigmas: See `OKSReadout`.
        spread, steps: See `ExpectedOKS`.
    """

    spread: Spread = field(default_factory=PersonArea)
    steps: int = 3

    def __post_init__(self) -> None:
        check_steps("AxisExpectedOKS", self.steps)

    def __call__(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Read positions and the expected OKS along x and along y from probabilities (B, K, n) each."""
        x, y = (_distribution(axis[..., None], None) for axis in (x, y))
        w, h = x.shape[-2], y.shape[-2]
        s = self.spreads(self.spread, x, h, w)
        start = torch.cat([(kernel_matrix(n, s) @ p).argmax(-2) for n, p in ((w, x), (h, y))], -1)

        def moments(at: Tensor) -> Tensor:
            return (weighted_powers(at[..., 1], h, s) @ y) * (weighted_powers(at[..., 0], w, s) @ x).mT

        at, _ = refined(start.to(x.dtype), moments, s, self.steps, (h, w))
        ends = ((at[..., 0], w, x), (at[..., 1], h, y))
        ex, ey = ((weighted_powers(centre, n, s)[..., :1, :] @ p)[..., 0, 0] for centre, n, p in ends)
        return at, ex, ey


@dataclass(frozen=True)
class ProbPose(OKSReadout):
    """Readout of a map as in ProbPose's code (Purkrabek & Matas 2025); the value is the probability of the bin chosen.

    The kernel is cut to a square of radius ceil(3 s) (of s, not its root) and sums to 1, the map goes on as its mirror
    image beyond the border, and the highest bin, unless it lies on the border, moves by a parabola along each axis. The
    code also stretches points, see `poserep.codecs.ProbMap`.

    Attributes:
        sigmas: See `OKSReadout`.
        spread: Spread of each joint, by default `ProbPoseSpread`.
    """

    spread: Spread = field(default_factory=ProbPoseSpread)

    def __call__(self, heatmap: Tensor) -> Peaks:
        """Read positions and probabilities."""
        p, (h, w) = _distribution(heatmap, None), heatmap.shape[-2:]
        s = self.spreads(self.spread, heatmap, h, w)
        smooth = cut_matrix(h, s) @ p @ cut_matrix(w, s).mT
        at, _ = peak(smooth, any_value=True)
        around = window(smooth, at, 1)
        rise = torch.stack([around[..., 1, 2] - around[..., 1, 0], around[..., 2, 1] - around[..., 0, 1]], -1) / 2
        both = torch.stack([around[..., 1, 2] + around[..., 1, 0], around[..., 2, 1] + around[..., 0, 1]], -1)
        bend = both - 2 * around[..., 1, 1, None]
        inside = ((at > 0) & (at < at.new_tensor([w - 1, h - 1]))).all(-1, keepdim=True) & (bend < 0)
        step = torch.where(inside, -rise / torch.where(inside, bend, 1), 0.0)
        return at + step, window(p, at, 0)[..., 0, 0]


def check_steps(name: str, steps: int) -> None:
    """Raise an `InputError` unless it is a number of steps."""
    if not isinstance(steps, int) or steps < 0:
        raise InputError(f"{name}: steps={steps} must be a whole number of at least 0")


def _distribution(heatmap: Tensor, beta: float | None) -> Tensor:
    """Turn maps (B, K, h, w) into distributions; without ``beta``, those without a positive value into zeros."""
    if beta is not None:
        return (beta * heatmap).flatten(2).softmax(-1).view_as(heatmap)
    mass = heatmap.clamp_min(0)
    total = mass.sum((-2, -1), keepdim=True)
    return mass / torch.where(total > 0, total, 1)


def kernel_matrix(n: int, s: Tensor) -> Tensor:
    """Return OKS between bins of an axis, exp(-(i - j)^2 / (2 s)), (K, n, n), for spreads (K,)."""
    i = torch.arange(n, dtype=s.dtype, device=s.device)
    return ((i - i[:, None]).square() / (-2 * s[:, None, None])).clamp_min(LABEL_TAIL).exp()


def weighted_powers(centre: Tensor, n: int, s: Tensor) -> Tensor:
    """Return OKS of the bins of an axis to positions (B, K), times 1, the offset and its square: (B, K, 3, n)."""
    d = torch.arange(n, dtype=s.dtype, device=s.device) - centre[..., None]
    kernel = (d.square() / (-2 * s[:, None])).clamp_min(LABEL_TAIL).exp()
    return torch.stack([kernel, kernel * d, kernel * d.square()], -2)


def refined(
    start: Tensor, moments: Callable[[Tensor], Tensor], s: Tensor, steps: int, sides: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Climb E from positions (B, K, 2) by Newton steps on its logarithm, on a map of ``sides`` (height, width).

    ``moments`` gives sum_p P(p) OKS(p, q) (p - q)_y^a (p - q)_x^b, (B, K, 3, 3) over a and b, at positions q. With m
    and C the mean and covariance of p - q under P(p) OKS(p, q), the gradient of log E is m / s and its Hessian
    C / s^2 - I / s, so that the step is (I - C / s)^-1 m. Where log E hardly curves downward, it is m, the mean shift,
    which always climbs. No step is longer than a bin on either axis. Returns positions and their moments.
    """
    at, known = start, moments(start)
    last = at.new_tensor([sides[1] - 1, sides[0] - 1])
    for _ in range(steps):
        total = torch.where(known[..., 0, 0] > 0, known[..., 0, 0], 1)
        mx, my = known[..., 0, 1] / total, known[..., 1, 0] / total
        xx = 1 - (known[..., 0, 2] / total - mx.square()) / s
        yy = 1 - (known[..., 2, 0] / total - my.square()) / s
        xy = -(known[..., 1, 1] / total - mx * my) / s
        det = xx * yy - xy.square()
        curved = (xx + yy > 0) & (det > _FLAT * (xx + yy))
        newton = torch.stack([yy * mx - xy * my, xx * my - xy * mx], -1) / torch.where(curved, det, 1)[..., None]
        step = torch.where(curved[..., None], newton, torch.stack([mx, my], -1)).clamp(-1, 1)
        trial = (at + step).clamp_min(0).minimum(last)
        found = moments(trial)
        better = found[..., 0, 0] >= known[..., 0, 0] * (1 - _SLACK)
        at = torch.where(better[..., None], trial, at)
        known = torch.where(better[..., None, None], found, known)
    return at, known


def cut_matrix(n: int, s: Tensor) -> Tensor:
    """Return the matrices (K, n, n) that blur an axis as `ProbPose` says, for spreads (K,)."""
    s, i = s[:, None, None], torch.arange(n, dtype=s.dtype, device=s.device)

    def kernel(d: Tensor) -> Tensor:
        return (d.square() / (-2 * s)).exp() * (d.abs() <= (3 * s).ceil())

    # Each bin, and its mirror images beyond both ends.
    matrix = kernel(i - i[:, None]) + kernel(i + i[:, None] + 1) + kernel(i + i[:, None] + 1 - 2 * n)
    return matrix / matrix.sum(-1, keepdim=True)
