"""TokenPose and TransPose: positions, patches, starts, and what learns; outputs are in test_official.py."""

import math
from functools import partial

import pytest
import torch

from model_cases import L_D6, L, learns, pair
from poserep.codecs import Heatmap
from poserep.models import Deconv, HRNet, TimmFeatures, TokenMaps, TokenPose, TransPoseH, TransPoseR
from poserep.models.backbones import tokenpose
from poserep.models.backbones.transpose import sine_table
from poserep.models.weights.load import destinations, load_trunk


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


def test_position_table_is_the_formula():
    height, width, features = 3, 5, 8
    table = sine_table(height, width, features)
    for i in range(height * width):
        for f in range(features):
            at, n = (i // width, height) if f < features // 2 else (i % width, width)
            pair = f % (features // 2)
            angle = 2 * math.pi * (at + 1) / (n + 1e-6) / 10_000 ** (2 * (pair // 2) / (features // 2))
            assert table[i, f].item() == pytest.approx([math.sin, math.cos][pair % 2](angle), abs=1e-6)


def test_patches_have_the_published_size():
    sizes = {(64, 64): (1, 1), (128, 128): (2, 2), (256, 192): (4, 3), (384, 288): (6, 4), (256, 256): (4, 4),
             (128, 96): (2, 1), (160, 320): (2, 5), (32, 32): (1, 1)}  # fmt: skip
    assert {size: tokenpose._patch(size[0] // 4, size[1] // 4, None) for size in sizes} == sizes


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
        (partial(TimmFeatures, "resnet50", (2,)), partial(TransPoseR, (64, 64), 1)),
    ],
)
def test_imagenet_weights_fill_the_trunk(trunk, make):
    file = {f"module.{key}": torch.full_like(v, 3) for key, v in trunk().trunk.state_dict().items()}
    part = make().get_submodule(make.func.pretrained_part)
    load_trunk(part, file, "w.pth")
    assert all((value == 3).all() for value in part.state_dict().values())


# Others step in training/test_network.py.
@pytest.mark.parametrize(
    ("backbone", "head"),
    [(partial(L, width=18, depths=(1, 1, 2)), TokenMaps), (partial(TransPoseH, width=18, layers=1), Deconv)],
)
def test_every_parameter_gets_a_gradient(backbone, head):
    model = pair(backbone, head, Heatmap)("64x64")
    image = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    assert learns(model, model(image).square().sum()) == []


def test_exported_graphs_give_the_same_for_any_batch():
    model = pair(partial(TokenPose, depths=(1,), dim=32), TokenMaps, Heatmap)("64x64").eval()
    batch = torch.export.Dim("batch", min=2, max=64)
    example = torch.randint(0, 256, (3, 3, 64, 64), dtype=torch.uint8)
    graph = torch.export.export(model, (example,), dynamic_shapes=({0: batch},)).module()
    image = torch.randint(0, 256, (5, 3, 64, 64), dtype=torch.uint8)
    with torch.no_grad():
        torch.testing.assert_close(graph(image), model(image))
