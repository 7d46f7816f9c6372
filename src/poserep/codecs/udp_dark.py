"""DARK as the code of UDP has it: a Newton step by neighbouring bins, on the border too."""

from dataclasses import dataclass

import torch
from torch import Tensor

from poserep.codecs.dark import blur, gaussian_kernel, newton_step
from poserep.codecs.readouts import LocalReadout, window
from poserep.errors import check_odd, check_positive

# The blurred map is kept between these values, and this is added to the Hessian's diagonal, as in the published code.
BLURRED_RANGE = (1e-3, 50.0)
HESSIAN_EPS = float(torch.finfo(torch.float32).eps)


@dataclass(frozen=True)
class UDPDARK(LocalReadout):
    """Readout: `DARK` as mmpose 1.x runs it for UDP (Huang et al. 2020), and with it ViTPose and Sapiens.

    It starts at the maximum of the raw map too, but: second differences are those of neighbouring bins, not of bins two
    apart; blurred values below 0.001 are raised to it before the logarithm; and steps are taken on the border as well,
    where the border's values are repeated outward. The blur takes the outside for zero, so that a joint exactly on a
    border bin is read half a bin outside the map.

    Attributes:
        kernel: Width of the blur in bins, odd; 11 with a sigma of 2, 17 with 3 in mmpose.
        sigma: Standard deviation of the blur in bins; None takes OpenCV's for the kernel: 2.0 for 11, 2.9 for 17.
        max_step: Limit of the steps, see `DARK`; None takes every step, as published.
    """

    kernel: int = 11
    sigma: float | None = None
    max_step: float | None = None

    def __post_init__(self) -> None:
        check_odd("UDPDARK: kernel", self.kernel)
        if self.sigma is not None:
            check_positive("UDPDARK: sigma", self.sigma, " of bins, or null")
        if self.max_step is not None:
            check_positive("UDPDARK: max_step", self.max_step, " of bins, or null")

    def at(self, heatmap: Tensor, xy: Tensor) -> Tensor:
        """See `LocalReadout.at`."""
        # Apple's GPUs have no float64.
        maps = heatmap.to(torch.float32 if heatmap.device.type == "mps" else torch.float64)
        smooth = blur(maps, gaussian_kernel(self.kernel, self.sigma))
        # Back to the maximum before the blur. Maps without a positive value become flat, so that there is no step.
        factor = maps.amax((-2, -1)).clamp_min(0) / smooth.amax((-2, -1)).clamp_min(1e-30)
        near = window(smooth, xy, 1) * factor.view(*factor.shape, *(1 for _ in range(xy.dim() - 1)))
        p = near.clamp(*BLURRED_RANGE).log()
        gx, gy = 0.5 * (p[..., 1, 2] - p[..., 1, 0]), 0.5 * (p[..., 2, 1] - p[..., 0, 1])
        middle = 2 * p[..., 1, 1]
        hxx, hyy = p[..., 1, 2] - middle + p[..., 1, 0], p[..., 2, 1] - middle + p[..., 0, 1]
        hxy = 0.5 * (p[..., 2, 2] + p[..., 0, 0] - hxx - hyy - middle)
        usable = torch.ones_like(gx, dtype=torch.bool)
        return xy + newton_step(gx, gy, hxx + HESSIAN_EPS, hyy + HESSIAN_EPS, hxy, usable, self.max_step).to(
            heatmap.dtype
        )
