"""Trunks that start from files of weights: what fits, what is left out, and refusals that change nothing."""

from functools import partial

import pytest
import timm
import torch
from torch import nn

from model_cases import build, resnet
from poserep.codecs import SimCC
from poserep.errors import InputError
from poserep.models import AxisLinear, HRNet, TimmFeatures, ViTPose
from poserep.models.weights.load import load_trunk
from state_dicts import papers


def trunk() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))


@pytest.mark.parametrize("prefix", ["", "module.", "backbone.", "module.backbone.", "net.backbone.trunk."])
def test_trunks_take_files_that_hold_more(prefix):
    source, target = trunk(), trunk()
    state = {prefix + key: value for key, value in source.state_dict().items()}
    done = load_trunk(target, state | {"fc.weight": torch.zeros(3)}, "t.pth")
    assert all(torch.equal(a, b) for a, b in zip(source.parameters(), target.parameters(), strict=True))
    assert done.mapped[f"{prefix}0.weight"] == "0.weight" and len(done.mapped) == 7
    assert done.unused == {"fc.weight": "fc, another part"} and not done.missing


# `test_weights_load` has the other faults that a file may have.
@pytest.mark.parametrize("entries", [{}, {"1.weight": torch.zeros(5)}, {"1.3.weight": torch.zeros(4)}])
def test_trunks_are_never_half_loaded(entries):
    state, target = trunk().state_dict() | entries, trunk()
    before = {key: value.clone() for key, value in target.state_dict().items()}
    if not entries:
        del state["1.running_mean"]
    with pytest.raises(InputError, match=r"1\.(running_mean|weight|3)"):
        load_trunk(target, state, "t.pth")
    assert all(torch.equal(value, before[key]) for key, value in target.state_dict().items())


def test_tables_that_were_to_be_resized_are_left_as_they_were():
    net = ViTPose((64, 48), 32, 2, 4)
    state = ViTPose((64, 64), 32, 2, 4).state_dict() | {"trunk.norm.weight": torch.full((32,), float("nan"))}
    table, before = net.pos_embed, {key: value.clone() for key, value in net.state_dict().items()}
    with pytest.raises(InputError, match=r"norm\.weight"):
        load_trunk(net, state, "v.pth")
    assert net.pos_embed is table
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


def threes(make, named=nn.Module.state_dict) -> dict[str, torch.Tensor]:
    """The weights of a network, all of them 3."""
    with torch.device("meta"):
        state = named(make())
    return {key: torch.full_like(value, 3, device="cpu") for key, value in state.items()}


def test_hrnet_starts_from_a_classifier_of_timm_or_of_its_own_code():
    # The official classifier has the same parts, names and a last layer that is called as the pose head's is.
    state = threes(lambda: timm.create_model("hrnet_w18"))
    for stages in (4, 3):
        backbone = HRNet(18, multiscale=stages == 4, stages=stages)
        done = load_trunk(backbone.trunk, state, "c.pth")
        assert all((p == 3).all() for p in backbone.parameters())
        parts = {why.split(",")[0] for why in done.unused.values()}
        assert {"final_layer", "classifier", "incre_modules", "downsamp_modules"} <= parts and not done.missing
        assert ({"stage4", "transition3"} <= parts) == (stages == 3)


# `test_timm_features` has classifiers.
def test_resnet_starts_from_a_pose_model():
    backbone = TimmFeatures("resnet18", (2,))
    load_trunk(backbone, threes(lambda: build(resnet(18), AxisLinear, SimCC("64x64")), papers), "p.pth")
    assert all((p == 3).all() for p in backbone.parameters())


def test_weights_of_another_network_are_refused_by_name():
    for name, make, message in (
        ("resnet18", partial(TimmFeatures, "resnet18", (4,), in_channels=1), "3 channels, the model for depths"),
        ("resnet18", partial(TimmFeatures, "resnet34", (4,)), "looks like resnet18, the model's like resnet34"),
        ("resnet18", partial(HRNet, 18), "looks like resnet18, the model's like hrnet_w18"),
        # Its first blocks are no shallower network.
        ("resnet34", partial(TimmFeatures, "resnet18", (4,)), "parts of the trunk but fit .*looks like resnet34"),
    ):
        state, backbone = threes(partial(timm.create_model, name)), make()
        part = backbone.get_submodule(getattr(backbone, "pretrained_part", ""))
        with pytest.raises(InputError, match=rf"c\.pth: .*{message}"):
            load_trunk(part, state, "c.pth")
