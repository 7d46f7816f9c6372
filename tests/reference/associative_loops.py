"""Targets and losses of associative embedding the way the field writes them: loops over images and people.

Written from the definitions (Newell et al. 2017; Cheng et al. 2020, HigherHRNet), as a second opinion on the batched
code and as what it is faster than. B images of P people with K joints, positions (B, P, K, 2) in bins, ``kept``
(B, P, K), ``size`` (height, width) in bins.
"""

import numpy as np
import torch
from torch import Tensor


def people_maps(centre: np.ndarray, kept: np.ndarray, size: tuple[int, int], sigma: float, radius: int) -> np.ndarray:
    """HigherHRNet, 3.3: a Gaussian of peak 1 for every joint around its nearest bin, and the maximum over people."""
    height, width = size
    images, people, joints = kept.shape
    maps = np.zeros((images, joints, height, width), np.float32)
    for b in range(images):
        for p in range(people):
            for j in np.flatnonzero(kept[b, p]):
                x, y = centre[b, p, j]
                column, row = int(np.floor(x + 0.5)), int(np.floor(y + 0.5))
                left, right = max(0, column - radius), min(width, column + radius + 1)
                top, bottom = max(0, row - radius), min(height, row + radius + 1)
                if left >= right or top >= bottom:
                    continue
                gx = np.exp(-((np.arange(left, right) - x) ** 2) / (2 * sigma**2))
                gy = np.exp(-((np.arange(top, bottom) - y) ** 2) / (2 * sigma**2))
                window = maps[b, j, top:bottom, left:right]
                np.maximum(window, gy[:, None] * gx, out=window)
    return maps


def masked_error(out: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """HigherHRNet, 3.3: the mean of squared errors, 0 where the mask is, image by image."""
    total = torch.zeros((), dtype=out.dtype)
    for b in range(len(out)):
        for j in range(out.shape[1]):
            total = total + ((out[b, j] - target[b, j]) ** 2 * mask[b]).mean() / out.shape[1]
    return total / len(out)


def pull_and_push(tags: Tensor, position: Tensor, kept: Tensor, margin: str = "exp") -> tuple[Tensor, Tensor]:
    """Newell et al. 2017, 3.2, person by person, of every image of (B, K, h, w); without factors."""
    pulls, pushes = [], []
    for maps, indices, seen in zip(tags, position, kept, strict=True):
        means, spreads = [], []
        for index, which in zip(indices, seen, strict=True):
            joints = which.nonzero()[:, 0]
            if len(joints) == 0:
                continue
            own = maps.flatten(1)[joints, index[joints]]
            means.append(own.mean())
            spreads.append(((own - own.mean()) ** 2).mean())
        n, zero = len(means), tags.new_zeros(())
        pulls.append(sum(spreads) / n if n else zero)
        push = zero
        for i in range(n):
            for j in range(n):
                if i != j:
                    d = means[i] - means[j]
                    push = push + (torch.exp(-(d**2)) if margin == "exp" else torch.clamp(1 - d.abs(), min=0))
        pushes.append(push / 2 / (n * (n - 1)) if n > 1 else zero)
    return torch.stack(pulls), torch.stack(pushes)
