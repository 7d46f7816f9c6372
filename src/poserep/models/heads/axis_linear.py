"""SimCC head: two linear classifiers, shared by all joints."""

from collections.abc import Sequence

from torch import Tensor, nn

from poserep.errors import InputError
from poserep.models.heads.base import Head, HeadSpec, deconvolutions, doublings
from poserep.models.init import small_normal


class AxisLinear(Head):
    """Classifies one map (or a few) per joint, flattened, along each axis (Li et al. 2022, SimCC, fig. 2).

    Emits logits (B, K, x.n) and (B, K, y.n).

    Args:
        spec: See `HeadSpec`.
        upsample_to: Stride reached by deconvolutions before the joints' maps are taken; None takes the map
            as it is ("upsampling-free").
        channels_per_joint: Maps per joint; the published upsampling-free models take 32 or 28.
        width: Channels of the deconvolutions.
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
