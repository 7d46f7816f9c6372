"""Heatmap head: deconvolutions to the heatmap's stride, then a 1x1 convolution."""

from collections.abc import Sequence

from torch import Tensor, nn

from poserep.models.heads.base import AxisLike, Head, deconvolutions, doublings, only_map
from poserep.models.init import small_normal


class Deconv(Head):
    """SimpleBaseline's head (Xiao et al. 2018); without deconvolutions, HRNet's. Emits (B, K, y.n, x.n).

    The number of deconvolutions follows from the map and the codec's stride: 3 on stride 32, 0 on HRNet.

    Args:
        channels: Of the backbone's maps.
        strides: Of the backbone's maps.
        num_keypoints: K.
        x: The codec's horizontal axis.
        y: The codec's vertical axis.
        width: Channels of the deconvolutions.
        sigmoid: Squeeze the heatmaps into (0, 1), as the HUMAN4D study does.
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
        sigmoid: bool = False,
    ) -> None:
        super().__init__()
        inputs, stride = only_map("Deconv", channels, strides)
        layers = doublings("Deconv", stride, x.length / x.n)
        self.deconv_layers = deconvolutions(inputs, layers, width)
        self.final_layer = nn.Conv2d(width if layers else inputs, num_keypoints, 1)
        self.sigmoid = sigmoid
        small_normal(self)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """The map to heatmaps."""
        maps = self.final_layer(self.deconv_layers(features[-1]))
        return maps.sigmoid() if self.sigmoid else maps
