"""Pairs of backbone and head that the published tables use."""

from torch import nn

from poserep.codecs import Codec, Heatmap, MultiScale, SimCC, SRHeatmap
from poserep.models import AxisLinear, Deconv, Head, HRNet, PoseNet, SRHead, SRPose, TimmFeatures


def resnet(depth: int = 50) -> TimmFeatures:
    return TimmFeatures(f"resnet{depth}", (4,))


def pyramid(depth: int = 50) -> TimmFeatures:
    return TimmFeatures(f"resnet{depth}", (1, 2, 3, 4))


def build(backbone: nn.Module, head: type[Head], codec: Codec, **options) -> PoseNet:
    return PoseNet(backbone, head(backbone.channels, backbone.strides, 17, codec.x, codec.y, **options))


NETS = {
    "hrnet_w32_heatmap": lambda size: build(HRNet(32), Deconv, Heatmap(size)),
    "hrnet_w48_heatmap": lambda size: build(HRNet(48), Deconv, Heatmap(size)),
    "simplebaseline_res50_heatmap": lambda size: build(resnet(), Deconv, Heatmap(size)),
    "simplebaseline_res50_simdr": lambda size: build(resnet(), AxisLinear, SimCC(size, k=2)),
    "simplebaseline_res50_simdr_upfree": lambda size: build(
        resnet(), AxisLinear, SimCC(size, k=2), upsample_to=None, channels_per_joint=28
    ),
    "srhead_hrnet_w32": lambda size: build(HRNet(32), SRHead, SRHeatmap(size)),
    "srhead_res50": lambda size: build(resnet(), SRHead, SRHeatmap(size)),
    "srpose_hrnet_w32": lambda size: build(HRNet(32, multiscale=True), SRPose, MultiScale(size)),
    "srpose_res50": lambda size: build(pyramid(), SRPose, MultiScale(size)),
}
