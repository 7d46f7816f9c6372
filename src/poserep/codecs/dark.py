"""DARK: decoding to the maximum of a Gaussian, by derivatives of the blurred heatmap's logarithm."""

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from poserep.codecs.readouts import LocalReadout, window
from poserep.errors import InputError, check_choice, check_odd, check_positive

# Least value under the logarithm, as in the published code.
LOG_FLOOR = 1e-10
Rescale = Literal["ratio", "range"]
Border = Literal["zero", "reflect"]


@dataclass(frozen=True)
class DARK(LocalReadout):
    """Readout: a Newton step on the logarithm of the blurred heatmap (Zhang et al. 2020, DARK, eqs. 4-10).

    It starts at the maximum of the raw map, and is taken only if 1 < x < w - 2 and 1 < y < h - 2.

    Attributes:
        kernel: Width of the blur in bins, odd; the published code takes 11, but 3 for its 128x96 models with sigma 1.
            None leaves the map as it is (table 2, "without modulation").
        max_step: Steps longer than this many bins on either axis are cut to it, and steps uphill from something
            that is no maximum are not taken; None takes every step as the published code does.
        rescale: How the blurred map gets its old maximum back: ``ratio`` multiplies (the paper's code), ``range``
            first subtracts the minimum (eq. 11).
        sigma: Standard deviation of the blur in bins, 1 with a kernel of 5 in the reproduction study of DARK; None
            takes OpenCV's for the kernel.
        border: What lies beyond the map: ``zero``, or ``reflect``, its mirror image about the outermost bins, as in the
            reproduction study.
    """

    kernel: int | None = 11
    max_step: float | None = 1.0
    rescale: Rescale = "ratio"
    sigma: float | None = None
    border: Border = "zero"

    def __post_init__(self) -> None:
        if self.kernel is not None:
            check_odd("DARK: kernel", self.kernel, ", or null for no blur")
        check_choice("DARK: rescale", self.rescale, get_args(Rescale))
        check_choice("DARK: border", self.border, get_args(Border))
        if self.max_step is not None and not self.max_step > 0:
            raise InputError(f"DARK: max_step={self.max_step} must be positive (bins), or null")
        if self.sigma is not None:
            check_positive("DARK: sigma", self.sigma, " of bins, or null")

    def at(self, heatmap: Tensor, xy: Tensor) -> Tensor:
        """See `LocalReadout.at`."""
        h, w = heatmap.shape[-2:]
        inside = ((xy > 1) & (xy < xy.new_tensor([w - 2, h - 2]))).all(-1)
        p = self._smoothed(heatmap, xy, inside).clamp_min(LOG_FLOOR).log()
        gx, gy = 0.5 * (p[..., 2, 3] - p[..., 2, 1]), 0.5 * (p[..., 3, 2] - p[..., 1, 2])
        hxx = 0.25 * (p[..., 2, 4] - 2 * p[..., 2, 2] + p[..., 2, 0])
        hyy = 0.25 * (p[..., 4, 2] - 2 * p[..., 2, 2] + p[..., 0, 2])
        hxy = 0.25 * (p[..., 3, 3] - p[..., 1, 3] - p[..., 3, 1] + p[..., 1, 1])
        return xy + newton_step(gx, gy, hxx, hyy, hxy, inside, self.max_step).to(heatmap.dtype)

    def _smoothed(self, heatmap: Tensor, xy: Tensor, inside: Tensor) -> Tensor:
        """Return the 5x5 values around the peaks of the blurred and rescaled map, (B, K[, M], 5, 5).

        Derivatives of a logarithm don't see a factor, so that the maximum of the blurred map is computed only where the
        unscaled values come below the floor under the logarithm: blurring never raises a maximum.
        """
        # Apple's GPUs have no float64.
        precise = torch.float32 if heatmap.device.type == "mps" else torch.float64
        if self.kernel is None:
            return window(heatmap, xy, 2).to(precise)
        kernel = gaussian_kernel(self.kernel, self.sigma).to(precise).to(heatmap.device)
        h, w = heatmap.shape[-2:]
        margin = self.kernel // 2
        beyond = margin if self.border == "reflect" else 0
        if beyond >= min(h, w):
            raise InputError(
                f"DARK: a map of {h}x{w} bins is too small to be reflected for kernel={self.kernel}; take a smaller "
                "kernel, or border=zero"
            )
        known = F.pad(heatmap, (beyond,) * 4, mode="reflect") if beyond else heatmap

        def blurred(maps: Tensor) -> Tensor:
            return blur(maps, kernel)[..., beyond : beyond + h, beyond : beyond + w]

        patch = window(known, xy + beyond, 2 + margin, outside=0.0).to(precise)
        rows = torch.stack([F.pad(kernel, (i, 4 - i)) for i in range(5)])
        near = rows @ patch @ rows.mT
        # Of maps (B, K), and then of all their peaks.
        peaks = (...,) + (None,) * (near.dim() - 4)
        value = heatmap.amax((-2, -1))
        if self.rescale == "range":
            smooth = blurred(known)
            low, high = smooth.amin((-2, -1)), smooth.amax((-2, -1))
            factor = value / (high - low).clamp_min(1e-30)
            return (near - low[peaks][..., None, None]) * factor[peaks][..., None, None]
        touched = (near < LOG_FLOOR).any((-2, -1)) & (value > 0)[peaks] & inside
        if torch.compiler.is_exporting():
            # No part of an exported graph can be left out by what the values are.
            factor = value / blurred(known).amax((-2, -1)).clamp_min(1e-30)
            return near * torch.where(touched, factor[peaks], 1.0)[..., None, None]
        if touched.any():
            maps = touched.view(*value.shape, -1).any(-1)
            factor = torch.ones_like(value)
            factor[maps] = value[maps] / blurred(known[maps][None])[0].amax((-2, -1)).clamp_min(1e-30)
            near = near * torch.where(touched, factor[peaks], 1.0)[..., None, None]
        return near


