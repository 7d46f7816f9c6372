"""Heatmap head: deconvolutions to the heatmap's stride, then a 1x1 convolution."""

from collections.abc import Sequence

from torch import Tensor, nn

from poserep.models.heads.base import Head, HeadSpec, deconvolutions, doublings
from poserep.models.init import small_normal


class Deconv(Head):
    """SimpleBaseline's head (Xiao et al. 2018); without deconvolutions, HRNet's. Emits (B, K, y.n, x.n).

    The number of deconvolutions follows from the map and the codec's stride: 3 on stride 32, 0 on HRNet.

    Args:
        spec: See `HeadSpec`.
        width: Channels of the deconvolutions.
        sigmoid: Squeeze the heatmaps into (0, 1), as the HUMAN4D study does.
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
