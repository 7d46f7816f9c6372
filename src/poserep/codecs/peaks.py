"""Searching heatmaps: where the maximum is, what lies around it, and blurring."""

import torch
from torch import Tensor
from torch.nn import functional as F


def peak(heatmap: Tensor, any_value: bool = False) -> tuple[Tensor, Tensor]:
    """Position of the maximum of (B, K, h, w) as integers (B, K, 2), x first, and its value (B, K).

    The first maximum in row-major order wins. Maps without a positive value give (0, 0), as in HRNet's code, unless
    ``any_value``.
    """
    b, k, h, w = heatmap.shape
    # An argmax reads value by value, a maximum many at once: look for the index in the first best rows alone.
    rows = 2 if h % 2 == 0 and w <= 64 else 1
    blocks = heatmap.reshape(b, k, h // rows, rows * w)
    highest = blocks.amax(-1)
    value, block = highest.max(-1)
    inside = blocks.gather(2, block[..., None, None].expand(b, k, 1, rows * w))[:, :, 0].argmax(-1)
    index = block * (rows * w) + inside
    xy = torch.stack([index % w, index.div(w, rounding_mode="floor")], -1)
    return (xy if any_value else xy * (value > 0)[..., None]), value


def pooled_peak(heatmap: Tensor, kernel: int) -> tuple[Tensor, Tensor]:
    """The same as `peak`, found by max-pooling (Wang et al. 2023, SRPose, eq. 10).

    The maximum of every ``kernel`` x ``kernel`` block, then the best block, then the place in it: exact for any kernel
    and any size. Where several bins hold the maximum, the first block wins, and in it the first bin. (The published
    code never finds a maximum in rows and columns beyond the last whole block.)
    """
    b, k, h, w = heatmap.shape
    if h % kernel or w % kernel:
        heatmap = F.pad(heatmap, (0, -w % kernel, 0, -h % kernel), value=-torch.inf)
    tall, wide = heatmap.shape[-2] // kernel, heatmap.shape[-1] // kernel
    blocks = heatmap.reshape(b, k, tall, kernel, wide, kernel)
    best = blocks.flatten(4).amax(3).view(b, k, tall, wide, kernel).amax(-1).flatten(2)
    value, block = best.max(-1)
    row, column = block.div(wide, rounding_mode="floor"), block % wide
    inner = torch.arange(kernel, device=heatmap.device)
    y = row[..., None] * kernel + inner
    x = column[..., None] * kernel + inner
    index = y[..., :, None] * (wide * kernel) + x[..., None, :]
    inside = heatmap.flatten(2).gather(-1, index.flatten(2)).argmax(-1)
    xy = torch.stack([column, row], -1) * kernel
    xy = xy + torch.stack([inside % kernel, inside.div(kernel, rounding_mode="floor")], -1)
    return xy * (value > 0)[..., None], value


def window(heatmap: Tensor, xy: Tensor, radius: int, outside: float | None = None) -> Tensor:
    """The values around integer positions, (B, K, 2 radius + 1, 2 radius + 1).

    Args:
        heatmap: (B, K, h, w).
        xy: (B, K, 2) int64, inside the map.
        radius: In bins.
        outside: Value beyond the border; None reads the border itself.
    """
    h, w = heatmap.shape[-2:]
    offset = torch.arange(-radius, radius + 1, device=heatmap.device)
    x, y = xy[..., 0, None] + offset, xy[..., 1, None] + offset
    index = y.clamp(0, h - 1)[..., :, None] * w + x.clamp(0, w - 1)[..., None, :]
    found = heatmap.flatten(2).gather(-1, index.flatten(2)).view(index.shape)
    if outside is None:
        return found
    inside = ((y >= 0) & (y < h))[..., :, None] & ((x >= 0) & (x < w))[..., None, :]
    return torch.where(inside, found, outside)


def gaussian_kernel(size: int, sigma: float | None = None) -> Tensor:
    """The 1D kernel (size,) of that sigma, of sum 1; without one that which OpenCV takes, float64.

    OpenCV's sigma = 0.3 ((size - 1) / 2 - 1) + 0.8, but fixed binomial-like tables up to 7.
    """
    tables = {
        1: [1.0],
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


def blur(heatmap: Tensor, kernel: int, sigma: float | None = None) -> Tensor:
    """Separable Gaussian blur of (B, K, h, w) with zero padding; see `gaussian_kernel`."""
    weight = gaussian_kernel(kernel, sigma).to(heatmap)
    down, across = (_band(weight, n) for n in heatmap.shape[-2:])
    return down @ heatmap @ across.mT


def _band(weight: Tensor, n: int) -> Tensor:
    # As matrices, convolutions of many small maps run at the speed of matrix products.
    index = torch.arange(n, device=weight.device)
    offset = index[None, :] - index[:, None] + len(weight) // 2
    return torch.where((offset >= 0) & (offset < len(weight)), weight[offset.clamp(0, len(weight) - 1)], 0.0)
