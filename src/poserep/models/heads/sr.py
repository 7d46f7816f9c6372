"""Super-resolution head: from a low-resolution map to heatmaps at or above input resolution."""

from collections.abc import Sequence

from torch import Tensor

from poserep.models.heads.base import Head, HeadSpec, deconvolutions, doublings
from poserep.models.heads.predictors import SRPredictor
from poserep.models.init import small_normal


class SRHead(Head):
    """`SRPredictor` on one map (Wang et al. 2023, SRPose, section 3.2, the plain "SR head" of table 1).

    Emits (B, K, y.n, x.n); any power of two between the map's stride and the codec's bins will do.

    Args:
        spec: See `HeadSpec`.
        upsample_to: Stride reached by deconvolutions before the encoder; None takes the map as it is.
        joint_channels: Encoder channels per joint.
        kernel: Kernel of the grouped convolution, odd.
        width: Channels of the deconvolutions.
    """

    form = "map"

    def __init__(
        self,
        spec: HeadSpec,
        upsample_to: int | None = 4,
        joint_channels: int = 4,
        kernel: int = 9,
        width: int = 256,
    ) -> None:
        super().__init__()
        inputs, coarse = spec.one_map(self)
        stride = coarse if upsample_to is None else upsample_to
        layers = doublings(self, coarse, stride)
        factor = 2 ** doublings(self, stride, spec.stride)
        self.deconv_layers = deconvolutions(inputs, layers, width)
        self.predictor = SRPredictor(
            width if layers else inputs, spec.num_keypoints, factor, -1, (kernel,), (joint_channels,)
        )
        small_normal(self.deconv_layers)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Turn the map into heatmaps."""
        return self.predictor(self.deconv_layers(features[-1]))

    def official(self, key: str) -> str:
        """Return the own name of an entry of the published code."""
        if key.startswith("kp_encoder."):
            return f"predictor.{key}"
        return key.replace("heatmap_head.", "predictor.converge.")
