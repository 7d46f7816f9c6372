"""Backbones: how they start, and options that are refused. Maps and learning are in training/test_network.py."""

from functools import partial

import pytest
import torch
from torch import nn

from poserep.errors import InputError
from poserep.models import (
    Hourglass,
    HRFormer,
    HRNet,
    MoaiHourglass,
    TimmFeatures,
    TokenPose,
    TransPoseH,
    TransPoseR,
    ViTPose,
)
from poserep.models.init import small_normal

RESNET, VIT = partial(TimmFeatures, "resnet18"), partial(TimmFeatures, "vit_tiny_patch16_224")


@pytest.mark.parametrize("make", [partial(RESNET, (4,)), HRFormer])
def test_published_initialisation(make):
    torch.manual_seed(0)
    backbone = make(init=small_normal)
    convolutions = [m for m in backbone.modules() if isinstance(m, nn.Conv2d)]
    large = [m for m in convolutions if m.weight.numel() > 5000]
    assert large and all(m.weight.std().item() == pytest.approx(0.001, rel=0.1) for m in large)
    assert all((m.bias == 0).all() for m in convolutions if m.bias is not None)
    norms = [m for m in backbone.modules() if isinstance(m, nn.BatchNorm2d)]
    assert all((m.weight == 1).all() and (m.bias == 0).all() for m in norms)
    tables = [p.flatten() for name, p in backbone.named_parameters() if name.endswith("bias_table")]
    assert not tables or torch.cat(tables).std().item() == pytest.approx(0.02, rel=0.05)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (partial(HRNet, 31), "no width 31"),
        (partial(HRNet, stages=3, multiscale=True), "3 stages have one"),
        (partial(TimmFeatures, "resnet5000", (4,)), "resnet5000"),
        (partial(RESNET, (7,)), r"must be some of its feature maps: 0 \(stride 2, 64 channels\), 1"),
        (partial(RESNET, ()), r"out_indices=\[\] must be some of its feature maps"),
        (partial(VIT, (20,)), r"11 \(stride 16, 192 channels\)"),
        (partial(VIT, (0, 1)), r"strides \[16, 16\]; name maps from fine to coarse"),
        (partial(RESNET, (4,), options={"no_such": 1}), "offers no feature maps .*no_such"),
        (partial(RESNET, (4,), options={"in_chans": 1}), "set in_chans, which follow from the rest"),
        (partial(TimmFeatures, "convit_tiny", (1,), size=(256, 192)), "convit_tiny cannot take an input of 256x192"),
        (partial(TimmFeatures, "inception_v3", (4,), size=(256, 192)), "in place of .* for an input of 256x192"),
        (partial(HRFormer, 30, 4), r"width=30 must be a multiple of num_heads=4"),
        (partial(HRFormer, drop_path=1.0), r"drop_path=1.0"),
        (partial(Hourglass, 17, stacks=0), "stacks=0"),
        (partial(Hourglass, 17, features=30), "features=30 must be a multiple of 4"),
        (partial(Hourglass, 17, size=(64, 48)), "input of 64x48 is too small: both sides must have at least 64 px"),
        (partial(MoaiHourglass, 17, size=(12, 64)), "at least 16 px"),
        (partial(TokenPose, (256, 192), 17, patch=(4, 5)), r"patch=\[4, 5\] must .* tile the stride-4 map of 64x48"),
        (partial(TokenPose, (256, 192), 17, patch=(0, 1)), r"patch=\[0, 1\] must be two numbers"),
        (partial(TokenPose, (64, 64), 17, num_heads=5), "dim=192 does not divide among num_heads=5"),
        (partial(TokenPose, (64, 64), 17, depths=()), "depths="),
        (partial(TokenPose, (64, 64), 17, dim=6, num_heads=2), "a multiple of 4 features, not 6"),
        (partial(TransPoseR, (64, 64), layers=0), "TransPoseR: layers=0"),
        (partial(TransPoseH, (64, 64), 32, num_heads=5), "TransPoseH: .* dim=96 a multiple of num_heads=5"),
        (partial(ViTPose, (64, 64), depth=0), "depth=0 must be at least 1"),
        (partial(ViTPose, (64, 64), drop_path=-0.1), "drop_path=-0.1 lie in"),
    ],
)
def test_bad_options_are_refused(make, message):
    with pytest.raises(InputError, match=message), torch.device("meta"):
        make()
