"""SimCC head: two linear classifiers, shared by all joints."""

from collections.abc import Sequence

from torch import Tensor, nn

from poserep.errors import InputError
from poserep.models.heads.base import AxisLike, Head, deconvolutions, doublings, only_map
from poserep.models.init import small_normal


class AxisLinear(Head):
    """One map (or a few) per joint, flattened, classified along each axis (Li et al. 2022, SimCC, fig. 2).

    Emits logits (B, K, x.n) and (B, K, y.n).

    Args:
        channels: Of the backbone's maps.
        strides: Of the backbone's maps.
        num_keypoints: K.
        x: The codec's horizontal axis.
        y: The codec's vertical axis.
        upsample_to: Stride reached by deconvolutions before the joints' maps are taken; None takes the map
            as it is ("upsampling-free").
        channels_per_joint: Maps per joint; the published upsampling-free models take 32 or 28.
        width: Channels of the deconvolutions.
    """

    form = "axes"

    def __init__(
        self,
        channels: Sequence[int],
        strides: Sequence[int],
        num_keypoints: int,
        x: AxisLike,
        y: AxisLike,
        upsample_to: int | None = 4,
        channels_per_joint: int = 1,
        width: int = 256,
    ) -> None:
        super().__init__()
        if channels_per_joint < 1:
            raise InputError(f"AxisLinear: channels_per_joint={channels_per_joint} must be at least 1")
        inputs, coarse = only_map("AxisLinear", channels, strides)
        stride = coarse if upsample_to is None else upsample_to
        layers = doublings("AxisLinear", coarse, stride)
        self.num_keypoints = num_keypoints
        self.deconv_layers = deconvolutions(inputs, layers, width)
        self.final_layer = nn.Conv2d(width if layers else inputs, num_keypoints * channels_per_joint, 1)
        small_normal(self)
        features = channels_per_joint * (x.length // stride) * (y.length // stride)
        self.mlp_head_x = nn.Linear(features, x.n)
        self.mlp_head_y = nn.Linear(features, y.n)

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """The map to logits."""
        maps = self.final_layer(self.deconv_layers(features[-1]))
        joints = maps.reshape(maps.shape[0], self.num_keypoints, -1)
        return self.mlp_head_x(joints), self.mlp_head_y(joints)
