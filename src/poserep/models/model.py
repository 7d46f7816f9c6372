"""Backbone and head as one network."""

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from poserep.models.heads.base import Head


class Backbone(Protocol):
    """What is known about a backbone.

    One is built with its own options and, as far as its constructor names them, ``in_channels`` (of the images),
    ``size`` (of the input) and ``num_keypoints``.

    Attributes:
        channels: Of each map, or of the keypoint tokens.
        strides: Input px per position of each map; empty if the backbone gives keypoint tokens.
        multiple: Height and width of the input must be multiples of this.
    """

    channels: tuple[int, ...]
    strides: tuple[int, ...]
    multiple: int

    def __call__(self, image: Tensor) -> Sequence[Tensor]:
        """Normalised image (B, C, H, W) to maps, fine to coarse, or to one tensor of keypoint tokens (B, K, D)."""


class PoseNet(nn.Module):
    """Images to outputs, normalisation included.

    Args:
        backbone: See `Backbone`.
        head: Emits what the codec reads.
        mean: Per channel, of values in [0, 1]; there are as many channels as means.
        std: Per channel, of values in [0, 1].
        peak: The value of a pixel that counts as 1: 255 for bytes, 1 for depths in metres.
        channels_last: Memory layout of the images that enter the backbone.
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
        self.scale: Tensor
        self.offset: Tensor
        self.register_buffer("scale", 1 / (peak * torch.tensor(std))[:, None, None])
        self.register_buffer("offset", (-torch.tensor(mean) / torch.tensor(std))[:, None, None])

    @property
    def channels(self) -> int:
        """Of the images."""
        return len(self.scale)

    def forward(self, image: Tensor) -> Any:
        """(B, C, H, W) uint8, or float32 for depths, to what the head emits."""
        x = image * self.scale + self.offset
        if self.channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
        return self.head(self.backbone(x))
