"""Backbones on timm's modules: shapes, what learns, weights by name."""

import pytest
import timm
import torch

from poserep.models import TimmFeatures
from poserep.models.weights.load import load_trunk

# Names of maps by size, and what they are: some models must know the size, Swin has channels last.
MAPS = [
    ("resnet18", [1, 2, 3, 4], (64, 128, 256, 512), (4, 8, 16, 32)),
    ("convnext_atto", [0, 1, 2, 3], (40, 80, 160, 320), (4, 8, 16, 32)),
    ("efficientnet_b0", [2], (40,), (8,)),
    ("swin_tiny_patch4_window7_224", [0, 1, 2, 3], (96, 192, 384, 768), (4, 8, 16, 32)),
    ("vit_tiny_patch16_224", [-1], (192,), (16,)),
    ("deit_tiny_distilled_patch16_224", [5], (192,), (16,)),
]


def test_finer_maps_down_to_stride_4_are_added_if_a_head_reads_them():
    for name, index, strides in (
        ("resnet18", 4, (4, 8, 16, 32)), ("resnet18", 2, (4, 8)), ("resnet18", -2, (4, 8, 16)),
        ("convnext_atto", 3, (4, 8, 16, 32)), ("vit_tiny_patch16_224", -1, (16,)),
    ):  # fmt: skip
        with torch.device("meta"):
            assert TimmFeatures(name, (index,), size=(64, 64), multiscale=True).strides == strides


@pytest.mark.parametrize(("name", "indices", "channels", "strides"), MAPS)
def test_any_timm_model_gives_maps_and_learns(name, indices, channels, strides):
    torch.manual_seed(0)
    backbone = TimmFeatures(name, indices, size=(64, 128))
    assert (backbone.channels, backbone.strides, backbone.multiple) == (channels, strides, max(strides))
    maps = backbone(torch.randn(2, 3, 64, 128))
    assert [tuple(m.shape) for m in maps] == [(2, c, 64 // s, 128 // s) for c, s in zip(channels, strides, strict=True)]
    sum(m.square().sum() for m in maps).backward()
    assert [key for key, p in backbone.named_parameters() if (p.grad is not None) != p.requires_grad] == []
    # What cannot be cut off is frozen.
    assert all(p.requires_grad for p in backbone.parameters()) == (name != "efficientnet_b0")


@pytest.mark.parametrize(
    ("name", "indices", "size"),
    [("resnet18", (2,), (64, 64)), ("convnext_atto", (3,), (64, 64)), ("vit_tiny_patch16_224", (1,), (64, 32))],
)
def test_weights_of_whole_timm_models_find_their_place(name, indices, size):
    torch.manual_seed(0)
    whole = timm.create_model(name, pretrained=False).eval()
    backbone = TimmFeatures(name, indices, size=size).eval()
    load_trunk(backbone, whole.state_dict(), "whole.pth")
    ours = {key.replace("trunk.model.", "").replace("trunk.", ""): v for key, v in backbone.state_dict().items()}
    same = {key.replace(".", "_", 1) if key not in ours else key: v for key, v in whole.state_dict().items()}
    assert [key for key in ours if key != "pos_embed" and not torch.equal(ours[key], same[key])] == []
    if "pos_embed" in ours:
        assert ours["pos_embed"].shape == (1, 1 + 4 * 2, 192)


def test_options_go_to_timm():
    with torch.device("meta"):
        kept = TimmFeatures("swin_tiny_patch4_window7_224", (3,), size=(256, 192), options={"always_partition": True})
        shrunk = TimmFeatures("swin_tiny_patch4_window7_224", (3,), size=(256, 192))
    # Windows of 7x7, as in ImageNet weights, and of 7x6.
    assert [max(p.shape[0] for n, p in net.named_parameters() if "layers_3" in n and "bias_table" in n)
            for net in (kept, shrunk)] == [13 * 13, 13 * 11]  # fmt: skip
