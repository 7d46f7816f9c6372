"""TokenPose and TransPose: attention by hand, positions, patches, starts, what learns, and what is refused.

Counts are in test_countings.py, official outputs in test_official.py, heads in test_heads.py.
"""

import math
from functools import partial

import pytest
import torch
from torch import nn

from model_cases import L_D6, L, learns, pair
from poserep.codecs import Heatmap
from poserep.models import Deconv, HRNet, TimmFeatures, TokenMaps, TokenPose, TransPoseH, TransPoseR
from poserep.models.backbones import tokenpose, transpose
from poserep.models.backbones.transpose import sine_table
from poserep.models.weights.load import destinations


def test_every_official_name_of_l_has_its_place():
    with torch.device("meta"):
        model = pair(L_D6, TokenMaps, Heatmap)("64x64")
    due = {
        "pre_feature.conv1.weight": "backbone.trunk.conv1.weight",
        "transformer.keypoint_token": "backbone.keypoint_token",
        "transformer.mlp_head.1.bias": "head.mlp_head.1.bias",
        "transformer.transformer1.layers.0.2.fn.norm.weight": None,
        "final_layer.weight": None,
    }
    for series in range(3):
        for layer in range(2):
            official = f"module.transformer.transformer{series + 1}.layers.{layer}"
            own = f"backbone.transformers.{series}.{layer}"
            due |= {f"{official}.0.fn.fn.to_qkv.weight": f"{own}.qkv.weight"}
            due |= {f"{official}.1.fn.fn.net.3.bias": f"{own}.fc2.bias"}
    assert destinations(model, due) == due


def by_heads(query, key, value, heads, scale):
    """(N, D) tensors to the attended (N, D), head by head."""
    parts = zip(*(t.chunk(heads, -1) for t in (query, key, value)), strict=True)
    return torch.cat([(scale * q @ k.T).softmax(-1) @ v for q, k, v in parts], -1)


@pytest.mark.parametrize(("with_head", "scale"), [(False, 12**-0.5), (True, 4**-0.5)])
def test_layer_of_tokenpose_is_what_its_paper_says(with_head, scale):
    torch.manual_seed(0)
    backbone = TokenPose((8, 8), 2, dim=12, depths=(1,), num_heads=3, scale_with_head=with_head)
    layer = backbone.transformers[0][0].double()
    for p in layer.parameters():
        nn.init.normal_(p, std=0.5)
    x = torch.randn(1, 5, 12, dtype=torch.float64)
    qkv = nn.functional.layer_norm(x, (12,), layer.norm1.weight, layer.norm1.bias)[0] @ layer.qkv.weight.T
    first = x[0] + by_heads(*qkv.chunk(3, -1), 3, scale) @ layer.out.weight.T + layer.out.bias
    inner = nn.functional.layer_norm(first, (12,), layer.norm2.weight, layer.norm2.bias)
    inner = inner @ layer.fc1.weight.T + layer.fc1.bias
    inner = inner * (1 + torch.erf(inner / math.sqrt(2))) / 2
    torch.testing.assert_close(layer(x)[0], first + inner @ layer.fc2.weight.T + layer.fc2.bias)


def test_layer_of_transpose_is_what_its_paper_says():
    torch.manual_seed(0)
    layer = transpose.PostNormLayer(8, 12, 2, 0.1).double().eval()
    for p in layer.parameters():
        nn.init.normal_(p, std=0.5)
    x, positions = torch.randn(2, 1, 5, 8, dtype=torch.float64)
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


def test_position_table_is_the_formula():
    height, width, features = 3, 5, 8
    table = sine_table(height, width, features)
    for i in range(height * width):
        for f in range(features):
            at, n = (i // width, height) if f < features // 2 else (i % width, width)
            pair = f % (features // 2)
            angle = 2 * math.pi * (at + 1) / (n + 1e-6) / 10_000 ** (2 * (pair // 2) / (features // 2))
            assert table[i, f].item() == pytest.approx([math.sin, math.cos][pair % 2](angle), abs=1e-6)


def test_patches_are_cut_row_by_row_with_channels_innermost():
    maps = torch.arange(2 * 3 * 4 * 6).reshape(2, 3, 4, 6)
    patches = tokenpose._patches(maps, (2, 3))
    assert patches.shape == (2, 4, 18)
    for b in range(2):
        for i in range(4):
            top, left = 2 * (i // 2), 3 * (i % 2)
            expected = [maps[b, c, top + y, left + x] for y in range(2) for x in range(3) for c in range(3)]
            assert patches[b, i].tolist() == expected


def test_patches_have_the_published_size():
    sizes = {(64, 64): (1, 1), (128, 128): (2, 2), (256, 192): (4, 3), (384, 288): (6, 4), (256, 256): (4, 4),
             (128, 96): (2, 1), (160, 320): (2, 5), (32, 32): (1, 1)}  # fmt: skip
    assert {size: tokenpose._patch(size[0] // 4, size[1] // 4, None) for size in sizes} == sizes


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
    narrow = TransPoseR((64, 64), layers=1)
    assert narrow.trunk.layer2[0].conv2.weight.std().item() == pytest.approx(0.001, rel=0.02)
    assert narrow.reduce.weight.std().item() > 0.01
    encoder = narrow.global_encoder.layers[0]
    bound = math.sqrt(6 / (256 + 1024))
    assert bound * 0.99 < encoder.linear1.weight.abs().max().item() <= bound
    assert not encoder.self_attn.in_proj_bias.any()


# S takes what it has of an HRNet's file, its stem and first layer.
@pytest.mark.parametrize(
    ("trunk", "make"),
    [
        (partial(HRNet, 18), partial(TokenPose, (64, 64), 17, depths=(1,))),
        (partial(HRNet, 18), partial(TokenPose, (64, 64), 17, 18, depths=(1,))),
        (partial(TimmFeatures, "resnet50", (2,)), partial(TransPoseR, (64, 64), 1)),
    ],
)
def test_imagenet_weights_fill_the_trunk(trunk, make, tmp_path):
    file = {f"module.{key}": torch.full_like(v, 3) for key, v in trunk().trunk.state_dict().items()}
    torch.save(file, tmp_path / "w.pth")
    assert all((value == 3).all() for value in make(weights=tmp_path / "w.pth").trunk.state_dict().values())


# Others step in training/test_network.py.
@pytest.mark.parametrize(
    ("backbone", "head"),
    [(partial(L, width=18, depths=(1, 1, 2)), TokenMaps), (partial(TransPoseH, width=18, layers=1), Deconv)],
)
def test_every_parameter_gets_a_gradient(backbone, head):
    model = pair(backbone, head, Heatmap)("64x64")
    image = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    assert learns(model, model(image).square().sum()) == []


@pytest.mark.parametrize(
    ("backbone", "head"),
    [
        (partial(TokenPose, depths=(2,)), TokenMaps),
        pytest.param(partial(TransPoseR, layers=1), Deconv, marks=pytest.mark.long),
    ],
)
def test_exported_graphs_give_the_same_for_any_batch(backbone, head):
    model = pair(backbone, head, Heatmap)("64x64").eval()
    batch = torch.export.Dim("batch", min=2, max=64)
    example = torch.randint(0, 256, (3, 3, 64, 64), dtype=torch.uint8)
    graph = torch.export.export(model, (example,), dynamic_shapes=({0: batch},)).module()
    image = torch.randint(0, 256, (5, 3, 64, 64), dtype=torch.uint8)
    with torch.no_grad():
        torch.testing.assert_close(graph(image), model(image))
