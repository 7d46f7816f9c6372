"""Networks: the official parameter counts and outputs, shapes, costs, and that every parameter learns."""

import zlib
from functools import partial

import pytest
import torch

from model_cases import NETS, build, pyramid, resnet
from poserep.codecs import RLE, Heatmap, MultiScale, Regression, SimCC, SRHeatmap
from poserep.errors import InputError
from poserep.geometry import Size
from poserep.models import (
    AxisLinear,
    Deconv,
    HRNet,
    InterPredictor,
    PointHead,
    RLEHead,
    SimplePredictor,
    SRHead,
    SRPose,
    SRPredictor,
    TimmFeatures,
)
from poserep.models.cost import macs, parameters
from poserep.models.heads.points import RealNVP
from poserep.models.weights.load import load_official
from reference.vectors import tensors
from reference.weights import image, named_state, official_keys

# Counted on the official models at 256x192 (rows of their names).
PARAMETERS = {
    "hrnet_w32_heatmap": 28_536_113,
    "hrnet_w48_heatmap": 63_595_745,
    "simplebaseline_res50_heatmap": 33_999_697,
    "simplebaseline_res50_simdr": 36_753_105,
    "simplebaseline_res50_simdr_upfree": 25_688_476,
    "srhead_hrnet_w32": 28_626_196,
    "srhead_res50": 34_101_204,
    "srpose_hrnet_w32": 29_954_629,
    "srpose_res50": 24_796_869,
}
# What is trained beside it: SRPose's first three predictors.
TRAINED = {"srpose_hrnet_w32": 30_272_325, "srpose_res50": 25_114_565}
AXES = (SRHeatmap("64x64").x, SRHeatmap("64x64").y)
# Those of which copies lie here; test_official.py has all.
PARITY = ["hrnet_w32_heatmap", "simplebaseline_res50_heatmap"]


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameter_count_is_the_official_one(name):
    with torch.device("meta"):
        net = NETS[name]("256x192")
    assert parameters(net) == PARAMETERS[name]
    assert parameters(net, training=True) == TRAINED.get(name, PARAMETERS[name])


@pytest.mark.parametrize("name", PARITY)
def test_official_weights_give_official_outputs(name):
    v = tensors(f"parity_{name}_64x64")
    net = NETS[name]("64x64").eval()
    keys = official_keys(net)
    assert zlib.crc32("\n".join(sorted(keys)).encode()) == v["keys_crc"], "entries differ from the official model's"
    load_official(net, named_state(keys, float(v["conv_gain"])), name)
    with torch.no_grad():
        out = net.head(net.backbone(image(64, 64)))
    assert list(out.shape[1:]) == v["out0_shape"].tolist()
    out, theirs = out.flatten()[:: int(v["out0_stride"])], v["out0"]
    # Convolutions of float32 in another order: 4e-6 of the greatest value between float32 and float64.
    torch.testing.assert_close(out, theirs, atol=1e-4 * theirs.abs().max().item(), rtol=0)


