"""Heads on one map after deconvolutions: heatmaps from a 1x1 convolution, or SimCC's classifiers on flattened maps."""

from collections.abc import Sequence

from torch import Tensor, nn

from poserep.errors import InputError
from poserep.models.heads.base import Head, HeadSpec, deconvolutions, doublings
from poserep.models.init import small_normal


class Deconv(Head):
    """SimpleBaseline's head (Xiao et al. 2018); without deconvolutions, HRNet's. Emits (B, K, y.n, x.n).

    The number of deconvolutions, of ``width`` channels, follows from the map and the codec's stride: 3 on stride 32, 0
    on HRNet. ``sigmoid`` squeezes the heatmaps into (0, 1), as in the HUMAN4D study.
    """

    form = "map"

    def __init__(self, spec: HeadSpec, width: int = 256, sigmoid: bool = False) -> None:
        super().__init__()
        inputs, stride = spec.one_map(self)
        layers = doublings(self, stride, spec.stride)
        self.deconv_layers = deconvolutions(inputs, layers, width)
        self.final_layer = nn.Conv2d(width if layers else inputs, spec.num_keypoints, 1)
        self.sigmoid = sigmoid
        small_normal(self)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Turn the map into heatmaps."""
        maps = self.final_layer(self.deconv_layers(features[-1]))
        return maps.sigmoid() if self.sigmoid else maps


class AxisLinear(Head):
    """Classifies one map (or a few) per joint, flattened, along each axis (Li et al. 2022, SimCC, fig. 2).

    Emits logits (B, K, x.n) and (B, K, y.n).

    Deconvolutions of ``width`` channels bring the map to stride ``upsample_to``; None takes it as it is
    ("upsampling-free"). The published upsampling-free models have 32 or 28 ``channels_per_joint``, maps for each joint.
    """

    form = "axes"

    def __init__(
        self, spec: HeadSpec, upsample_to: int | None = 4, channels_per_joint: int = 1, width: int = 256
    ) -> None:
        super().__init__()
        if channels_per_joint < 1:
            raise InputError(f"AxisLinear: channels_per_joint={channels_per_joint} must be at least 1")
        inputs, coarse = spec.one_map(self)
        stride = coarse if upsample_to is None else upsample_to
        layers = doublings(self, coarse, stride)
        self.num_keypoints = spec.num_keypoints
        self.deconv_layers = deconvolutions(inputs, layers, width)
        self.final_layer = nn.Conv2d(width if layers else inputs, spec.num_keypoints * channels_per_joint, 1)
        small_normal(self)
        features = channels_per_joint * (spec.x.length // stride) * (spec.y.length // stride)
        self.mlp_head_x = nn.Linear(features, spec.x.n)
        self.mlp_head_y = nn.Linear(features, spec.y.n)

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Turn the map into logits."""
        maps = self.final_layer(self.deconv_layers(features[-1]))
        joints = maps.reshape(maps.shape[0], self.num_keypoints, -1)
        return self.mlp_head_x(joints), self.mlp_head_y(joints)
