"""Parameters by part, memory of activations, and what results record of them."""

from functools import cache

import pytest
import torch
from torch import nn
from torch.utils._pytree import tree_iter

from model_cases import TINY, build, pyramid, resnet
from poserep.codecs import Heatmap, MultiScale, SimCC
from poserep.geometry import Size
from poserep.models import AxisLinear, Deconv, PoseNet, SRPose, TokenMaps, TokenPose
from poserep.models.cost import _Alive, activations, allocated, macs, parameters, parts, summary


@cache
def srpose() -> PoseNet:
    return build(pyramid(name=TINY), SRPose, MultiScale("64x64"))


def test_parts_are_backbone_and_head_and_what_is_in_them():
    net = build(resnet(18), AxisLinear, SimCC("64x64"))
    net.backbone.trunk.conv1.requires_grad_(False)
    found = {part.path: part for part in parts(net)}
    assert list(found) == [
        "backbone",
        *(f"backbone.trunk.{name}" for name in ("conv1", "bn1", "layer1", "layer2", "layer3", "layer4")),
        "head",
        *(f"head.{name}" for name in ("deconv_layers", "final_layer", "mlp_head_x", "mlp_head_y")),
    ]
    for whole in ("backbone", "head"):
        assert found[whole].params == sum(p.params for path, p in found.items() if path.startswith(f"{whole}."))
    assert found["backbone"].frozen == found["backbone.trunk.conv1"].frozen == 64 * 3 * 49
    assert found["head.mlp_head_x"].params == 256 * 128 + 128


def test_parts_show_what_a_module_holds_itself_and_what_only_training_runs():
    found = {part.path: part for part in parts(build(TokenPose(Size(64, 64), 17), TokenMaps, Heatmap("64x64")))}
    assert found["backbone.keypoint_token"].params == 17 * 192
    assert found["backbone.pos_embedding"][1:] == (0, 0, 0, 256 * 192)
    side = {part.path: part for part in parts(srpose())}["head.side"]
    assert side.params == 0 and side.training_only > 0


def test_summary_is_whole_and_by_part():
    net = srpose()
    found = summary(net, 64, 64)
    assert found["params"] == found["params_backbone"] + found["params_head"] == parameters(net)
    assert found["params_training_only"] == parameters(net, training=True) - found["params"]
    assert found["gmacs"] == macs(net, 64, 64) / 1e9
    whole = [part for part in found["parts"] if "." not in part["path"]]
    assert sum(part["gmacs"] for part in whole) == pytest.approx(found["gmacs"])
    inner = [part for part in found["parts"] if part["path"].startswith("backbone.")]
    assert sum(part["gmacs"] for part in inner) == pytest.approx(whole[0]["gmacs"])


def small(*layers: nn.Module) -> PoseNet:
    """Layers in a row on float images of one channel, as the backbone."""
    return PoseNet(nn.Sequential(*layers), nn.Identity(), mean=[0], std=[1])  # type: ignore[arg-type]


def test_memory_of_a_pass_is_what_is_alive_at_once():
    # Input and output of the normalisation's two steps, then of each layer; a layer's input dies when the next begins.
    net = small(nn.Conv2d(1, 4, 1), nn.Conv2d(4, 2, 1), nn.Conv2d(2, 1, 1))
    byte, plane = 16 * 16, 4 * 16 * 16
    # The image stays; the second layer reads 4 maps and makes 2, while the normalised image is still held.
    assert activations(net, 1, 16, 16) == byte + plane * (1 + 4 + 2)
    assert activations(net, 3, 16, 16) == 3 * activations(net, 1, 16, 16)
    in_place = small(nn.Conv2d(1, 4, 1), nn.ReLU(inplace=True))
    assert activations(in_place, 1, 16, 16) == activations(small(nn.Conv2d(1, 4, 1)), 1, 16, 16)


@pytest.mark.parametrize("training", [False, True])
def test_memory_counted_is_memory_measured(training):
    net = srpose().train(training)
    image = torch.zeros(2, 3, 64, 64, dtype=torch.uint8)
    before = image.numel()
    with torch.set_grad_enabled(training), _Alive() as alive:
        out = net(image)
        if training:
            torch.stack([t.sum() for t in tree_iter(out)]).sum().backward()
    assert activations(net, 2, 64, 64, training=training) == alive.peak + before


def test_memory_leaves_the_network_as_it_was():
    net = srpose().eval()
    net.head.train()
    net.zero_grad()
    modes = [module.training for module in net.modules()]
    state = {key: value.clone() for key, value in net.state_dict().items()}
    assert activations(net, 4, 64, 64, training=True) > 4 * activations(net, 4, 64, 64)
    assert [module.training for module in net.modules()] == modes
    assert all(torch.equal(state[key], value) for key, value in net.state_dict().items())
    assert all(p.grad is None for p in net.parameters())
    assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_memory_on_a_gpu_is_at_least_what_is_counted():
    net = build(resnet(18), Deconv, Heatmap("128x96")).cuda().eval()
    counted = activations(net, 8, 128, 96)
    assert 0.9 * counted < allocated(net, 8, 128, 96) < 5 * counted
