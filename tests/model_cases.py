"""Pairs of backbone and head that the published tables use, and official counts of them."""

from functools import partial
from typing import Any, NamedTuple

from torch import nn

from poserep import models
from poserep.codecs import Codec, Heatmap, MultiScale, SimCC, SRHeatmap
from poserep.geometry import Size
from reference.vectors import listed

# A ResNet of 0.4M parameters with the strides of the others.
TINY = "test_resnet"


def resnet(depth: int = 50, name: str = "", **options) -> models.TimmFeatures:
    return models.TimmFeatures(name or f"resnet{depth}", (4,), **options)


pyramid = partial(resnet, multiscale=True)


def head_on(head: type[models.Head], codec: Codec, channels, strides, joints: int = 17, **options) -> Any:
    """A head without any backbone."""
    return head(models.HeadSpec(tuple(channels), tuple(strides), joints, codec.x, codec.y), **options)


def build(backbone: Any, head: type[models.Head], codec: Codec, joints: int = 17, **options) -> models.PoseNet:
    return models.PoseNet(backbone, head_on(head, codec, backbone.channels, backbone.strides, joints, **options))


def pair(make: Any, head: type[models.Head], codec: type[Codec] | partial, joints: int = 17, **options):
    """A function from a size to a network; the backbone is given the size and the joints if it takes them."""

    def of(size: str) -> models.PoseNet:
        kind = getattr(make, "func", make)
        taken = {"size": Size.parse(size)} if kind in (models.TokenPose, models.TransPoseR, models.TransPoseH) else {}
        taken |= {"num_keypoints": joints} if kind in (models.TokenPose, models.Hourglass) else {}
        return build(make(**taken), head, codec(size), joints, **options)

    return of


S = models.TokenPose
B = partial(models.TokenPose, width=32, scale_with_head=True)
L = partial(models.TokenPose, width=48, depths=(8, 8, 8), num_heads=12, scale_with_head=True)
L_D6 = partial(models.TokenPose, width=48, depths=(2, 2, 2), scale_with_head=True)
R, H = models.TransPoseR, models.TransPoseH
H_S = partial(models.TransPoseH, width=32, layers=4, dim=64, feedforward=128)
FREE = {"upsample_to": None, "channels_per_joint": 28}


def rtmpose(name: str):
    """RTMPose on a CSPNeXt by timm's name."""
    return pair(partial(models.TimmFeatures, name, (4,)), models.RTMCC, partial(SimCC, k=2))


NETS = {
    "hrnet_w32_heatmap": pair(partial(models.HRNet, 32), models.Deconv, Heatmap),
    "hrnet_w48_heatmap": pair(partial(models.HRNet, 48), models.Deconv, Heatmap),
    "simplebaseline_res50_heatmap": pair(resnet, models.Deconv, Heatmap),
    "simplebaseline_res50_simdr": pair(resnet, models.AxisLinear, partial(SimCC, k=2)),
    "simplebaseline_res50_simdr_upfree": pair(resnet, models.AxisLinear, partial(SimCC, k=2), **FREE),
    "srhead_hrnet_w32": pair(partial(models.HRNet, 32), models.SRHead, SRHeatmap),
    "srhead_res50": pair(resnet, models.SRHead, SRHeatmap),
    "srpose_hrnet_w32": pair(partial(models.HRNet, 32, multiscale=True), models.SRPose, MultiScale),
    "srpose_res50": pair(pyramid, models.SRPose, MultiScale),
}


class Official(NamedTuple):
    """Counts on official code by its own tools; None where it was not counted.

    ``training`` are parameters with those that only training runs, ``table`` elements of the fixed table of positions,
    ``macs`` true multiply-accumulates, ``hrnet`` those of get_model_summary in units of 2^30, ``mmcv`` those of
    get_model_complexity_info, ``detr`` those of TransPose's own counter.
    """

    make: Any
    size: str
    params: int
    macs: int
    hrnet: float | None = None
    mmcv: int | None = None
    training: int | None = None
    table: int = 0
    detr: int | None = None


maps, tokens = (partial(pair, head=head, codec=Heatmap) for head in (models.Deconv, models.TokenMaps))
MAKERS = {
    "res50": maps(resnet),
    "res152": maps(partial(resnet, 152)),
    "res50 simcc": NETS["simplebaseline_res50_simdr"],
    "res50 simcc free": NETS["simplebaseline_res50_simdr_upfree"],
    "hrnet_w32": NETS["hrnet_w32_heatmap"],
    "hrnet_w48": NETS["hrnet_w48_heatmap"],
    "res50 sr": NETS["srhead_res50"],
    "hrnet_w32 srpose": NETS["srpose_hrnet_w32"],
    "res50 srpose": NETS["srpose_res50"],
    "hourglass 4": pair(models.Hourglass, models.StackedMaps, Heatmap),
    "hourglass 8": pair(partial(models.Hourglass, stacks=8), models.StackedMaps, Heatmap),
    "hrformer_s": maps(models.HRFormer),
    "hrformer_b": maps(partial(models.HRFormer, width=78, num_heads=2, drop_path=0.2)),
    "hrformer_s srpose": pair(partial(models.HRFormer, multiscale=True), models.SRPose, MultiScale),
    "tokenpose_s 64": tokens(S),
    "tokenpose_s": tokens(S),
    "tokenpose_s v2": tokens(partial(S, patch=(2, 2))),
    "tokenpose_b": tokens(B),
    "tokenpose_l": tokens(L),
    "tokenpose_l d6": tokens(L_D6, joints=16),
    "transpose_r_a3": maps(partial(R, layers=3)),
    "transpose_r_a4": maps(R),
    "transpose_h_s": maps(H_S),
    "transpose_h_a6": maps(H),
    "transpose_h_d192": maps(partial(H, layers=4, dim=192, feedforward=384)),
    **{f"rtmpose_{name[0]}": rtmpose(f"cspnext_{name}") for name in ("tiny", "s", "m")},
}
COUNTS = listed("official_counts")
OFFICIAL = {name: Official(make, **COUNTS[name]) for name, make in MAKERS.items()}


def learns(net: nn.Module, loss) -> list[str]:
    """Names of parameters that a loss should change and does not."""
    loss.backward()
    return [name for name, p in net.named_parameters() if p.requires_grad and (p.grad is None or p.grad.isnan().any())]
