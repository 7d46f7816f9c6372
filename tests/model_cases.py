"""Pairs of backbone and head that the published tables use, and official counts of them."""

from functools import partial
from typing import Any, NamedTuple

from torch import nn

from poserep.codecs import Codec, Heatmap, MultiScale, SimCC, SRHeatmap
from poserep.geometry import Size
from poserep.models import (
    AxisLinear,
    Deconv,
    Head,
    HeadSpec,
    Hourglass,
    HRFormer,
    HRNet,
    PoseNet,
    SRHead,
    SRPose,
    StackedMaps,
    TimmFeatures,
    TokenMaps,
    TokenPose,
    TransPoseH,
    TransPoseR,
)

# A ResNet of 0.4M parameters with the strides of the others.
TINY = "test_resnet"


def resnet(depth: int = 50, name: str = "") -> TimmFeatures:
    return TimmFeatures(name or f"resnet{depth}", (4,))


def pyramid(depth: int = 50, name: str = "") -> TimmFeatures:
    return TimmFeatures(name or f"resnet{depth}", (4,), multiscale=True)


def head_on(head: type[Head], codec: Codec, channels, strides, joints: int = 17, **options) -> Any:
    """A head without any backbone."""
    return head(HeadSpec(tuple(channels), tuple(strides), joints, codec.x, codec.y), **options)


def build(backbone: Any, head: type[Head], codec: Codec, joints: int = 17, **options) -> PoseNet:
    return PoseNet(backbone, head_on(head, codec, backbone.channels, backbone.strides, joints, **options))


def pair(make: Any, head: type[Head], codec: type[Codec] | partial, joints: int = 17, **options):
    """A function from a size to a network; the backbone is given the size and the joints if it takes them."""

    def of(size: str) -> PoseNet:
        kind = getattr(make, "func", make)
        taken = {"size": Size.parse(size)} if kind in (TokenPose, TransPoseR, TransPoseH) else {}
        taken |= {"num_keypoints": joints} if kind in (TokenPose, Hourglass) else {}
        return build(make(**taken), head, codec(size), joints, **options)

    return of


S = TokenPose
B = partial(TokenPose, width=32, scale_with_head=True)
L = partial(TokenPose, width=48, depths=(8, 8, 8), num_heads=12, scale_with_head=True)
L_D6 = partial(TokenPose, width=48, depths=(2, 2, 2), scale_with_head=True)
R, H = TransPoseR, TransPoseH
H_S = partial(TransPoseH, width=32, layers=4, dim=64, feedforward=128)
HRFORMER_B = partial(HRFormer, width=78, num_heads=2, drop_path=0.2)
FREE = {"upsample_to": None, "channels_per_joint": 28}

NETS = {
    "hrnet_w32_heatmap": pair(partial(HRNet, 32), Deconv, Heatmap),
    "hrnet_w48_heatmap": pair(partial(HRNet, 48), Deconv, Heatmap),
    "simplebaseline_res50_heatmap": pair(resnet, Deconv, Heatmap),
    "simplebaseline_res50_simdr": pair(resnet, AxisLinear, partial(SimCC, k=2)),
    "simplebaseline_res50_simdr_upfree": pair(resnet, AxisLinear, partial(SimCC, k=2), **FREE),
    "srhead_hrnet_w32": pair(partial(HRNet, 32), SRHead, SRHeatmap),
    "srhead_res50": pair(resnet, SRHead, SRHeatmap),
    "srpose_hrnet_w32": pair(partial(HRNet, 32, multiscale=True), SRPose, MultiScale),
    "srpose_res50": pair(pyramid, SRPose, MultiScale),
}


class Official(NamedTuple):
    """Counts on official code by its own tools; None where it was not counted.

    ``training`` are parameters with those that only training runs, ``table`` elements of the fixed table of positions,
    ``true`` multiply-accumulates, ``hrnet`` those of get_model_summary in units of 2^30, ``mmcv`` those of
    get_model_complexity_info, ``detr`` those of TransPose's own counter.
    """

    make: Any
    size: str
    params: int
    true: int
    hrnet: float | None = None
    mmcv: int | None = None
    training: int | None = None
    table: int = 0
    detr: int | None = None


