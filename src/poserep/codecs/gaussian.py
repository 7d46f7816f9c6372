"""Regression of a Gaussian with full covariance for every joint."""

import math
from typing import Any

import torch
from torch import Tensor

from poserep.codecs.base import Points
from poserep.codecs.regression import Regression
from poserep.errors import check_positive
from poserep.geometry import Align, Size

# Points (B, K, 2), and the rows (xx, yx, yy) of the lower triangular factors of the covariances, (B, K, 3).
GaussianPair = tuple[Tensor, Tensor]
# Added to the diagonals of the factors, in widths and heights of the crop: a tenth of a px of 100. Gradients grow with
# the inverse square.
LEAST_DEVIATION = 1e-3


class GaussianRegression(Regression):
    """A 2D Gaussian for every joint, by its mean and the Cholesky factor of its covariance (Kumar et al. 2020, LUVLi).

    ``out`` is (points, factors): points (B, K, 2) as `Regression` has them, factors (B, K, 3) the entries l_xx, l_yx,
    l_yy of a lower triangular matrix in the same unit. `LEAST_DEVIATION` is added to l_xx and l_yy, which count as 0 if
    they are negative; then the covariance is L L^T. The loss is its negative log-likelihood,

        log 2 pi + log l_xx + log l_yy + |L^-1 (true - predicted)|^2 / 2,

    averaged over the batch's joints. LUVLi takes the mean from a heatmap, and has a Laplace density and visibility
    too; here the mean is a number, so that nothing but the density differs from `Regression` and `RLE`. No official
    code was compared with.

    The score is the expectation of OKS under the predicted Gaussian, E exp(-d^2 / 2 s^2) = det(I + C / s^2)^-1/2 with
    the covariance C in px^2 and s = ``spread`` times the geometric mean of the crop's sides, over that of a perfect
    output, whose deviations are the least ones. The published score is that expectation itself; no paper has one.
    A flip test gives mean and covariance of the mixture of both Gaussians, so that two that disagree give a wider one.

    Args:
        spread: Tolerance s of the score in crop sides. 0.08 is COCO's, 2 sigma_k sqrt(area), for the mean joint of a
            person whose area is 0.53 of a box that is padded by 1.25.
    """

    form = "points with covariance"

    def __init__(self, size: Size | str, spread: float = 0.08, align: Align = "centre", **deviations: Any) -> None:
        check_positive(f"{type(self).__name__}: spread", spread, " of crop sides")
        super().__init__(size, None, align, **deviations)
        self.spread = float(spread)

    def loss(self, out: GaussianPair, target: Tensor, weight: Tensor) -> Tensor:  # type: ignore[override]
        """Compute the negative log-likelihood, averaged over the batch's joints."""
        xx, yx, yy = _entries(out[1])
        x, y = torch.where((weight > 0)[..., None], target - out[0].float(), 0.0).unbind(-1)
        x = x / xx
        y = (y - yx * x) / yy
        return ((math.log(2 * math.pi) + xx.log() + yy.log() + (x.square() + y.square()) / 2) * weight).mean()

    def decode(self, out: GaussianPair, readout: str | None = None) -> Points:  # type: ignore[override]
        """Read points in input px and scores from numbers."""
        points, score = super().decode(out[0], readout), self._expected_oks(out[1])
        if self.deviations.score == "published":
            return points._replace(score=score)
        least = self._expected_oks(torch.zeros_like(out[1][:1, :1]))
        return points._replace(score=self.contract_score(score / least))

    def _expected_oks(self, factor: Tensor) -> Tensor:
        x, y = self.spread * self.side.prod().sqrt() / self.side
        xx, xy, yy = (_covariance(factor) / torch.stack([x * x, x * y, y * y])).unbind(-1)
        return (1 + xx + yy + (xx * yy - xy.square()).clamp_min(0)).rsqrt()

    def merge(self, out: GaussianPair, mirrored: GaussianPair, perm: Tensor) -> GaussianPair:  # type: ignore[override]
        """Return mean and covariance of the mixture of both Gaussians, after un-mirroring."""
        # In the mirror the covariance of x and y has the other sign, and so has the factor's entry.
        back = self.unmirror(mirrored[0], perm)
        factor = mirrored[1].index_select(1, perm.to(mirrored[1].device)) * mirrored[1].new_tensor([1, -1, 1])
        x, y = ((out[0] - back) / 2).float().unbind(-1)
        between = torch.stack([x * x, x * y, y * y], -1)
        return (out[0] + back) / 2, _factor((_covariance(out[1]) + _covariance(factor)) / 2 + between)

    def oracle(self, target: Tensor) -> GaussianPair:
        """Return the target with the least deviations."""
        return target, target.new_zeros(*target.shape[:-1], 3)

    def density(self, out: GaussianPair) -> dict[str, Tensor]:  # type: ignore[override]
        """Return the Gaussians at every px, ``map`` (B, K, H, W), each of sum 1."""
        xx, yx, yy = (entry[..., None, None] for entry in _entries(out[1]))
        columns, rows = (
            (torch.arange(n, device=xx.device) + 0.5) / n - 0.5 - out[0][..., i, None].float()
            for i, n in enumerate((self.x.n, self.y.n))
        )
        x = columns[..., None, :] / xx
        y = (rows[..., :, None] - yx * x) / yy
        return {"map": ((x.square() + y.square()) / -2).flatten(2).softmax(-1).view_as(y)}


def _entries(factor: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return l_xx, l_yx and l_yy, (B, K) each, of the factors (B, K, 3) that a head emits; the diagonal is positive."""
    xx, yx, yy = factor.float().unbind(-1)
    return xx.clamp_min(0) + LEAST_DEVIATION, yx, yy.clamp_min(0) + LEAST_DEVIATION


def _covariance(factor: Tensor) -> Tensor:
    """Return the entries (B, K, 3), xx, xy and yy, of the covariances."""
    xx, yx, yy = _entries(factor)
    return torch.stack([xx.square(), xx * yx, yx.square() + yy.square()], -1)


def _factor(covariance: Tensor) -> Tensor:
    """Invert `_covariance`: return factors (B, K, 3) as a head emits them."""
    xx, xy, yy = covariance.unbind(-1)
    l_xx = xx.sqrt()
    l_yx = xy / l_xx
    l_yy = (yy - l_yx.square()).clamp_min(LEAST_DEVIATION**2).sqrt()
    return torch.stack([l_xx - LEAST_DEVIATION, l_yx, l_yy - LEAST_DEVIATION], -1)
