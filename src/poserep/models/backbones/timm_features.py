"""Any timm model that offers feature maps."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import timm
from torch import Tensor, nn

from poserep.errors import InputError
from poserep.models.checkpoints import load_trunk


class TimmFeatures(nn.Module):
    """Feature maps of a timm model, later stages pruned where timm can.

    Args:
        name: timm's model name, for example ``resnet50``.
        out_indices: Which maps, fine to coarse; for ResNets 1 to 4 are strides 4 to 32.
        weights: A local file of ImageNet weights in timm's or torchvision's layout, or None for random ones.
        in_channels: Of the images.

    Attributes:
        channels: Of each map.
        strides: Input px per position of each map.
        multiple: Height and width of the input must be multiples of this.
    """

    def __init__(
        self, name: str, out_indices: Sequence[int], weights: str | Path | None = None, in_channels: int = 3
    ) -> None:
        super().__init__()
        if not timm.is_model(name):
            raise InputError(f"backbone {name!r} is not in timm {timm.__version__}; see timm.list_models()")
        self.trunk = timm.create_model(
            name, pretrained=False, features_only=True, out_indices=tuple(out_indices), in_chans=in_channels
        )
        info: Any = self.trunk.feature_info
        self.channels: tuple[int, ...] = tuple(info.channels())
        self.strides: tuple[int, ...] = tuple(info.reduction())
        self.multiple = max(self.strides)
        if weights:
            load_trunk(self.trunk, weights)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Normalised image (B, C, H, W) to maps (B, channels[i], H / strides[i], W / strides[i])."""
        return tuple(self.trunk(image))
