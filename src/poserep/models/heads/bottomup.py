"""Heads of bottom-up networks: heatmaps of all people in the image, and tags that say which joints belong together."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from timm.models.resnet import BasicBlock
from torch import Tensor, nn
from torch.nn import functional as F

from poserep.errors import InputError
from poserep.models.heads.base import Head, HeadSpec, deconvolved
from poserep.models.heads.maps_and_axes import Deconv
from poserep.models.heads.sr import SRHead
from poserep.models.init import small_normal


class BottomUp(Deconv):
    """`Deconv` with a heatmap and a tag map for every joint (Newell et al. 2017, associative embedding; mmpose 0.x).

    Emits (B, 2K, y.n, x.n), heatmaps before tags. With 17 joints there are 34.00M parameters on ResNet-50 and 28.54M on
    HRNet-W32 (Wang et al. 2023, SRPose, bottom-up table).
    """

    form = "heatmaps and tags"

    def __init__(self, spec: HeadSpec, width: int = 256) -> None:
        super().__init__(replace(spec, num_keypoints=2 * spec.num_keypoints), width)


class BottomUpSR(SRHead):
    """`SRHead` for the heatmaps; tags from a 1x1 convolution, repeated up to their size (SRPose, section 3.2).

    Emits (B, 2K, y.n, x.n), heatmaps before tags, whose own stride is ``upsample_to``. With 17 joints there are 34.11M
    parameters on ResNet-50 and 28.63M on HRNet-W32.
    """

    form = "heatmaps and tags"

    def __init__(self, spec: HeadSpec, **options: Any) -> None:
        super().__init__(spec, **options)
        encoder: Any = self.predictor.kp_encoder[0]
        self.tag_head = nn.Conv2d(encoder.in_channels, spec.num_keypoints, 1)
        small_normal(self)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Turn the map into heatmaps and tags."""
        fine = self.deconv_layers(features[-1])
        heatmaps = self.predictor(fine)
        return torch.cat([heatmaps, F.interpolate(self.tag_head(fine), heatmaps.shape[-2:], mode="nearest")], 1)


class BottomUpHigher(Head):
    """HigherHRNet's head: heatmaps and tags as `BottomUp`, then finer heatmaps (Cheng et al. 2020).

    Emits (B, 2K, y.n / 2, x.n / 2), heatmaps before tags, and heatmaps (B, K, y.n, x.n). The finer ones read the map
    and the coarse output: a transposed convolution 4x4 of stride 2, batch norm, ReLU, and residual ``blocks`` of two
    convolutions 3x3, all of ``fine_width`` channels. None takes as many as the map has, as published, or 32 where
    deconvolutions, of ``width`` channels, bring a coarser map to the coarse output's stride, as on ResNet. With 17
    joints there are 28.65M parameters on HRNet-W32.
    """

    form = "heatmaps and tags, then finer heatmaps"

    def __init__(self, spec: HeadSpec, width: int = 256, fine_width: int | None = None, blocks: int = 4) -> None:
        super().__init__()
        if blocks < 0 or (fine_width is not None and fine_width < 1):
            raise InputError(
                f"BottomUpHigher: blocks={blocks} must be at least 0 and fine_width={fine_width} at least 1, or null "
                "for the published number"
            )
        self.upsampling, channels, _ = deconvolved(self, spec, 2 * spec.stride, width)
        fine, joints = fine_width or (32 if len(self.upsampling) else channels), spec.num_keypoints
        convolution = nn.ConvTranspose2d(channels + 2 * joints, fine, 4, stride=2, padding=1, bias=False)
        doubled = nn.Sequential(convolution, nn.BatchNorm2d(fine), nn.ReLU(inplace=True))
        residual = (nn.Sequential(BasicBlock(fine, fine)) for _ in range(blocks))
        # Nested and named as in the published code, where the number of finer stages is an option.
        self.deconv_layers = nn.ModuleList([nn.Sequential(doubled, *residual)])
        self.final_layers = nn.ModuleList([nn.Conv2d(channels, 2 * joints, 1), nn.Conv2d(fine, joints, 1)])
        small_normal(self)

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Turn the map into coarse heatmaps and tags, and fine heatmaps."""
        maps = self.upsampling(features[-1])
        coarse = self.final_layers[0](maps)
        return coarse, self.final_layers[1](self.deconv_layers[0](torch.cat([maps, coarse], 1)))
