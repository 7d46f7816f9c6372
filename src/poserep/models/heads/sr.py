"""Super-resolution: predictors, by which one feature map becomes heatmaps above its resolution, and the head of one.

Predictors are built as ``Predictor(channels, num_keypoints, factor, level, **own options)``: channels of the map,
joints, how often its resolution is multiplied (a power of two), and the level that it reads, -1 for the finest map, -2
for the next coarser one, and so on. Each takes (B, channels, h, w) and returns (B, K, factor h, factor w).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poserep.errors import InputError, check_odd
from poserep.models.heads.base import Head, HeadSpec, deconvolved, doublings
from poserep.models.init import small_normal


class SRPredictor(nn.Module):
    """Keypoint encoder, grouped large-kernel convolution, pixel shuffle (Wang et al. 2023, SRPose, section 3.2).

    ``kernels`` of the grouped convolution, which are odd, and ``joint_channels``, the encoder's channels per joint, are
    given by level from coarse to fine.
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
        for kernel in kernels:
            check_odd("SRPredictor: kernels", kernel, ", or a map shifts by half a bin")
        if min(joint_channels, default=1) < 1:
            raise InputError(f"SRPredictor: joint_channels={list(joint_channels)} must be at least 1")
        for name, values in (("kernels", kernels), ("joint_channels", joint_channels)):
            if -level > len(values):
                raise InputError(f"SRPredictor: {name}={list(values)} has no entry for level {level}")
        hidden, kernel = num_keypoints * joint_channels[level], kernels[level]
        self.kp_encoder = nn.Sequential(nn.Conv2d(channels, hidden, 1), nn.ReLU(inplace=True))
        self.converge = nn.Conv2d(hidden, num_keypoints * factor**2, kernel, padding=kernel // 2, groups=num_keypoints)
        self.shuffle = nn.PixelShuffle(factor)
        small_normal(self.converge)

    def forward(self, x: Tensor) -> Tensor:
        """Turn a map (B, channels, h, w) into heatmaps (B, K, factor h, factor w)."""
        # Maps are read row by row from here on, whatever layout convolutions prefer.
        return self.shuffle(self.converge(self.kp_encoder(x))).contiguous(memory_format=torch.contiguous_format)


class SRHead(Head):
    """`SRPredictor` on one map (Wang et al. 2023, SRPose, section 3.2, the plain "SR head" of table 1).

    Emits (B, K, y.n, x.n); any power of two between the map's stride and the codec's bins will do. Deconvolutions of
    ``width`` channels bring the map to stride ``upsample_to``; None takes it as it is. For ``joint_channels`` and
    ``kernel`` see `SRPredictor`.
    """

    form = "map"

    def __init__(
        self, spec: HeadSpec, upsample_to: int | None = 4, joint_channels: int = 4, kernel: int = 9, width: int = 256
    ) -> None:
        super().__init__()
        self.deconv_layers, channels, stride = deconvolved(self, spec, upsample_to, width)
        factor = 2 ** doublings(self, stride, spec.stride)
        self.predictor = SRPredictor(channels, spec.num_keypoints, factor, -1, (kernel,), (joint_channels,))
        small_normal(self.deconv_layers)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Turn the map into heatmaps."""
        return self.predictor(self.deconv_layers(features[-1]))

    def official(self, key: str) -> str:
        """Return the own name of an entry of the published code."""
        if key.startswith("kp_encoder."):
            return f"predictor.{key}"
        return key.replace("heatmap_head.", "predictor.converge.")


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
        small_normal(self.conv)

    def forward(self, x: Tensor) -> Tensor:
        """Turn a map (B, channels, h, w) into heatmaps (B, K, h, w)."""
        return self.conv(x)


class InterPredictor(nn.Module):
    """1x1 then 3x3 convolution, then bilinear interpolation with aligned corners (SRPose, table 5, "Inter").

    Its code was not published; as in MSPN and RSN, which the paper names, each convolution has a batch norm, and the
    first a ReLU and the map's channels.
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
        maps, factor = self.layers(x), self.factor
        return F.interpolate(maps, scale_factor=factor, mode="bilinear", align_corners=True) if factor > 1 else maps
