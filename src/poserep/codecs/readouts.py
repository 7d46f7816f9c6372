"""Readouts: how a heatmap becomes a position, in bins. Batched over samples and joints.

Every readout takes (B, K, h, w) and returns the position (B, K, 2) in bins, x first, and the peak (B, K).
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from poserep.errors import InputError


def peak(heatmap: Tensor) -> tuple[Tensor, Tensor]:
    """Position of the maximum as integers (B, K, 2) and its value (B, K).

    The first maximum in row-major order wins. Maps without a positive value give (0, 0), as in HRNet's code.
    """
    value, index = heatmap.flatten(2).max(-1)
    width = heatmap.shape[-1]
    xy = torch.stack([index % width, index.div(width, rounding_mode="floor")], -1)
    return xy * (value > 0)[..., None], value


def gather(heatmap: Tensor, xy: Tensor, dx: int, dy: int) -> Tensor:
    """Values (B, K) beside integer positions; positions beyond the border read the border."""
    h, w = heatmap.shape[-2:]
    index = (xy[..., 1] + dy).clamp(0, h - 1) * w + (xy[..., 0] + dx).clamp(0, w - 1)
    return heatmap.flatten(2).gather(-1, index[..., None])[..., 0]


@dataclass(frozen=True)
class Argmax:
    """The bin with the highest value, no sub-bin position."""

    def __call__(self, heatmap: Tensor) -> tuple[Tensor, Tensor]:
        """(B, K, h, w) to the position (B, K, 2) in bins and the peak (B, K)."""
        xy, value = peak(heatmap)
        return xy.to(heatmap.dtype), value


@dataclass(frozen=True)
class QuarterShift:
    """A quarter of a bin from the maximum toward the higher neighbour, on each axis.

    The rule of HRNet's and SimpleBaseline's code, border included: both axes move only if 1 < x < w - 1 and
    1 < y < h - 1. (The papers describe one step toward the second maximum instead.)
    """

    def __call__(self, heatmap: Tensor) -> tuple[Tensor, Tensor]:
        """(B, K, h, w) to the position (B, K, 2) in bins and the peak (B, K)."""
        h, w = heatmap.shape[-2:]
        xy, value = peak(heatmap)
        x, y = xy.unbind(-1)
        step = torch.stack(
            [
                gather(heatmap, xy, 1, 0) - gather(heatmap, xy, -1, 0),
                gather(heatmap, xy, 0, 1) - gather(heatmap, xy, 0, -1),
            ],
            -1,
        ).sign()
        inside = (x > 1) & (x < w - 1) & (y > 1) & (y < h - 1)
        return xy + 0.25 * step * inside[..., None], value


def gaussian_kernel(size: int) -> Tensor:
    """The 1D kernel (size,) that OpenCV uses when no sigma is given, float64.

    sigma = 0.3 ((size - 1) / 2 - 1) + 0.8, but fixed binomial-like tables up to 7.
    """
    tables = {
        1: [1.0],
        3: [0.25, 0.5, 0.25],
        5: [0.0625, 0.25, 0.375, 0.25, 0.0625],
        7: [0.03125, 0.109375, 0.21875, 0.28125, 0.21875, 0.109375, 0.03125],
    }
    if size in tables:
        return torch.tensor(tables[size], dtype=torch.float64)
    sigma = 0.3 * ((size - 1) / 2 - 1) + 0.8
    i = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    kernel = torch.exp(-i.square() / (2 * sigma**2))
    return kernel / kernel.sum()


def blur(heatmap: Tensor, kernel: int) -> Tensor:
    """Separable Gaussian blur of (B, K, h, w) with zero padding."""
    weight = gaussian_kernel(kernel).to(heatmap)
    maps = heatmap.flatten(0, 1)[:, None]
    maps = F.conv2d(maps, weight[None, None, None, :], padding=(0, kernel // 2))
    return F.conv2d(maps, weight[None, None, :, None], padding=(kernel // 2, 0)).view_as(heatmap)


@dataclass(frozen=True)
class DARK:
    """Distribution-aware decoding (Zhang et al. 2020, DARK, eqs. 4-10): a Newton step on the log of the blurred map.

    The maximum is that of the raw map; the blurred map is rescaled by the ratio of the maxima, as in the paper's code
    (eq. 11 prints another rescaling). Refined only if 1 < x < w - 2 and 1 < y < h - 2.

    Attributes:
        kernel: Blur kernel in bins, odd; the published code takes 11, but 3 for its 128x96 models with sigma 1.
        max_step: Steps longer than this many bins on either axis are cut to it, and steps uphill from something
            that is no maximum are not taken; None takes every step as the published code does.
    """

    kernel: int = 11
    max_step: float | None = 1.0

    def __post_init__(self) -> None:
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise InputError(f"DARK: kernel={self.kernel} must be odd and positive")

    def __call__(self, heatmap: Tensor) -> tuple[Tensor, Tensor]:
        """(B, K, h, w) to the position (B, K, 2) in bins and the peak (B, K)."""
        h, w = heatmap.shape[-2:]
        xy, value = peak(heatmap)
        x, y = xy.unbind(-1)
        smooth = blur(heatmap, self.kernel)
        smooth = smooth * (value / smooth.amax((-2, -1)).clamp_min(1e-30))[..., None, None]

        def at(dx: int, dy: int) -> Tensor:
            return gather(smooth, xy, dx, dy).clamp_min(1e-10).log()

        here, left, right, up, down = at(0, 0), at(-1, 0), at(1, 0), at(0, -1), at(0, 1)
        gx, gy = 0.5 * (right - left), 0.5 * (down - up)
        hxx = 0.25 * (at(2, 0) - 2 * here + at(-2, 0))
        hyy = 0.25 * (at(0, 2) - 2 * here + at(0, -2))
        hxy = 0.25 * (at(1, 1) - at(1, -1) - at(-1, 1) + at(-1, -1))
        det = hxx * hyy - hxy.square()
        usable = (det != 0) & (x > 1) & (x < w - 2) & (y > 1) & (y < h - 2)
        if self.max_step is not None:
            usable &= (hxx < 0) & (det > 0)
        det = torch.where(usable, det, 1)
        step = -torch.stack([hyy * gx - hxy * gy, hxx * gy - hxy * gx], -1) / det[..., None]
        if self.max_step is not None:
            step = step.clamp(-self.max_step, self.max_step)
        return xy + step * usable[..., None], value
