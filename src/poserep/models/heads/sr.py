"""Super-resolution head: from a low-resolution map to heatmaps at or above input resolution."""

from collections.abc import Sequence

from torch import Tensor

from poserep.models.heads.base import AxisLike, Head, deconvolutions, doublings, only_map
from poserep.models.heads.predictors import SRPredictor
from poserep.models.init import small_normal


class SRHead(Head):
    """`SRPredictor` on one map (Wang et al. 2023, SRPose, section 3.2, the plain "SR head" of table 1).

    Emits (B, K, y.n, x.n); any power of two between the map's stride and the codec's bins will do.

    Args:
        channels: Of the backbone's maps.
        strides: Of the backbone's maps.
        num_keypoints: K.
        x: The codec's horizontal axis.
        y: The codec's vertical axis.
        upsample_to: Stride reached by deconvolutions before the encoder; None takes the map as it is.
        joint_channels: Encoder channels per joint.
        kernel: Of the grouped convolution, odd.
        width: Channels of the deconvolutions.
    """

    form = "map"

    def __init__(
        self,
        channels: Sequence[int],
        strides: Sequence[int],
        num_keypoints: int,
        x: AxisLike,
        y: AxisLike,
        upsample_to: int | None = 4,
        joint_channels: int = 4,
        kernel: int = 9,
        width: int = 256,
    ) -> None:
        super().__init__()
        inputs, coarse = only_map("SRHead", channels, strides)
        stride = coarse if upsample_to is None else upsample_to
        layers = doublings("SRHead", coarse, stride)
        factor = 2 ** doublings("SRHead", stride, x.length / x.n)
        self.deconv_layers = deconvolutions(inputs, layers, width)
        self.predictor = SRPredictor(
            width if layers else inputs, num_keypoints, factor, -1, (kernel,), (joint_channels,)
        )
        small_normal(self.deconv_layers)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """The map to heatmaps."""
        return self.predictor(self.deconv_layers(features[-1]))

    def official(self, key: str) -> str:
        """Own name of an entry of the published code."""
        if key.startswith("kp_encoder."):
            return f"predictor.{key}"
        return key.replace("heatmap_head.", "predictor.converge.")
