"""The pose trunk of HRNet (Sun et al. 2019), on timm's modules."""

from collections.abc import Callable
from typing import Any

import timm
from torch import Tensor, nn

from poserep.errors import InputError


class HRNet(nn.Module):
    """HRNet with its four branches as the pose papers use them, not the classifier's widened maps.

    Args:
        width: Channels of the finest branch, 18, 32 or 48.
        multiscale: Give all four branches (29.3M parameters at width 32) instead of the finest alone (28.5M).
        stages: 4, or 3 for the trunk of TokenPose-B and -L and of TransPose-H, which ends at the finest branch of the
            third stage (7.7M parameters at width 32).
        init: The published code takes `small_normal`.
    """

    multiple = 32
    pretrained_part = "trunk"

    def __init__(
        self,
        width: int = 32,
        multiscale: bool = False,
        in_channels: int = 3,
        stages: int = 4,
        init: Callable[[nn.Module], None] | None = None,
    ) -> None:
        super().__init__()
        if stages not in (3, 4) or (stages == 3 and multiscale):
            raise InputError(
                f"backbone HRNet: stages={stages}, multiscale={multiscale}: 3 stages have one map, 4 one or all"
            )
        name = f"hrnet_w{width}"
        if not timm.is_model(name):
            raise InputError(f"backbone HRNet has no width {width}; timm offers {timm.list_models('hrnet_w??')}")
        indices = (1, 2, 3, 4) if multiscale else (1,)
        # Without feature_location="" timm returns the classifier's maps, four times as wide.
        self.trunk = timm.create_model(
            name, features_only=True, feature_location="", out_indices=indices, in_chans=in_channels
        )
        if not multiscale:
            # The last module would otherwise fuse into branches that nothing reads: parameters without gradient,
            # which distributed training refuses.
            last: Any = self.trunk.get_submodule("stage4.2" if stages == 4 else "stage3.3")
            last.fuse_layers = last.fuse_layers[:1]
        if stages == 3:
            trunk: Any = self.trunk
            trunk.transition3, trunk.stage4 = nn.ModuleList([nn.Identity()]), nn.Identity()
        self.channels: tuple[int, ...] = tuple(width * 2**i for i in range(len(indices)))
        self.strides: tuple[int, ...] = tuple(4 * 2**i for i in range(len(indices)))
        if init:
            init(self.trunk)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Turn normalised images (B, C, H, W) into maps (B, channels[i], H / strides[i], W / strides[i])."""
        return tuple(self.trunk(image))
