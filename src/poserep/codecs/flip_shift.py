"""The flip shift: how the flip test mirrors an image, and where the output for it belongs.

Where bins do not lie symmetrically in the crop, as under ``corner``, the output for the mirror image, mirrored back,
lies off that for the image by the *flip shift*.
"""

import math
from fractions import Fraction

import torch
from torch import Tensor
from torch.nn import functional as F

from poserep.geometry import Axis


def mirror_shifts(axis: Axis, published: float | None = None) -> tuple[int, float]:
    """Decide how a flip test realigns: input px that the mirrored image, and bins that the output for it is moved.

    Both are to the right. Under ``corner`` the output lies n / length - 1 bins too far to the right (-0.75 at stride 4,
    k - 1 for SimCC), often a part of a bin, by which no map can be moved without blurring it. So the mirrored image
    moves by whole px, each n / length bins, and its un-mirrored output by whole bins, until all bins coincide. Of all
    such pairs this is the one that moves least content out of sight: (-3, 0) at stride 4, (0, 1 - k) for a whole number
    k of bins per px, (1, 1) for k = 1.5; (0, 0) under the other alignments. ``published`` are the bins by which
    published code moves the output, leaving the image where it is.
    """
    if published is not None:
        return 0, published
    if axis.align != "corner":
        return 0, 0
    per_px = Fraction(axis.n, axis.length)
    offsets = {px: (1 - px) * per_px - 1 for px in range(1 - per_px.denominator, per_px.denominator + 1)}
    exact = {px: -int(offset) for px, offset in offsets.items() if offset.denominator == 1}
    px = min(exact, key=lambda px: (abs(px) + abs(exact[px]) / per_px, abs(px)))
    return px, exact[px]


def mirror_image(image: Tensor, px: int = 0) -> Tensor:
    """Mirror (..., H, W) left to right, then move it by ``px`` to the right, black where nothing is known."""
    mirrored = image.flip(-1)
    return F.pad(mirrored, (px, -px)) if px else mirrored


def shift_bins(maps: Tensor, bins: float) -> Tensor:
    """Move the content of (..., n) along its last axis by ``bins``, to the right if positive.

    Whole bins are moved exactly, parts of a bin by linear interpolation; the first and last values are repeated.
    """
    whole, n = math.floor(bins), maps.shape[-1]
    index = torch.arange(n, device=maps.device) - whole
    first = maps[..., index.clamp(0, n - 1)] if whole else maps
    return torch.lerp(first, maps[..., (index - 1).clamp(0, n - 1)], bins - whole) if bins != whole else first
