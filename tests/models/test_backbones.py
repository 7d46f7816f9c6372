"""Backbones: how they start, and options that are refused. Maps and learning are in training/test_network.py."""

from functools import partial

import pytest
import torch
from torch import nn

from poserep import models
from poserep.errors import InputError
from poserep.models import HRFormer, TimmFeatures
from poserep.models.init import small_normal
from reference.vectors import listed


@pytest.mark.parametrize("make", [partial(TimmFeatures, "resnet18", (4,)), HRFormer])
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


@pytest.mark.parametrize(("backbone", "arguments", "options", "message"), listed("refused_options")["backbones"])
def test_bad_options_are_refused(backbone, arguments, options, message):
    with pytest.raises(InputError, match=message), torch.device("meta"):
        getattr(models, backbone)(*arguments, **options)
