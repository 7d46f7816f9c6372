"""TokenPose and TransPose: published counts and outputs, attention by hand, heads on tokens, and what is refused."""

import math
from functools import partial

import pytest
import torch
from hydra import compose, initialize_config_dir
from torch import nn

from poserep.codecs import RLE, Codec, Heatmap, Integral, Regression, SimCC, SRHeatmap
from poserep.errors import InputError
from poserep.geometry import Size
from poserep.losses import Distance
from poserep.models import (
    AxisLinear,
    Deconv,
    Head,
    HRNet,
    PointHead,
    PoseNet,
    RLEHead,
    SRHead,
    TokenAxes,
    TokenMaps,
    TokenPoints,
    TokenPose,
    TokenRLE,
    TransPoseH,
    TransPoseR,
)
from poserep.models.backbones import tokenpose, transpose
from poserep.models.backbones.positions import sine_table
from poserep.models.cost import macs, parameters
from poserep.models.weights.load import destination
from poserep.overrides import CONF
from poserep.skeleton import COCO
from poserep.training.network import build_network
from reference.official import check_parity

S = TokenPose
B = partial(TokenPose, width=32, scale_with_head=True)
L = partial(TokenPose, width=48, depths=(8, 8, 8), num_heads=12, scale_with_head=True)
L_D6 = partial(TokenPose, width=48, depths=(2, 2, 2), scale_with_head=True)
H_S = partial(TransPoseH, width=32, layers=4, dim=64, feedforward=128)


def net(backbone, codec: Codec, head: type[Head], joints: int = 17, **options) -> PoseNet:
    """Backbone and head for a codec's size."""
    size = (codec.y.length, codec.x.length)
    tokens = {"num_keypoints": joints} if getattr(backbone, "func", backbone) is TokenPose else {}
    made = backbone(size=size, **tokens)
    return PoseNet(made, head(made.channels, made.strides, joints, codec.x, codec.y, **options))


def tokens(backbone, size: str, joints: int = 17) -> PoseNet:
    return net(backbone, Heatmap(size), TokenMaps, joints)


def maps(backbone, size: str) -> PoseNet:
    return net(backbone, Heatmap(size), Deconv)


