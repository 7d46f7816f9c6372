"""Backbone and head as one network."""

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from poserep.models.heads.base import Head


class Backbone(Protocol):
    """Turns images into feature maps, fine to coarse, or keypoint tokens.

    All backbones are built with their own options and, as far as their constructors name them, ``num_keypoints``,
    ``in_channels`` of the images, ``size``, (height, width) of the input in px, ``multiscale=True`` if the head reads
    maps of several resolutions, and ``init``, which initialises the trunk in place, see `poserep.models.init`. Files of
    weights are loaded afterwards, see `poserep.models.weights`.

    Attributes:
        channels: Channels of each map, fine to coarse; for keypoint tokens, their width.
        strides: Input px per position of each map; empty if the backbone gives keypoint tokens.
        multiple: Height and width of the input must be multiples of this, px.
        pretrained_part: Name of the part that files of ImageNet weights fill, if it is not the whole backbone.
    """

    channels: tuple[int, ...]
    strides: tuple[int, ...]
    multiple: int

    def __call__(self, image: Tensor) -> Sequence[Tensor]:
        """Turn normalised images (B, C, H, W) into maps, fine to coarse, or one tensor of keypoint tokens (B, K, D)."""


class PoseNet(nn.Module):
    """Normalises images and passes them through backbone and head.

    ``mean`` and ``std`` are those of each channel, whose values are in [0, 1] once divided by ``peak``: 255 for bytes,
    1 for depths in metres. ``channels_last`` is the memory layout in which images enter the backbone.
    """

    def __init__(
        self,
        backbone: nn.Module,
        head: Head,
        mean: Sequence[float] = (0.485, 0.456, 0.406),
        std: Sequence[float] = (0.229, 0.224, 0.225),
        peak: float = 255.0,
        channels_last: bool = False,
    ) -> None:
        super().__init__()
        self.backbone, self.head, self.channels_last = backbone, head, channels_last
        self.scale = nn.Buffer(1 / (peak * torch.tensor(std))[:, None, None])
        self.offset = nn.Buffer((-torch.tensor(mean) / torch.tensor(std))[:, None, None])

    @property
    def channels(self) -> int:
        """Return the number of channels of the images."""
        return len(self.scale)

    def features(self, image: Tensor) -> Sequence[Tensor]:
        """Turn images (B, C, H, W), uint8 or for depths float32, into what the backbone gives."""
        x = image * self.scale + self.offset
        if self.channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
        return self.backbone(x)

    def forward(self, image: Tensor) -> Any:
        """Turn images, see `features`, into what the head emits."""
        return self.head(self.features(image))