maps, tokens = (partial(pair, head=head, codec=Heatmap) for head in (Deconv, TokenMaps))
OFFICIAL = {
    "res50": Official(maps(resnet), "256x192", 33_999_697, 5_426_380_800, 8.9912109375, 5_461_502_976),
    "res152": Official(
        maps(partial(resnet, 152)), "384x288", 68_635_473, 28_573_433_856, 35.470458984375, 28_728_103_680
    ),
    "res50 simcc": Official(
        NETS["simplebaseline_res50_simdr"], "256x192", 36_753_105, 5_473_173_504, 8.991452097892761, 5_508_295_680
    ),
    "res50 simcc free": Official(
        NETS["simplebaseline_res50_simdr_upfree"], "256x192", 25_688_476, 4_070_989_824, 3.7725800275802612,
        4_102_986_048,
    ),
    "hrnet_w32": Official(
        NETS["hrnet_w32_heatmap"], "256x192", 28_536_113, 7_645_003_776, 7.119964599609375, 7_703_924_736
    ),
    "hrnet_w48": Official(NETS["hrnet_w48_heatmap"], "384x288", 63_595_745, 35_306_606_592),
    "res50 sr": Official(NETS["srhead_res50"], "256x192", 34_101_204, 5_737_218_048, 9.28070068359375, 5_773_541_376),
    "hrnet_w32 srpose": Official(
        NETS["srpose_hrnet_w32"], "256x192", 29_954_629, 8_213_065_728, 7.585292816162109, 8_276_138_592, 30_272_325
    ),
    "res50 srpose": Official(
        NETS["srpose_res50"], "256x192", 24_796_869, 4_575_903_744, 4.1979217529296875, 4_611_356_256, 25_114_565
    ),
    "hourglass 4": Official(
        pair(Hourglass, StackedMaps, Heatmap), "128x96", 13_020_612, 2_878_341_120, 2.6806640625, 2_909_764_608
    ),
    "hourglass 8": Official(
        pair(partial(Hourglass, stacks=8), StackedMaps, Heatmap), "128x96", 25_598_472, 5_265_555_456
    ),
    # HRFormer's and SRPose's tables: 2.8, 12.2 and 3.34 (with what only training runs).
    "hrformer_s": Official(maps(HRFormer), "256x192", 7_746_779, 3_244_958_464, mmcv=2_803_330_560),
    "hrformer_b": Official(maps(HRFORMER_B), "256x192", 43_211_777, 13_906_995_600),
    "hrformer_s srpose": Official(
        pair(partial(HRFormer, multiscale=True), SRPose, MultiScale), "256x192", 8_540_143, 3_740_187_904,
        mmcv=3_302_263_392, training=8_857_839,
    ),
    "tokenpose_s 64": Official(
        tokens(S), "64x64", 4_871_872, 1_648_071_168, 1.3689825534820557, 1_308_720_512, table=49_152
    ),
    "tokenpose_s": Official(
        tokens(S), "256x192", 6_620_736, 2_726_097_408, 2.22586190700531, 2_403_881_088, table=49_152
    ),
    "tokenpose_s v2": Official(tokens(partial(S, patch=(2, 2))), "256x192", 6_227_520, 7_487_156_736, table=147_456),
    "tokenpose_b": Official(tokens(B), "256x192", 13_465_216, 6_276_051_456, table=49_152),
    "tokenpose_l": Official(tokens(L), "256x192", 27_482_400, 12_193_145_856, table=49_152),
    "tokenpose_l d6": Official(tokens(L_D6, joints=16), "256x256", 21_443_296, 12_890_996_736, table=49_152),
    # TransPose's code puts positions first, so that get_model_summary counts otherwise than on ours.
    "transpose_r_a3": Official(
        maps(partial(R, layers=3)), "256x192", 4_998_737, 5_413_797_888, None, 3_932_703_744, None, 196_608,
        7_956_234_252,
    ),
    "transpose_r_a4": Official(
        maps(R), "256x192", 5_788_497, 6_319_767_552, None, 4_336_143_360, None, 196_608, 8_888_549_392
    ),
    "transpose_h_s": Official(
        maps(H_S), "256x192", 7_822_673, 9_928_900_608, None, 4_941_253_632, None, 196_608, 10_202_554_384
    ),
    "transpose_h_a6": Official(
        maps(H), "256x192", 17_160_785, 21_282_324_480, None, 9_792_482_304, None, 294_912, 21_681_303_576
    ),
    "transpose_h_d192": Official(
        maps(partial(H, layers=4, dim=192, feedforward=384)), "256x192", 17_906_417, 27_190_296_576, table=589_824
    ),
}  # fmt: skip


def learns(net: nn.Module, loss) -> list[str]:
    """Names of parameters that a loss should change and does not."""
    loss.backward()
    return [name for name, p in net.named_parameters() if p.requires_grad and (p.grad is None or p.grad.isnan().any())]
