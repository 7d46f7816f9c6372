"""Heads of bottom-up networks: heatmaps of all people in the image, and tags that say which joints belong together."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from poserep.models.heads.base import HeadSpec
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
