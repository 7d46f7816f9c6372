"""Targets of scenes: maps that all people of an image share, and where in them a person's joints lie.

B images of up to P people with K joints: ``centre`` (B, P, K, 2) are positions in bins, fractional or whole, and
``kept`` (B, P, K) bool says which of them count; the others may lie anywhere, at infinity too. ``size`` is that of the
maps, (height, width) in bins.
"""

import numpy as np
import torch
from torch import Tensor

from poserep.geometry import Axis

# Bins that are drawn at a time, which take some 40 bytes each.
_BINS = 2**18


def draw_people(
    centre: Tensor, kept: Tensor, size: tuple[int, int], sigma: float, radius: int, middle: Tensor | None = None
) -> Tensor:
    """Draw a Gaussian of peak 1 for every joint that is kept, and take the maximum over people.

    This takes time and memory for the bins that are drawn on, beside the maps themselves.

    Args:
        centre: (B, P, K, 2) bins. Of joints beyond the map, the part is drawn that lies on it.
        kept: (B, P, K) bool.
        size: (h, w).
        sigma: Standard deviation in bins.
        radius: Bins that are drawn on each side of a window's middle; may exceed the map. The published windows of
            6 sigma + 3 bins have 3 sigma + 1.
        middle: Whole bins (B, P, K, 2) that windows lie around. By default the ones nearest to the centres, ties
            upward; published code cuts fractional ones to integers, toward zero, each in its own way.

    Returns:
        (B, K, h, w) float32, without gradient.
    """
    images, _, joints, _ = centre.shape
    height, width = size
    image, _, joint = kept.nonzero(as_tuple=True)
    at = centre[kept]
    around = _nearest(at) if middle is None else middle[kept]
    (column, gx), (row, gy) = (_window(at[:, i], around[:, i], n, sigma, radius) for i, n in enumerate((width, height)))
    row = row + (image * joints + joint)[:, None] * height
    maps = _zeros(images * joints * height * width, centre.device)
    at_a_time = max(1, _BINS // (row.shape[1] * column.shape[1]))
    for r, c, y, x in zip(*(part.split(at_a_time) for part in (row, column, gy, gx)), strict=True):
        index, value = r[:, :, None] * width + c[:, None, :], y[:, :, None] * x[:, None, :]
        maps.scatter_reduce_(0, index.flatten(), value.flatten(), "amax")
    return maps.view(images, joints, height, width)


def _window(centre: Tensor, middle: Tensor, n: int, sigma: float, radius: int) -> tuple[Tensor, Tensor]:
    """Return bins (N, side) of an axis among which the windows lie, and the Gaussians there, 0 outside of these."""
    side = min(2 * radius + 1, n)
    bins = (middle - radius).clamp(0, n - side).long()[:, None] + torch.arange(side, device=centre.device)
    # Tails end at 1e-17, so that products stay normal numbers: subnormal ones are slow to compute with.
    profile = ((bins - centre[:, None]).square() / (-2 * sigma**2)).clamp_min(-40).exp()
    return bins, (profile * ((bins - middle[:, None]).abs() <= radius)).float()


def _nearest(centre: Tensor) -> Tensor:
    return torch.floor(centre + 0.5)


def _zeros(n: int, device: torch.device) -> Tensor:
    # NumPy gets large pages from the system, empty ones: torch would fill small ones first.
    return torch.from_numpy(np.zeros(n, np.float32)) if device.type == "cpu" else torch.zeros(n, device=device)


def tag_positions(centre: Tensor, kept: Tensor, size: tuple[int, int], floor: bool) -> Tensor:
    """Return the bins whose tags are those of people's joints, as indices y w + x, (B, P, K) int64.

    All are on the map: of joints beyond it the nearest there, of joints that are not kept the first.

    Args:
        centre: (B, P, K, 2) bins.
        kept: (B, P, K) bool.
        size: (h, w).
        floor: Take the bin below a fractional position (HigherHRNet, SRPose), and not the nearest one (mmpose 1.x).
    """
    height, width = size
    bins = torch.where(kept[..., None], torch.floor(centre) if floor else _nearest(centre), 0.0)
    x, y = bins.long().unbind(-1)
    return y.clamp(0, height - 1) * width + x.clamp(0, width - 1)


def nearest_person(centre: Tensor, kept: Tensor, size: tuple[int, int]) -> Tensor:
    """Return whose joint is the nearest to each bin, the ground truth as maps of tags.

    The memory that this takes does not grow with the number of people.

    Args:
        centre: (B, P, K, 2) bins.
        kept: (B, P, K) bool.
        size: (h, w).

    Returns:
        (B, K, h, w) int64: the person's row, the first of equally near ones; 0 on maps of joints that nobody has.
    """
    x, y = torch.where(kept[..., None], centre, torch.inf).unbind(-1)
    dx, dy = (
        (torch.arange(n, device=at.device) - at[..., None]).square() for at, n in zip((x, y), size[::-1], strict=True)
    )
    shape = (centre.shape[0], centre.shape[2], *size)
    nearest, least = torch.zeros(shape, dtype=torch.int64, device=x.device), x.new_full(shape, torch.inf)
    for person in kept.any(2).any(0).nonzero().flatten().tolist():
        distance = dy[:, person, :, :, None] + dx[:, person, :, None, :]
        nearest.masked_fill_(distance < least, person)
        torch.minimum(distance, least, out=least)
    return nearest


def sampled_mask(mask: Tensor, x: Axis, y: Axis) -> Tensor:
    """Read a mask of input px (B, H, W) at the bins of two axes, each at the px nearest to it; returns (B, h, w)."""
    columns, rows = (_nearest_px(axis).to(mask.device) for axis in (x, y))
    return mask[:, rows[:, None], columns]


def _nearest_px(axis: Axis) -> Tensor:
    px = axis.to_px(torch.arange(axis.n, dtype=torch.float64))
    return px.round().long().clamp(0, axis.length - 1)
