"""Super-resolution head: from a low-resolution map to heatmaps at or above input resolution."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from poserep.errors import InputError
from poserep.models.heads.base import AxisLike, Head, deconvolutions, doublings, small_normal


class SRHead(Head):
    """Keypoint encoder, grouped large-kernel convolution, pixel shuffle (Wang et al. 2023, SRPose, section 3.2).

    Emits (B, K, y.n, x.n).

    Args:
        channels: Of the backbone's maps.
        strides: Of the backbone's maps.
        num_keypoints: K.
        x: The codec's horizontal axis.
        y: The codec's vertical axis.
        upsample_to: Stride reached by deconvolutions before the encoder; None takes the coarsest map as it is.
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
        if kernel % 2 == 0:
            raise InputError(f"SRHead: kernel={kernel} must be odd")
        stride = strides[-1] if upsample_to is None else upsample_to
        layers = doublings("SRHead", strides[-1], stride)
        factor = 2 ** doublings("SRHead", stride, x.length / x.n)
        hidden = num_keypoints * joint_channels
        self.deconv_layers = deconvolutions(channels[-1], layers, width)
        self.kp_encoder = nn.Sequential(nn.Conv2d(width if layers else channels[-1], hidden, 1), nn.ReLU(inplace=True))
        self.heatmap_head = nn.Conv2d(
            hidden, num_keypoints * factor**2, kernel, padding=kernel // 2, groups=num_keypoints
        )
        self.shuffle = nn.PixelShuffle(factor)
        small_normal(self.deconv_layers)
        small_normal(self.heatmap_head)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """The coarsest map to heatmaps."""
        out = self.shuffle(self.heatmap_head(self.kp_encoder(self.deconv_layers(features[-1]))))
        return out.contiguous(memory_format=torch.contiguous_format)
