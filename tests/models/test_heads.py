"""Heads on made-up features: shapes, what trains, starts, and what is refused. No backbone is built."""

from functools import partial

import pytest
import torch

from model_cases import build, head_on, learns, pyramid, resnet
from poserep import codecs, models
from poserep.codecs import Heatmap, MultiScale, Regression, SimCC, SRHeatmap, UDPCombined
from poserep.errors import InputError
from poserep.models.cost import parameters
from poserep.models.heads.points import RealNVP
from reference.vectors import listed

PYRAMID = (8, 16, 24, 32), (4, 8, 16, 32)
ONE, TOKENS = ((8,), (4,)), ((192,), ())
SR = SRHeatmap("64x64")


def features(channels, strides, size: str, joints: int = 5) -> list[torch.Tensor]:
    height, width = map(int, size.split("x"))
    maps = [torch.randn(2, c, height // s, width // s) for c, s in zip(channels, strides, strict=False)]
    return maps or [torch.randn(2, joints, channels[0])]


def test_outputs_have_the_codecs_bins():
    for head, codec, given, options in (
        (models.Deconv, partial(Heatmap, stride=8), ((8,), (32,)), {}),
        *((models.AxisLinear, partial(SimCC, k=1.5), ((8,), (32,)), {"upsample_to": stride}) for stride in (None, 8)),
        (models.AxisLinear, SimCC, ONE, {"channels_per_joint": 3}),
        *((models.SRHead, partial(SRHeatmap, scale=2), ((8,), (32,)), {"upsample_to": stride}) for stride in (None, 4)),
        (models.TokenMaps, Heatmap, TOKENS, {}),
        (models.TokenAxes, SimCC, TOKENS, {}),
    ):
        codec = codec("128x96")
        made, (x, y) = head_on(head, codec, *given, 5, **options), (codec.x.n, codec.y.n)
        out = made(features(*given, "128x96"))
        assert [o.shape for o in out] == [(2, 5, x), (2, 5, y)] if codec.form == "axes" else out.shape == (2, 5, y, x)
        assert made.form == codec.form and learns(made, sum(o.square().sum() for o in out)) == []


def test_offsets_follow_their_joints_class_map():
    head = head_on(models.DeconvOffsets, UDPCombined("64x64"), (8,), (16,), 5)
    given = features((8,), (16,), "64x64")
    out = head.eval()(given)
    assert out.shape == (2, 5, 3, 16, 16) and head.form == UDPCombined.form
    flat = head.final_layer(head.deconv_layers(given[0]))
    assert all(torch.equal(out[:, 4, i], flat[:, 12 + i]) for i in range(3))
    assert learns(head.train(), head(given).square().sum()) == []


@pytest.mark.parametrize("side", [models.SRPredictor, models.InterPredictor])
def test_srpose_emits_what_its_codec_reads(side):
    given = features(*PYRAMID, "64x64")
    for supervise, mid_stride in (((1, 1, 1, 1), 8), ((0, 1, 1, 1), 4), ((0, 0, 0, 1), 1)):
        codec = MultiScale("64x64", supervise=supervise, mid_stride=mid_stride)
        head = head_on(models.SRPose, codec, *PYRAMID, supervise=supervise, mid_stride=mid_stride, side=side)
        target, weight = codec.encode(torch.full((2, 17, 2), 20.0), torch.ones(2, 17))
        out = head(given)
        assert [o.shape for o in out] == [t.shape for t in target] and len(out) == 1 + sum(supervise)
        assert head.form == codec.form and learns(head, codec.loss(out, target, weight)) == []
        assert head.eval()(given).shape == target[-1].shape
        assert head.form != MultiScale("64x64", supervise=(1, 0, 0, 1)).form


# Table 3 of SRPose (resolution of the final map), table 6 (kernels), table 5 ("Simple"): millions, with ResNet-50.
def test_srpose_has_the_parameters_of_its_ablations():
    whole = models.SRPredictor
    one, three = (partial(whole, kernels=(k,) * 4) for k in (1, 3))
    with torch.device("meta"):
        backbone = pyramid()
        for scale, main, published in (
            (0.25, whole, 24.71), (0.5, whole, 24.73), (1, whole, 24.80), (2, whole, 25.06), (1, one, 24.71),
            (1, three, 24.72), (0.25, models.SimplePredictor, 24.71),
        ):  # fmt: skip
            net = build(backbone, models.SRPose, MultiScale("256x192", scale), main=main)
            assert parameters(net) / 1e6 == pytest.approx(published, abs=0.0051)


@pytest.mark.parametrize(
    ("points", "rle", "given"), [(models.PointHead, models.RLEHead, ONE), (models.TokenPoints, models.TokenRLE, TOKENS)]
)
def test_regression_heads_start_at_the_middle_and_flows_only_train(points, rle, given):
    codec, maps = Regression("64x64"), features(*given, "64x64")
    head = head_on(rle, codec, *given, 5)
    xy, sigma, density = head(maps)
    for start in (xy, head_on(points, codec, *given, 5)(maps)):
        assert start.shape == (2, 5, 2) and start.abs().max() < 0.1
    assert sigma.shape == (2, 5, 2) and (sigma > 0).all() and (sigma < 1).all() and density is not None
    assert head.eval()(maps)[2] is None
    assert parameters(head, training=True) - parameters(head) == parameters(head.flow, training=True)


@pytest.mark.parametrize(("gaussian", "given"), [(models.GaussianHead, ONE), (models.TokenGaussian, TOKENS)])
def test_gaussian_heads_start_wide_at_the_middle_and_train(gaussian, given):
    codec = codecs.GaussianRegression("64x64")
    head = head_on(gaussian, codec, *given, 5)
    xy, factor = head(features(*given, "64x64"))
    assert xy.shape == (2, 5, 2) and xy.abs().max() < 0.1 and head.form == codec.form
    assert factor.shape == (2, 5, 3) and factor[..., 1].abs().max() < 0.1
    assert ((factor[..., ::2] > 0.5) & (factor[..., ::2] < 1)).all()
    assert learns(head, codec.loss((xy, factor), torch.full((2, 5, 2), 0.2), torch.ones(2, 5))) == []


@pytest.mark.parametrize(("rle", "given"), [(models.RLEHead, ONE), (models.TokenRLE, TOKENS)])
def test_both_axes_of_a_joint_can_share_a_scale(rle, given):
    head, own = (head_on(rle, Regression("64x64"), *given, 5, scales=scales) for scales in ("joint", "axis"))
    xy, sigma, density = head(features(*given, "64x64"))
    assert sigma.shape == xy.shape and torch.equal(sigma[..., 0], sigma[..., 1])
    assert own.fc_sigma.out_features == 2 * head.fc_sigma.out_features
    assert learns(head, codecs.RLE("64x64").loss((xy, sigma, density), torch.zeros(2, 5, 2), torch.ones(2, 5))) == []


def test_flow_is_a_density():
    torch.manual_seed(0)
    flow = RealNVP()
    for p in flow.parameters():
        torch.nn.init.normal_(p, std=0.12)
    grid = torch.linspace(-12, 12, 301)
    points = torch.stack(torch.meshgrid(grid, grid, indexing="ij"), -1)
    with torch.no_grad():
        mass = flow.log_prob(points).exp().sum() * (grid[1] - grid[0]) ** 2
    assert mass.item() == pytest.approx(1, abs=0.02)


# Table 1 of SimCC: TokenPose-S with SimCC at 2 bins per px, in millions.
def test_simcc_on_tokens_has_the_printed_parameters():
    for size, backbone, published in (
        ("64x64", 4_822_080, 4.9),
        ("128x128", 4_969_536, 5.1),
        ("256x192", 5_362_752, 5.5),
    ):
        count = backbone + parameters(head_on(models.TokenAxes, SimCC(size, k=2), *TOKENS))
        assert round(count / 1e6, 1) == published


@pytest.mark.parametrize(
    ("head", "codec"), [(models.StackedMaps, Heatmap("64x64")), (models.StackedAxes, SimCC("64x64"))]
)
def test_stacks_train_and_the_last_predicts(head, codec):
    given = [torch.randn(2, 17, 16, 16) for _ in range(3)]
    net = head_on(head, codec, (17,) * 3, (4,) * 3)
    out = net(given)
    assert type(out) is models.Stacks and len(out) == 3
    torch.testing.assert_close(out[-1], net.eval()(given), atol=0, rtol=0)
    alone = head_on(head, codec, (17,) * 3, (4,) * 3, last_only=True)
    assert not isinstance(alone(given), models.Stacks)
    if head is models.StackedAxes:
        # Classifiers of earlier stacks count in training alone.
        one = 2 * (16 * 16 + 1) * 128
        assert (parameters(net), parameters(net, training=True)) == (one, 3 * one)
        assert parameters(alone, training=True) == one


# SRPose, bottom-up table, counted on the official models: 28.54, 28.63, 34.00 and 34.11 M; HigherHRNet's own 28.65 M.
def test_bottom_up_networks_have_the_published_size_and_maps():
    plain, sr = (models.BottomUp, Heatmap("512x384")), (models.BottomUpSR, SRHeatmap("512x384"))
    higher = models.BottomUpHigher, Heatmap("512x384", stride=2)
    one, two = "heatmaps and tags", "heatmaps and tags, then finer heatmaps"
    with torch.device("meta"):
        hrnet, res50 = models.HRNet(32), resnet()
        for backbone, (head, codec), form, published in (
            (hrnet, plain, one, 28_536_674), (hrnet, sr, one, 28_626_757), (hrnet, higher, two, 28_645_331),
            (res50, plain, one, 34_004_066), (res50, sr, one, 34_105_573), (res50, higher, two, 34_227_411),
        ):  # fmt: skip
            net, (height, width) = build(backbone, head, codec), (codec.y.n, codec.x.n)
            assert parameters(net) == published and net.head.form == form
            out = net.head(features(backbone.channels, backbone.strides, "512x384"))
            if form == one:
                assert out.shape == (2, 34, height, width)
            else:
                assert [o.shape[1:] for o in out] == [(34, height // 2, width // 2), (17, height, width)]


def test_higher_heatmaps_read_the_coarse_output_and_all_of_the_head_trains():
    head = head_on(models.BottomUpHigher, Heatmap("64x64", stride=2), (8,), (4,), 5, blocks=1)
    _, fine = head(features((8,), (4,), "64x64"))
    assert learns(head, fine.square().sum()) == []
    # Heatmaps and tags, both of five joints.
    rows = head.final_layers[0].weight.grad.flatten(1)
    assert len(rows) == 10 and rows.any(1).all()


def test_tags_are_repeated_not_interpolated():
    head = head_on(models.BottomUpSR, SR, (8,), (32,)).eval()
    with torch.no_grad():
        tags = head([torch.randn(1, 8, 2, 2)])[:, 17:]
    assert torch.equal(tags, tags[..., ::4, ::4].repeat_interleave(4, -1).repeat_interleave(4, -2))


REFUSED = listed("refused_options")["heads"]


# `training/test_network` has every pair of what can be chosen.
@pytest.mark.parametrize(("head", "codec", "codec_options", "given", "options", "message"), REFUSED)
def test_bad_options_are_refused(head, codec, codec_options, given, options, message):
    codec = getattr(codecs, codec)(**{"size": "64x64", **codec_options})
    with pytest.raises(InputError, match=message):
        head_on(getattr(models, head), codec, *given, **options)


def test_predictors_that_do_not_suit_the_maps_are_refused():
    for options, message in (
        ({"main": models.SimplePredictor}, "cannot multiply it by"),
        ({"side": partial(models.SRPredictor, kernels=(3,))}, r"kernels=\[3\] has no entry for level -2"),
    ):
        with pytest.raises(InputError, match=message):
            head_on(models.SRPose, SR, (8, 8), (4, 8), supervise=(1, 1), **options)
