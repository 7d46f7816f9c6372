"""Predictors: how one feature map becomes heatmaps, at its own resolution or above.

All are built as ``Predictor(channels, num_keypoints, factor, level, **own options)``: channels of the map, joints, how
often its resolution is multiplied (a power of two), and the level that it reads, -1 for the finest map, -2 for the
next coarser one, and so on. Each takes (B, channels, h, w) and returns (B, K, factor h, factor w).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poserep.errors import InputError


class SRPredictor(nn.Module):
    """Keypoint encoder, grouped large-kernel convolution, pixel shuffle (Wang et al. 2023, SRPose, section 3.2).

    Args:
        channels: As for all predictors, see above; so ``num_keypoints``, ``factor`` and ``level``.
        kernels: Kernels of the grouped convolution, odd, by level from coarse to fine.
        joint_channels: Encoder channels per joint, by level from coarse to fine.
    """

    def __init__(
        self,
        channels: int,
        num_keypoints: int,
        factor: int,
        level: int = -1,
        kernels: Sequence[int] = (3, 5, 7, 9),
        joint_channels: Sequence[int] = (16, 8, 4, 4),
    ) -> None:
        super().__init__()
        if any(kernel < 1 or kernel % 2 == 0 for kernel in kernels):
            raise InputError(f"SRPredictor: kernels={list(kernels)} must be odd, or a map shifts by half a bin")
        if any(channels < 1 for channels in joint_channels):
            raise InputError(f"SRPredictor: joint_channels={list(joint_channels)} must be at least 1")
        for name, values in (("kernels", kernels), ("joint_channels", joint_channels)):
            if -level > len(values):
                raise InputError(f"SRPredictor: {name}={list(values)} has no entry for level {level}")
        hidden, kernel = num_keypoints * joint_channels[level], kernels[level]
        self.kp_encoder = nn.Sequential(nn.Conv2d(channels, hidden, 1), nn.ReLU(inplace=True))
        self.converge = nn.Conv2d(hidden, num_keypoints * factor**2, kernel, padding=kernel // 2, groups=num_keypoints)
        self.shuffle = nn.PixelShuffle(factor)
        nn.init.normal_(self.converge.weight, std=0.001)
        nn.init.zeros_(self.converge.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Turn a map (B, channels, h, w) into heatmaps (B, K, factor h, factor w)."""
        # Maps are read row by row from here on, whatever layout convolutions prefer.
        return self.shuffle(self.converge(self.kp_encoder(x))).contiguous(memory_format=torch.contiguous_format)


class SimplePredictor(nn.Module):
    """A 1x1 convolution at the map's own resolution: ``factor`` must be 1 (SRPose, table 5, "Simple")."""

    def __init__(self, channels: int, num_keypoints: int, factor: int, level: int = -1) -> None:
        super().__init__()
        if factor != 1:
            raise InputError(
                f"SimplePredictor keeps its map's resolution and cannot multiply it by {factor}; take a codec whose "
                "bins are as wide as the map's stride, or another predictor"
            )
        self.conv = nn.Conv2d(channels, num_keypoints, 1)
        nn.init.normal_(self.conv.weight, std=0.001)
        nn.init.zeros_(self.conv.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Turn a map (B, channels, h, w) into heatmaps (B, K, h, w)."""
        return self.conv(x)


class InterPredictor(nn.Module):
    """1x1 then 3x3 convolution, then bilinear interpolation with aligned corners (SRPose, table 5, "Inter").

    Settings not published: the paper says that this is how MSPN and RSN predict, and its code lacks it. As there, each
    convolution has a batch norm, the first a ReLU too, and keeps the map's channels.
    """

    def __init__(self, channels: int, num_keypoints: int, factor: int, level: int = -1) -> None:
        super().__init__()
        self.factor = factor
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, num_keypoints, 3, padding=1, bias=False),
            nn.BatchNorm2d(num_keypoints),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Turn a map (B, channels, h, w) into heatmaps (B, K, factor h, factor w)."""
        maps = self.layers(x)
        if self.factor == 1:
            return maps
        return F.interpolate(maps, scale_factor=self.factor, mode="bilinear", align_corners=True)