# Counted on the official models: trainable parameters, elements of the fixed table, true multiply-accumulates.
COUNTS = {
    "tokenpose_s_v1_64x64_patch11": (partial(tokens, S, "64x64"), 4_871_872, 49_152, 1_648_071_168),
    "tokenpose_s_v1_64x64_patch22": (
        partial(tokens, partial(S, patch=(2, 2)), "64x64"), 5_019_328, 12_288, 485_528_064,
    ),
    "tokenpose_s_v1_128x128_patch22": (partial(tokens, S, "128x128"), 5_167_552, 49_152, 1_939_001_856),
    "tokenpose_s_v1_128x128_patch11": (
        partial(tokens, partial(S, patch=(1, 1)), "128x128"), 5_020_096, 196_608, 9_986_560_512,
    ),
    "tokenpose_s_v1_256x192": (partial(tokens, S, "256x192"), 6_620_736, 49_152, 2_726_097_408),
    "tokenpose_s_v2_256x192": (
        partial(tokens, partial(S, patch=(2, 2)), "256x192"), 6_227_520, 147_456, 7_487_156_736,
    ),
    "tokenpose_b_256x192": (partial(tokens, B, "256x192"), 13_465_216, 49_152, 6_276_051_456),
    "tokenpose_l_d24_256x192": (partial(tokens, L, "256x192"), 27_482_400, 49_152, 12_193_145_856),
    "tokenpose_l_d24_384x288": (partial(tokens, L, "384x288"), 29_808_672, 55_296, 24_010_417_152),
    "tokenpose_l_d6_256x256": (partial(tokens, L_D6, "256x256", 16), 21_443_296, 49_152, 12_890_996_736),
    "transpose_r_a3_256x192": (
        partial(maps, partial(TransPoseR, layers=3), "256x192"), 4_998_737, 196_608, 5_413_797_888,
    ),
    "transpose_r_a4_64x64": (partial(maps, TransPoseR, "64x64"), 5_788_497, 16_384, 434_372_608),
    "transpose_r_a4_128x128": (partial(maps, TransPoseR, "128x128"), 5_788_497, 65_536, 1_838_153_728),
    "transpose_r_a4_256x192": (partial(maps, TransPoseR, "256x192"), 5_788_497, 196_608, 6_319_767_552),
    "transpose_r_a4_384x288": (partial(maps, TransPoseR, "384x288"), 5_788_497, 442_368, 17_616_863_232),
    "srhead_transpose_r_a4_256x192": (
        partial(net, TransPoseR, SRHeatmap("256x192"), SRHead), 5_890_004, 196_608, 6_630_604_800,
    ),
    "transpose_h_s_256x192": (partial(maps, H_S, "256x192"), 7_822_673, 196_608, 9_928_900_608),
    "transpose_h_a4_256x192": (
        partial(maps, partial(TransPoseH, layers=4), "256x192"), 17_011_217, 294_912, 17_205_460_992,
    ),
    "transpose_h_a5_256x192": (
        partial(maps, partial(TransPoseH, layers=5), "256x192"), 17_086_001, 294_912, 19_243_892_736,
    ),
    "transpose_h_a6_256x192": (partial(maps, TransPoseH, "256x192"), 17_160_785, 294_912, 21_282_324_480),
    "transpose_h_d64_256x192": (
        partial(maps, partial(TransPoseH, layers=4, dim=64, feedforward=128), "256x192"),
        16_843_889, 196_608, 14_279_835_648,
    ),
    "transpose_h_d192_256x192": (
        partial(maps, partial(TransPoseH, layers=4, dim=192, feedforward=384), "256x192"),
        17_906_417, 589_824, 27_190_296_576,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", COUNTS)
def test_counts_are_the_official_ones(name):
    make, params, table, products = COUNTS[name]
    with torch.device("meta"):
        model = make()
        size = Size.parse(name.replace("_patch", " ").split()[0].split("_")[-1])
        assert macs(model, *size) == products
    assert parameters(model) == params
    assert model.backbone.pos_embedding.numel() == table


PARITY = (
    "tokenpose_s_v1_64x64_patch11", "tokenpose_s_v1_128x128_patch22", "tokenpose_s_v1_256x192", "tokenpose_b_256x192",
    "transpose_r_a4_64x64", "transpose_r_a4_256x192", "transpose_h_s_256x192",
)  # fmt: skip


@pytest.mark.parametrize("name", PARITY)
def test_official_weights_give_official_outputs(name):
    check_parity(name, COUNTS[name][0]())


def test_every_official_name_of_l_has_its_place():
    with torch.device("meta"):
        model = tokens(partial(L_D6, depths=(2, 2, 2)), "64x64")
    for series in range(3):
        for layer in range(2):
            official = f"module.transformer.transformer{series + 1}.layers.{layer}"
            own = f"backbone.transformers.{series}.{layer}"
            assert destination(model, f"{official}.0.fn.fn.to_qkv.weight") == f"{own}.qkv.weight"
            assert destination(model, f"{official}.1.fn.fn.net.3.bias") == f"{own}.fc2.bias"
    assert destination(model, "pre_feature.conv1.weight") == "backbone.trunk.conv1.weight"
    assert destination(model, "transformer.keypoint_token") == "backbone.keypoint_token"
    assert destination(model, "transformer.mlp_head.1.bias") == "head.mlp_head.1.bias"
    assert destination(model, "transformer.transformer1.layers.0.2.fn.norm.weight") is None
    assert destination(model, "final_layer.weight") is None


# Table 1 of SimCC: TokenPose-S with SimCC at 2 bins per px, in millions.
@pytest.mark.parametrize(("size", "published"), [("64x64", 4.9), ("128x128", 5.1), ("256x192", 5.5)])
def test_simcc_on_tokens_has_the_printed_parameters(size, published):
    with torch.device("meta"):
        model = net(S, SimCC(size, k=2), TokenAxes)
    assert round(parameters(model) / 1e6, 1) == published
    assert math.floor((parameters(model) + 49_152) / 1e5) / 10 == published
    # Without the layer norm it would be the same.
    assert round((parameters(model) - 384) / 1e6, 1) == published


@pytest.mark.parametrize(
    ("size", "channels", "layers"),
    [("64x64", 192, 2), ("128x128", 192, 2), ("256x192", 192, 4), ("256x192", 576, 2), ("384x288", 576, 2)],
)
def test_map_head_has_the_published_layers(size, channels, layers):
    codec = Heatmap(size)
    head = TokenMaps((channels,), (), 17, codec.x, codec.y)
    assert len(head.mlp_head) == layers
    if layers == 4:
        assert head.mlp_head[1].out_features == codec.x.n * codec.y.n // 8
    assert head([torch.zeros(2, 17, channels)]).shape == (2, 17, codec.y.n, codec.x.n)
    assert len(TokenMaps((channels,), (), 17, codec.x, codec.y, hidden=0).mlp_head) == 2
    assert TokenMaps((channels,), (), 17, codec.x, codec.y, hidden=7).mlp_head[1].out_features == 7


def softmax(scores):
    top = max(scores)
    exps = [math.exp(s - top) for s in scores]
    return [e / sum(exps) for e in exps]


def attend(query, key, value, scale):
    """One head, position by position: lists of vectors."""
    found = []
    for q in query:
        weights = softmax([scale * sum(a * b for a, b in zip(q, k, strict=True)) for k in key])
        found.append([sum(w * v[i] for w, v in zip(weights, value, strict=True)) for i in range(len(value[0]))])
    return found


def by_heads(query, key, value, heads, scale):
    """(N, D) tensors to the attended (N, D)."""
    parts = [t.chunk(heads, -1) for t in (query, key, value)]
    return torch.cat([torch.tensor(attend(*(p[i].tolist() for p in parts), scale)) for i in range(heads)], -1)


@pytest.mark.parametrize(("with_head", "scale"), [(False, 12**-0.5), (True, 4**-0.5)])
def test_layer_of_tokenpose_is_what_its_paper_says(with_head, scale):
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    try:
        backbone = TokenPose((8, 8), 2, dim=12, depths=(1,), num_heads=3, scale_with_head=with_head)
        layer = backbone.transformers[0][0]
        for p in layer.parameters():
            nn.init.normal_(p, std=0.5)
        x = torch.randn(1, 5, 12)
        qkv = nn.functional.layer_norm(x, (12,), layer.norm1.weight, layer.norm1.bias)[0] @ layer.qkv.weight.T
        first = x[0] + by_heads(*qkv.chunk(3, -1), 3, scale) @ layer.out.weight.T + layer.out.bias
        inner = nn.functional.layer_norm(first, (12,), layer.norm2.weight, layer.norm2.bias)
        inner = inner @ layer.fc1.weight.T + layer.fc1.bias
        inner = inner * (1 + torch.erf(inner / math.sqrt(2))) / 2
        expected = first + inner @ layer.fc2.weight.T + layer.fc2.bias
        torch.testing.assert_close(layer(x)[0], expected)
    finally:
        torch.set_default_dtype(torch.float32)


def test_layer_of_transpose_is_what_its_paper_says():
    torch.manual_seed(0)
    layer = transpose.Layer(8, 12, 2, 0.1).double().eval()
    for p in layer.parameters():
        nn.init.normal_(p, std=0.5)
    x, positions = torch.randn(2, 1, 5, 8, dtype=torch.float64)
    torch.set_default_dtype(torch.float64)
    try:
        attention = layer.self_attn
        weights, biases = attention.in_proj_weight.chunk(3), attention.in_proj_bias.chunk(3)
        given = (x[0] + positions[0], x[0] + positions[0], x[0])
        qkv = [g @ w.T + b for g, w, b in zip(given, weights, biases, strict=True)]
        attended = by_heads(*qkv, 2, 4**-0.5) @ attention.out_proj.weight.T + attention.out_proj.bias
        first = nn.functional.layer_norm(x[0] + attended, (8,), layer.norm1.weight, layer.norm1.bias)
        inner = (first @ layer.linear1.weight.T + layer.linear1.bias).clamp(min=0)
        second = first + inner @ layer.linear2.weight.T + layer.linear2.bias
        expected = nn.functional.layer_norm(second, (8,), layer.norm2.weight, layer.norm2.bias)
        torch.testing.assert_close(layer(x, positions)[0], expected)
    finally:
        torch.set_default_dtype(torch.float32)


def test_position_table_is_the_formula():
    height, width, features = 3, 5, 8
    table = sine_table(height, width, features)
    for i in range(height * width):
        for f in range(features):
            at, n = (i // width, height) if f < features // 2 else (i % width, width)
            pair = f % (features // 2)
            angle = 2 * math.pi * (at + 1) / (n + 1e-6) / 10_000 ** (2 * (pair // 2) / (features // 2))
            assert table[i, f].item() == pytest.approx([math.sin, math.cos][pair % 2](angle), abs=1e-6)


def test_position_table_tells_rows_and_columns_apart():
    table = sine_table(4, 6, 16).unflatten(0, (4, 6))
    assert torch.equal(table[..., :8], table[:, :1, :8].expand(-1, 6, -1))
    assert torch.equal(table[..., 8:], table[:1, :, 8:].expand(4, -1, -1))
    # Transposed maps have the same table with its halves swapped.
    assert torch.equal(sine_table(6, 4, 16).unflatten(0, (6, 4)), table.transpose(0, 1).roll(8, -1))
    assert len(table.flatten(0, 1).unique(dim=0)) == 24
    # One turn a side: a mirrored column has the negative angle of its left neighbour, so its cosines.
    torch.testing.assert_close(table[:, :5, 9], table[:, :5, 9].flip(1), atol=1e-5, rtol=0)
    torch.testing.assert_close(table[:, :5, 8], -table[:, :5, 8].flip(1), atol=1e-5, rtol=0)


def test_patches_are_cut_row_by_row_with_channels_innermost():
    maps = torch.arange(2 * 3 * 4 * 6).reshape(2, 3, 4, 6)
    patches = tokenpose._patches(maps, (2, 3))
    assert patches.shape == (2, 4, 18)
    for b in range(2):
        for i in range(4):
            top, left = 2 * (i // 2), 3 * (i % 2)
            expected = [maps[b, c, top + y, left + x] for y in range(2) for x in range(3) for c in range(3)]
            assert patches[b, i].tolist() == expected


@pytest.mark.parametrize(
    ("size", "patch"),
    [((64, 64), (1, 1)), ((128, 128), (2, 2)), ((256, 192), (4, 3)), ((384, 288), (6, 4)), ((256, 256), (4, 4)),
     ((128, 96), (2, 1)), ((160, 320), (2, 5)), ((32, 32), (1, 1))],
)  # fmt: skip
def test_patches_have_the_published_size(size, patch):
    with torch.device("meta"):
        assert TokenPose(size, 17, depths=(1,)).patch == patch


def test_positions_are_added_to_patches_alone_and_not_where_a_transformer_begins():
    backbone = TokenPose((64, 64), 3, depths=(2, 1)).eval()
    seen = []
    for layers in backbone.transformers:
        for layer in layers:
            layer.register_forward_pre_hook(lambda module, args: seen.append(args[0].clone()))
            layer.register_forward_hook(lambda module, args, out: seen.append(out.clone()))
    with torch.no_grad():
        (found,) = backbone(torch.randn(2, 3, 64, 64))
    first, after_first, second, after_second, third, after_third = seen
    table = backbone.pos_embedding
    torch.testing.assert_close(first[:, :3], backbone.keypoint_token.expand(2, -1, -1))
    torch.testing.assert_close(second[:, :3], after_first[:, :3])
    torch.testing.assert_close(second[:, 3:], after_first[:, 3:] + table)
    torch.testing.assert_close(third, after_second)
    torch.testing.assert_close(found, torch.cat([after_second[:, :3], after_third[:, :3]], -1))


def test_weights_start_as_published():
    torch.manual_seed(0)
    backbone = TokenPose((64, 64), 17, depths=(1,))
    layer = backbone.transformers[0][0]
    assert layer.fc1.weight.std().item() == pytest.approx(0.02, rel=0.02) and not layer.fc1.bias.any()
    assert backbone.keypoint_token.std().item() == pytest.approx(0.02, rel=0.05)
    assert backbone.trunk.conv2.weight.std().item() == pytest.approx(0.001, rel=0.02)
    kept = TokenPose((64, 64), 17, depths=(1,), init=None)
    assert kept.trunk.conv2.weight.std().item() > 0.01
    narrow = TransPoseR((64, 64), layers=1)
    assert narrow.trunk.layer2[0].conv2.weight.std().item() == pytest.approx(0.001, rel=0.02)
    assert narrow.reduce.weight.std().item() > 0.01
    encoder = narrow.global_encoder.layers[0]
    bound = math.sqrt(6 / (256 + 1024))
    assert bound * 0.99 < encoder.linear1.weight.abs().max().item() <= bound
    assert not encoder.self_attn.in_proj_bias.any()
    reduce = TransPoseH((64, 64), 32, layers=1).reduce
    assert reduce.weight.std().item() == pytest.approx(0.001, rel=0.05)


def test_imagenet_weights_fill_the_trunk_of_transpose(tmp_path):
    torch.save(TransPoseR((64, 64), layers=1, init=None).trunk.state_dict(), tmp_path / "w.pth")
    backbone = TransPoseR((64, 64), layers=1, weights=tmp_path / "w.pth")
    assert torch.equal(backbone.trunk.conv1.weight, torch.load(tmp_path / "w.pth")["conv1.weight"])


# S takes what it has of an HRNet's file, its stem and first layer.
@pytest.mark.parametrize("width", [None, 18])
def test_imagenet_weights_fill_the_trunk(width, tmp_path):
    torch.manual_seed(0)
    state = HRNet(18).trunk.state_dict()
    file = {f"module.{key}": torch.rand_like(v) if v.is_floating_point() else v for key, v in state.items()}
    torch.save(file, tmp_path / "w.pth")
    backbone = TokenPose((64, 64), 17, width=width, depths=(1,), weights=tmp_path / "w.pth")
    for key, value in backbone.trunk.state_dict().items():
        if value.is_floating_point():
            assert torch.equal(value, file[f"module.{key}"])


SMALL = {
    "tokenpose_s": partial(TokenPose, depths=(2,)),
    "tokenpose_b": partial(B, width=18, depths=(2,)),
    "tokenpose_l": partial(L, width=18, depths=(1, 1, 2)),
    "transpose_r": partial(TransPoseR, layers=1),
    "transpose_h": partial(TransPoseH, width=18, layers=1),
}
SCHEMES = {
    "heatmap": (Heatmap("64x64"), Deconv, TokenMaps),
    "simcc": (SimCC("64x64"), AxisLinear, TokenAxes),
    "ipr": (Integral("64x64", criterion=Distance("l1")), Deconv, TokenMaps),
    "points": (Regression("64x64"), PointHead, TokenPoints),
    "rle": (RLE("64x64"), RLEHead, TokenRLE),
}


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("backbone", SMALL)
def test_every_parameter_gets_a_gradient(backbone, scheme):
    codec, on_maps, on_tokens = SCHEMES[scheme]
    model = net(SMALL[backbone], codec, on_tokens if backbone.startswith("token") else on_maps)
    target, weight = codec.encode(torch.full((2, 17, 2), 20.0), torch.ones(2, 17))
    image = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    codec.loss(model(image), target, weight).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


def test_points_on_tokens_start_at_the_middle():
    given = [torch.randn(2, 17, 12)]
    axes = Regression("64x64").x, Regression("64x64").y
    xy = TokenPoints((12,), (), 17, *axes)(given)
    assert xy.shape == (2, 17, 2) and xy.abs().max() < 0.1
    head = TokenRLE((12,), (), 17, *axes)
    xy, sigma, density = head(given)
    assert xy.shape == sigma.shape == (2, 17, 2) and (sigma > 0).all() and (sigma < 1).all() and density is not None
    assert head.eval()(given)[2] is None
    assert parameters(head, training=True) - parameters(head) == parameters(head.flow, training=True)


@pytest.mark.parametrize("backbone", ["tokenpose_s", "tokenpose_l", "transpose_r", "transpose_h"])
def test_exported_graphs_give_the_same_for_any_batch(backbone):
    head = TokenMaps if backbone.startswith("token") else Deconv
    model = net(SMALL[backbone], Heatmap("64x64"), head).eval()
    batch = torch.export.Dim("batch", min=2, max=64)
    example = torch.randint(0, 256, (3, 3, 64, 64), dtype=torch.uint8)
    graph = torch.export.export(model, (example,), dynamic_shapes=({0: batch},)).module()
    image = torch.randint(0, 256, (5, 3, 64, 64), dtype=torch.uint8)
    with torch.no_grad():
        torch.testing.assert_close(graph(image), model(image))


TOKENS, MAP = ((192,), ()), ((32,), (4,))
AXES = (Heatmap("64x64").x, Heatmap("64x64").y)


@pytest.mark.parametrize("head", [Deconv, AxisLinear, SRHead, PointHead, RLEHead])
def test_heads_on_maps_refuse_tokens(head):
    with pytest.raises(InputError, match=f"{head.__name__} reads a map, but the backbone gives keypoint tokens"):
        head(*TOKENS, 17, *AXES)


@pytest.mark.parametrize("head", [TokenMaps, TokenAxes, TokenPoints, TokenRLE])
def test_heads_on_tokens_refuse_maps(head):
    with pytest.raises(InputError, match=rf"{head.__name__} reads keypoint tokens, .* strides \[4\]"):
        head(*MAP, 17, *AXES)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (partial(TokenPose, (256, 192), 17, patch=(4, 5)), r"patch=\[4, 5\] .* does not tile .* 64x48"),
        (partial(TokenPose, (256, 192), 17, patch=(0, 1)), r"patch=\[0, 1\] must be two numbers"),
        (partial(TokenPose, (256, 192), 17, patch=(4,)), r"patch=\[4\] must be two numbers"),
        (partial(TokenPose, (64, 64), 17, num_heads=5), "dim=192 does not divide among num_heads=5"),
        (partial(TokenPose, (64, 64), 17, depths=()), "depths="),
        (partial(TokenPose, (64, 64), 17, dim=6, num_heads=2), "a multiple of 4 features, not 6"),
        (partial(TokenPose, (64, 64), 17, width=31), "no width 31"),
        (partial(TransPoseR, (64, 64), layers=0), "TransPoseR: layers=0"),
        (partial(TransPoseH, (64, 64), 32, num_heads=5), "TransPoseH: .* dim=96 a multiple of num_heads=5"),
        (partial(TokenMaps, *TOKENS, 17, *AXES, hidden=-1), "hidden=-1"),
    ],
)
def test_bad_options_are_refused(make, message):
    with pytest.raises(InputError, match=message), torch.device("meta"):
        make()


def configured(*overrides: str):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", list(overrides))


WORKS = {
    "heatmap": TokenMaps, "heatmap_unbiased": TokenMaps, "ipr": TokenMaps, "dsnt": TokenMaps, "simcc": TokenAxes,
    "simcc_equal": TokenAxes, "simcc_laplace": TokenAxes, "simcc_onehot": TokenAxes, "heatmap1d": TokenAxes,
    "regression": TokenPoints, "rle": TokenRLE,
}  # fmt: skip


@pytest.mark.parametrize("representation", WORKS)
def test_representations_find_their_head_on_tokens(representation):
    cfg = configured("backbone=tokenpose_s", "backbone.depths=[1]", f"representation={representation}")
    model, codec = build_network(cfg, COCO)
    assert type(model.head) is WORKS[representation] and model.head.form == codec.form
    with torch.no_grad():
        points = codec.decode(model.eval()(torch.zeros(1, 3, 64, 64, dtype=torch.uint8)))
    assert points.xy.shape == (1, 17, 2)


@pytest.mark.parametrize(
    ("representation", "message"),
    [
        ("sr", "SRHead reads a map, but the backbone gives keypoint tokens"),
        ("srpose", "SRPose fuses maps of several resolutions"),
        ("simcc_free", "TokenAxes in place of AxisLinear, for which representation.head.upsample_to=None"),
    ],
)
def test_representations_without_sense_on_tokens_are_refused(representation, message):
    with pytest.raises(InputError, match=message):
        build_network(
            configured("backbone=tokenpose_s", "backbone.depths=[1]", f"representation={representation}"), COCO
        )


@pytest.mark.parametrize("representation", ["heatmap", "simcc", "simcc_free", "sr", "regression", "rle"])
@pytest.mark.parametrize("backbone", ["transpose_r", "transpose_h_s"])
def test_every_head_on_a_map_works_on_transpose(backbone, representation):
    build_network(configured(f"backbone={backbone}", "backbone.layers=1", f"representation={representation}"), COCO)


@pytest.mark.parametrize(
    ("backbone", "size", "params"),
    [("tokenpose_s", "256x192", "tokenpose_s_v1_256x192"), ("tokenpose_b", "256x192", "tokenpose_b_256x192"),
     ("tokenpose_l", "384x288", "tokenpose_l_d24_384x288"), ("transpose_r", "256x192", "transpose_r_a4_256x192"),
     ("transpose_h", "256x192", "transpose_h_a6_256x192"), ("transpose_h_s", "256x192", "transpose_h_s_256x192")],
)  # fmt: skip
def test_configured_networks_are_the_published_ones(backbone, size, params):
    cfg = configured(f"backbone={backbone}", "representation=heatmap", f"size={size}")
    assert parameters(build_network(cfg, COCO)[0]) == COUNTS[params][1]


def test_size_that_branches_cannot_halve_is_refused():
    cfg = configured("backbone=tokenpose_b", "backbone.depths=[1]", "input_size=72x72")
    with pytest.raises(InputError, match="multiple of 16"):
        build_network(cfg, COCO)