def newton_step(
    gx: Tensor, gy: Tensor, hxx: Tensor, hyy: Tensor, hxy: Tensor, usable: Tensor, max_step: float | None
) -> Tensor:
    """Return -H^-1 g, (..., 2), bins, of gradients and Hessians (...); 0 where not ``usable`` or without an inverse.

    With ``max_step`` both coordinates are cut to it, and are 0 where the Hessian is that of no maximum.
    """
    det = hxx * hyy - hxy.square()
    usable = usable & (det != 0)
    if max_step is not None:
        usable &= (hxx < 0) & (det > 0)
    det = torch.where(usable, det, 1)
    step = -torch.stack([hyy * gx - hxy * gy, hxx * gy - hxy * gx], -1) / det[..., None]
    if max_step is not None:
        step = step.clamp(-max_step, max_step)
    return step * usable[..., None]


def gaussian_kernel(size: int, sigma: float | None = None) -> Tensor:
    """Return the 1D kernel (size,), float64, of sum 1; without a sigma, OpenCV's, which has tables up to size 7."""
    tables = {
        3: [0.25, 0.5, 0.25],
        5: [0.0625, 0.25, 0.375, 0.25, 0.0625],
        7: [0.03125, 0.109375, 0.21875, 0.28125, 0.21875, 0.109375, 0.03125],
    }
    if sigma is None:
        if size in tables:
            return torch.tensor(tables[size], dtype=torch.float64)
        sigma = 0.3 * ((size - 1) / 2 - 1) + 0.8
    i = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    kernel = torch.exp(-i.square() / (2 * sigma**2))
    return kernel / kernel.sum()


def blur(heatmap: Tensor, kernel: Tensor) -> Tensor:
    """Blur (B, K, h, w) with a 1D kernel on both axes and zero padding; see `gaussian_kernel`."""
    weight = kernel.to(heatmap)

    def band(n: int) -> Tensor:
        # As matrices, convolutions of many small maps run at the speed of matrix products.
        index = torch.arange(n, device=weight.device)
        offset = index[None, :] - index[:, None] + len(weight) // 2
        return torch.where((offset >= 0) & (offset < len(weight)), weight[offset.clamp(0, len(weight) - 1)], 0.0)

    h, w = heatmap.shape[-2:]
    return band(h) @ heatmap @ band(w).mT
