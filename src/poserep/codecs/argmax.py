"""The maximum of a heatmap: where it is, and what lies around it."""

from dataclasses import dataclass

import torch
from torch import Tensor

# What a readout of heatmaps returns: positions (B, K, 2) in bins, x first, and the maxima (B, K).
Peaks = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Argmax:
    """Readout: the bin with the highest value, without a position between bins."""

    def __call__(self, heatmap: Tensor) -> Peaks:
        """Read positions and maxima from (B, K, h, w)."""
        xy, value = peak(heatmap)
        return xy.to(heatmap.dtype), value


def peak(heatmap: Tensor, any_value: bool = False) -> Peaks:
    """Find the maximum of (B, K, h, w): its position as integers (B, K, 2), x first, and its value (B, K).

    The first maximum in row-major order wins. Maps without a positive value give (0, 0), as in HRNet's code, unless
    ``any_value``.
    """
    b, k, h, w = heatmap.shape
    # An argmax reads value by value, a maximum many at once: look for the index in the first best rows alone.
    rows = 2 if h % 2 == 0 and w <= 64 else 1
    blocks = heatmap.reshape(b, k, h // rows, rows * w)
    value, block = blocks.amax(-1).max(-1)
    inside = blocks.gather(2, block[..., None, None].expand(b, k, 1, rows * w))[:, :, 0].argmax(-1)
    index = block * (rows * w) + inside
    xy = torch.stack([index % w, index.div(w, rounding_mode="floor")], -1)
    return (xy if any_value else xy * (value > 0)[..., None]), value


def window(heatmap: Tensor, xy: Tensor, radius: int, outside: float | None = None) -> Tensor:
    """Return the values around integer positions, (B, K, 2 radius + 1, 2 radius + 1).

    Args:
        heatmap: (B, K, h, w).
        xy: (B, K, 2) int64, inside the map.
        radius: In bins.
        outside: Value beyond the border; None repeats the border's own.
    """
    h, w = heatmap.shape[-2:]
    offset = torch.arange(-radius, radius + 1, device=heatmap.device)
    x, y = xy[..., 0, None] + offset, xy[..., 1, None] + offset
    index = y.clamp(0, h - 1)[..., :, None] * w + x.clamp(0, w - 1)[..., None, :]
    values = heatmap.flatten(2).gather(-1, index.flatten(2)).view(index.shape)
    if outside is None:
        return values
    inside = ((y >= 0) & (y < h))[..., :, None] & ((x >= 0) & (x < w))[..., None, :]
    return torch.where(inside, values, outside)
