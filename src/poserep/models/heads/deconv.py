"""Heatmap head: deconvolutions to the heatmap's stride, then a 1x1 convolution."""

from collections.abc import Sequence

from torch import Tensor, nn

from poserep.models.heads.base import AxisLike, Head, deconvolutions, doublings, small_normal


class Deconv(Head):
    """SimpleBaseline's head (Xiao et al. 2018); without deconvolutions, HRNet's. Emits (B, K, y.n, x.n).

    The number of deconvolutions follows from the coarsest map and the codec's stride: 3 on stride 32, 0 on HRNet.

    Args:
        channels: Of the backbone's maps.
        strides: Of the backbone's maps.
        num_keypoints: K.
        x: The codec's horizontal axis.
        y: The codec's vertical axis.
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
        width: int = 256,
    ) -> None:
        super().__init__()
        layers = doublings(type(self).__name__, strides[-1], x.length / x.n)
        self.deconv_layers = deconvolutions(channels[-1], layers, width)
        self.final_layer = nn.Conv2d(width if layers else channels[-1], num_keypoints, 1)
        small_normal(self)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """The coarsest map to heatmaps."""
        return self.final_layer(self.deconv_layers(features[-1]))