def features(backbone, size: Size) -> list[torch.Tensor]:
    shapes = zip(backbone.channels, backbone.strides, strict=True)
    return [torch.zeros(1, c, size.height // s, size.width // s) for c, s in shapes]


@pytest.mark.parametrize(("size", "stride"), [("64x64", 4), ("128x96", 4), ("256x192", 8)])
def test_deconvolutions_reach_the_codecs_stride(size, stride):
    codec, backbone = Heatmap(size, stride=stride), resnet(18)
    head = Deconv(backbone.channels, backbone.strides, 5, codec.x, codec.y)
    assert head(features(backbone, Size.parse(size))).shape == (1, 5, codec.y.n, codec.x.n)


@pytest.mark.parametrize("k", [1, 1.5, 2, 3])
@pytest.mark.parametrize("upsample_to", [None, 8, 4])
def test_axis_heads_emit_the_codecs_bins(k, upsample_to):
    codec, backbone = SimCC("128x96", k=k), resnet(18)
    head = AxisLinear(backbone.channels, backbone.strides, 5, codec.x, codec.y, upsample_to=upsample_to)
    x, y = head(features(backbone, Size(128, 96)))
    assert x.shape == (1, 5, codec.x.n) and y.shape == (1, 5, codec.y.n)


@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize("upsample_to", [None, 4])
def test_super_resolution_heads_emit_the_codecs_bins(scale, upsample_to):
    codec, backbone = SRHeatmap("64x64", scale=scale), resnet(18)
    head = SRHead(backbone.channels, backbone.strides, 5, codec.x, codec.y, upsample_to=upsample_to)
    assert head(features(backbone, Size(64, 64))).shape == (1, 5, 64 * scale, 64 * scale)


def srpose(codec: MultiScale, **options) -> SRPose:
    backbone = pyramid()
    return SRPose(backbone.channels, backbone.strides, 17, codec.x, codec.y, **options)


# Table 3 of SRPose (resolution of the final map), table 6 (kernels), table 5 ("Simple"): millions, with ResNet-50.
@pytest.mark.parametrize(
    ("scale", "options", "published"),
    [
        (0.25, {}, 24.71),
        (0.5, {}, 24.73),
        (1, {}, 24.80),
        (2, {}, 25.06),
        (1, {"main": partial(SRPredictor, kernels=(1, 1, 1, 1))}, 24.71),
        (1, {"main": partial(SRPredictor, kernels=(3, 3, 3, 3))}, 24.72),
        (0.25, {"main": SimplePredictor}, 24.71),
    ],
)
def test_srpose_has_the_parameters_of_its_ablations(scale, options, published):
    with torch.device("meta"):
        total = parameters(pyramid()) + parameters(srpose(MultiScale("256x192", scale), **options))
    assert total / 1e6 == pytest.approx(published, abs=0.0051)


@pytest.mark.parametrize("supervise", [(1, 1, 1, 1), (0, 1, 1, 1), (0, 0, 0, 1)])
@pytest.mark.parametrize("mid_stride", [8, 4, 1])
@pytest.mark.parametrize("side", [SRPredictor, InterPredictor])
def test_srpose_emits_what_its_codec_reads(supervise, mid_stride, side):
    codec = MultiScale("64x64", supervise=supervise, mid_stride=mid_stride)
    head = srpose(codec, supervise=supervise, mid_stride=mid_stride, side=side)
    assert head.form == codec.form
    target, weight = codec.encode(torch.full((2, 17, 2), 20.0), torch.ones(2, 17))
    given = [torch.randn(2, c, 64 // s, 64 // s) for c, s in zip(pyramid().channels, pyramid().strides, strict=True)]
    out = head.train()(given)
    assert [o.shape for o in out] == [t.shape for t in target] and len(out) == 1 + sum(supervise)
    codec.loss(out, target, weight).backward()
    assert all(p.grad is not None for p in head.parameters())
    final = head.eval()(given)
    assert final.shape == target[-1].shape and codec.decode(final).xy.shape == (2, 17, 2)


def test_srpose_and_a_codec_of_other_levels_differ_in_form():
    assert srpose(MultiScale("64x64")).form != MultiScale("64x64", supervise=(0, 1, 1, 1)).form


def test_regression_heads_start_at_the_middle_and_flows_only_train():
    given = [torch.randn(2, 8, 4, 4)]
    assert PointHead((8,), (4,), 5, *AXES)(given).shape == (2, 5, 2)
    head = RLEHead((8,), (4,), 5, *AXES)
    xy, sigma, density = head(given)
    assert xy.abs().max() < 0.1 and (sigma > 0).all() and (sigma < 1).all() and density is not None
    assert head.eval()(given)[2] is None
    assert parameters(head, training=True) - parameters(head) == parameters(head.flow, training=True)


def test_flow_is_a_density():
    torch.manual_seed(0)
    flow = RealNVP()
    for p in flow.parameters():
        torch.nn.init.normal_(p, std=0.12)
    grid = torch.linspace(-12, 12, 601)
    points = torch.stack(torch.meshgrid(grid, grid, indexing="ij"), -1)
    with torch.no_grad():
        mass = flow.log_prob(points).exp().sum() * (grid[1] - grid[0]) ** 2
    assert mass.item() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize(
    ("head", "codec", "options"),
    [
        (Deconv, Heatmap("96x96", stride=3), {}),
        (Deconv, Heatmap("128x128", stride=64), {}),
        (AxisLinear, SimCC("64x64"), {"upsample_to": 64}),
        (SRHead, Heatmap("96x96", stride=3), {}),
    ],
)
def test_impossible_strides_are_refused_by_name(head, codec, options):
    with pytest.raises(InputError, match=f"{head.__name__}: cannot get from the backbone's stride"):
        head((512,), (32,), 5, codec.x, codec.y, **options)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: HRNet(31), "no width 31"),
        (lambda: TimmFeatures("resnet5000", (4,)), "resnet5000"),
        (lambda: AxisLinear((8,), (4,), 5, *AXES, channels_per_joint=0), "channels_per_joint"),
        (lambda: SRHead((8,), (4,), 5, *AXES, kernel=8), r"kernels=\[8\] must be odd"),
        (lambda: SRPose((8,), (4,), 5, *AXES), "fuses maps of several resolutions"),
        (lambda: SRPose((8, 8), (4, 8), 5, *AXES), "must have 2 entries"),
        (lambda: SRPose((8, 8), (4, 8), 5, *AXES, supervise=(True, False)), "last entry of supervise"),
        (lambda: SRPose((8, 8), (4, 8), 5, *AXES, supervise=(1, 1), main=SimplePredictor), "cannot multiply it by"),
        (lambda: SRPredictor(8, 5, 2, -3, kernels=(3, 5)), "says nothing about level -3"),
    ],
)
def test_bad_options_are_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_multiscale_hrnet_has_four_maps_and_the_published_size():
    with torch.device("meta"):
        backbone = HRNet(32, multiscale=True)
        maps = backbone(torch.zeros(1, 3, 64, 64))
    assert parameters(backbone) == 29_305_536  # mmpose 0.x, stage 4 with all outputs
    assert [m.shape[1:] for m in maps] == [(32, 16, 16), (64, 8, 8), (128, 4, 4), (256, 2, 2)]
    assert backbone.channels == (32, 64, 128, 256) and backbone.strides == (4, 8, 16, 32)


CODECS = {
    "map": (Deconv, Heatmap("64x64")),
    "axes": (AxisLinear, SimCC("64x64")),
    "sr": (SRHead, SRHeatmap("64x64")),
    "points": (PointHead, Regression("64x64")),
    "rle": (RLEHead, RLE("64x64")),
    "srpose": (SRPose, MultiScale("64x64")),
}
BACKBONES = {
    "hrnet_w18": lambda: HRNet(18),
    "hrnet_w32": lambda: HRNet(32),
    "resnet50": resnet,
    "hrnet_w18_pyramid": lambda: HRNet(18, multiscale=True),
    "resnet50_pyramid": pyramid,
}
# Maps that a head does not read are parameters without gradient, which distributed training refuses.
PAIRS = [(b, h) for b in BACKBONES for h in CODECS if b.endswith("pyramid") == (h == "srpose")]


@pytest.mark.parametrize(("backbone", "head"), PAIRS)
def test_every_parameter_gets_a_gradient(backbone, head):
    kind, codec = CODECS[head]
    net = build(BACKBONES[backbone](), kind, codec)
    image = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    target, weight = codec.encode(torch.full((2, 17, 2), 20.0), torch.ones(2, 17))
    codec.loss(net(image), target, weight).backward()
    assert [name for name, p in net.named_parameters() if p.grad is None] == []


def test_normalisation_is_imagenets_on_values_from_zero_to_one():
    net = build(resnet(18), Deconv, Heatmap("64x64"))
    image = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    seen = []
    net.backbone.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    net(image)
    mean, std = (torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    torch.testing.assert_close(seen[0], (image / 255 - mean) / std, atol=1e-5, rtol=0)


def test_multiply_accumulates_are_those_of_the_paper():
    net = NETS["simplebaseline_res50_heatmap"]("256x192")
    # fvcore counts 5.43e9 on the official model; training mode must survive the count.
    assert macs(net, 256, 192) == pytest.approx(5.426e9, rel=0.01)
    assert net.training
