"""Networks of every backbone and every representation: sensible pairs step and decode, the others say why not.

Whole networks step once per kind; heads step on made-up features of the shapes that every backbone says it gives.
"""

from copy import deepcopy
from functools import cache
from math import inf

import pytest
import torch
import yaml
from torch import nn

from poserep.codecs.base import People
from poserep.config import OmegaConf, compose
from poserep.errors import InputError
from poserep.geometry import Size
from poserep.models import Stacks
from poserep.overrides import CONF
from poserep.skeleton import COCO
from poserep.training import network
from poserep.training.network import build_network, features_of, make_backbone


def choices(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


BACKBONES, REPRESENTATIONS = choices("backbone"), choices("representation")
# HUMAN4D's networks and their size.
DEPTH = {"sh_4s", "hrnet_4s"}
TOKENS = {"tokenpose_s", "tokenpose_b", "tokenpose_l"}
STACKS = {"hg4": 4, "hg8": 8, "sh_4s": 4}
LAST_ONLY = {"sh_4s"}
MULTISCALE = {
    name for name in BACKBONES if name.startswith(("resnet", "hrformer", "efficientnet")) or name == "transpose_r"
}
MULTISCALE |= {"hrnet_w18", "hrnet_w32", "hrnet_w48", "cspnext_t", "cspnext_s", "cspnext_m", "cspnext_l"}
BOTTOM_UP = {"bottomup", "bottomup_sr", "bottomup_higher"}
# Deeper backbones, and pretrained ones, whose maps are those of another.
SAME_MAPS = {"resnet34": "resnet18", "resnet101": "resnet50", "resnet152": "resnet50"}
SAME_MAPS |= {"efficientnet_lite0_imagenet": "efficientnet_lite0"}
SAME_MAPS |= {"sapiens_03b": "vitpose_l", "sapiens_06b": "vitpose_h"}
# SRPose on two maps instead of four.
TWO_MAPS = {"transpose_r", "resnet18_s8"}
CODEC = "representation.codec"
STEPPED: set[tuple] = set()
SETTINGS = [f"{CODEC}.supervise=[true,true]", f"{CODEC}.lr_stride=8", "+representation.head.widths=[256,128]"]


def refusal(backbone: str, representation: str) -> str | None:
    """The reason why a pair is refused, None if it works."""
    if representation == "srpose":
        if backbone in MULTISCALE:
            return "must have 2 entries" if backbone in TWO_MAPS else None
        given = "gives keypoint tokens" if backbone in TOKENS else "gives strides"
        return f"fuses maps of several resolutions, but the backbone {'predicts in' if backbone in STACKS else given}"
    if representation == "simcc_free" and backbone in {*STACKS, *TOKENS}:
        return "has (Stacked|Token)Axes in place of AxisLinear, .*channels_per_joint=32 means nothing"
    if backbone in STACKS and representation in {
        "sr",
        "rtmcc",
        "rtmcc_mlecc",
        "nerpe",
        "udp_combined",
        "regression",
        "rle",
        "gaussian_regression",
        *BOTTOM_UP,
    }:
        return f"reads one map, but the backbone predicts in {STACKS[backbone]} stacks"
    if backbone in TOKENS and representation in {"sr", "rtmcc", "rtmcc_mlecc", "nerpe", "udp_combined", *BOTTOM_UP}:
        return "reads a map, but the backbone gives keypoint tokens"
    if backbone in DEPTH and representation in {"ipr", "ipr_sampled", "dsnt", "probmap"}:
        return r"squeezes its maps into \(0, 1\), which codec (Integral|SamplingArgmax|ProbMap) cannot use"
    return None


@cache
def composed(*overrides: str):
    return compose(["trainer.channels_last=false", *overrides]).cfg


def configure(backbone: str, representation: str, *overrides: str):
    """The configuration of a pair: its two groups set in one another's place, as composing each pair takes longer."""
    depth = ["data=human4d", "data.root=x", "size=160x320"] if backbone in DEPTH else []
    cfg = deepcopy(composed(*depth))
    OmegaConf.set_struct(cfg, False)
    cfg.data.skeleton = COCO.name
    # Sapiens's head of 768 channels takes half a minute.
    narrow = ["backbone.heads.Deconv.width=32"] if backbone.startswith("sapiens") else []
    cfg.backbone = composed(f"backbone={backbone}", *narrow).backbone
    cfg.representation = composed(f"representation={representation}", *overrides).representation
    return cfg


@cache
def shapes_of(name: str, size: Size, channels: int, multiscale: bool) -> nn.Module:
    """A backbone that computes nothing."""
    with torch.device("meta"):
        return make_backbone(configure(name, "heatmap"), size, COCO.num_keypoints, channels, multiscale)


@pytest.fixture
def built(monkeypatch):
    """Network and codec of a pair as `build_network` makes them, of a backbone that computes nothing, and features."""

    def build(backbone: str, representation: str, *overrides: str):
        cfg = configure(backbone, representation, *overrides)
        monkeypatch.setattr(network, "make_backbone", lambda _, size, __, *given: shapes_of(backbone, size, *given))
        # No other size can be tried on a backbone that computes nothing.
        monkeypatch.setattr(network, "_check_any_size", lambda *_: None)
        net, codec = build_network(cfg, COCO)
        size = Size.parse(cfg.input_size)
        features = [torch.randn(2, *f.shape[1:]) for f in features_of(net.backbone, size, COCO.num_keypoints)]
        return net, codec, size, features

    return build


def learn(module: nn.Module, inputs, codec, size: Size) -> None:
    """A step of training, of a network on images or of a head on features, that changes every part of it."""
    xy, *others = (label.repeat(2, *[1] * (label.ndim - 1)) for label in codec.example(COCO.num_keypoints))
    target, weight = codec.encode(torch.rand_like(xy) * torch.tensor([size.width - 1, size.height - 1]), *others)
    named = {name: p for name, p in module.named_parameters() if p.requires_grad}
    before = {name: p.detach().clone() for name, p in named.items()}
    out = module.train()(inputs)
    loss = sum(codec.loss(stack, target, weight) for stack in (out if isinstance(out, Stacks) else (out,)))
    assert torch.isfinite(loss)
    loss.backward()
    assert [name for name, p in named.items() if p.grad is None] == []
    if named:
        # No limit, so that this is only the greatest gradient.
        assert torch.isfinite(nn.utils.clip_grad_norm_(named.values(), inf, norm_type=inf))
        nn.utils.clip_grad_value_(named.values(), 1)
        torch.optim.SGD(named.values(), lr=1).step()
    changed = {name.split(".")[0] for name, p in named.items() if not torch.equal(p, before[name])}
    assert changed == {name.split(".")[0] for name in named}


def decode(net: nn.Module, codec, features) -> None:
    with torch.no_grad():
        out = net.head.eval()(features)
        assert codec.readouts
        for readout in codec.readouts:
            points = codec.decode(codec.merge(out, out, COCO.flip_perm()), readout)
            count = len(points.row) if isinstance(points, People) else 2
            assert points.xy.shape == (count, COCO.num_keypoints, 2) and torch.isfinite(points.xy).all()
            assert ((points.score >= 0) & (points.score <= 1)).all()


@pytest.mark.parametrize("backbone", sorted({*BACKBONES} - {*SAME_MAPS}))
def test_heads_step_and_decode_or_are_refused(backbone, built):
    for representation in REPRESENTATIONS:
        if why := refusal(backbone, representation):
            with pytest.raises(InputError, match=why):
                built(backbone, representation)
            continue
        net, codec, size, features = built(backbone, representation)
        # Backbones of the same maps have the same heads.
        spec = representation, type(net.head), net.backbone.channels, net.backbone.strides, size
        if spec in STEPPED:
            continue
        STEPPED.add(spec)
        decode(net, codec, features)
        given = [f.requires_grad_() for f in features]
        learn(net.head, given, codec, size)
        # As far as they are supervised.
        assert all(f.grad is not None and f.grad.any() for f in (given[-1:] if backbone in LAST_ONLY else given))


def test_a_representation_brings_its_alignment_unless_one_is_given(built):
    for representation, align in (("udp", "edge"), ("udp_combined", "edge"), ("heatmap", "centre")):
        assert compose([f"representation={representation}"]).cfg.align == align
        assert built("resnet50", representation)[1].x.align == align
    # Its coding without its geometry, if that is said.
    overrides = ["representation=udp", "align=centre", "representation.align=centre"]
    assert build_network(compose(overrides).cfg, COCO)[1].x.align == "centre"


@pytest.mark.parametrize("backbone", BACKBONES)
def test_backbones_give_what_they_say(backbone):
    cfg = configure(backbone, "heatmap")
    size, channels = Size.parse(cfg.input_size), 1 if backbone in DEPTH else 3
    for multiscale in {False, backbone in MULTISCALE}:
        net = shapes_of(backbone, size, channels, multiscale)
        features = net(torch.zeros(2, channels, *size, device="meta"))
        assert [f.shape[1:] for f in features] == [f.shape[1:] for f in features_of(net, size, COCO.num_keypoints)]
        assert (len(features) > 1) == (multiscale or backbone in STACKS)
        same = shapes_of(SAME_MAPS.get(backbone, backbone), size, channels, multiscale)
        assert (net.channels, net.strides, net.multiple) == (same.channels, same.strides, same.multiple)


# One of each kind.
KINDS = [
    ("resnet18_s8", "heatmap"), ("resnet18", "srpose"), ("hrnet_w18", "simcc"), ("hrnet_w18", "srpose"),
    ("hrformer_s", "sr"), ("vitpose_s", "heatmap"), ("tokenpose_s", "rle"), ("transpose_r", "regression"),
    ("transpose_r", "srpose"), ("transpose_h_s", "heatmap"), ("hg4", "heatmap"), ("sh_4s", "simcc"),
    ("hrnet_4s", "heatmap"),
]  # fmt: skip


def test_every_kind_of_backbone_is_tried():
    def kinds(names):
        files = (CONF / "backbone" / f"{SAME_MAPS.get(name, name)}.yaml" for name in names)
        return {yaml.safe_load(file.read_text())["_target_"] for file in files}

    assert kinds(BACKBONES) == kinds(backbone for backbone, _ in KINDS)


@pytest.mark.parametrize(("backbone", "representation"), KINDS)
def test_networks_step_and_do_not_mix_images(backbone, representation):
    settings = SETTINGS if (backbone, representation) == ("transpose_r", "srpose") else []
    cfg = configure(backbone, representation, *settings)
    if backbone in DEPTH:
        cfg.input_size = "64x64"
    torch.manual_seed(0)
    net, codec = build_network(cfg, COCO)
    size = Size.parse(cfg.input_size)
    image = torch.randint(0, 256, (4, net.channels, *size), dtype=torch.uint8)
    # Depths in metres are no bytes.
    image = image if net.channels == 3 else image / 50
    # Fresh networks with small weights in front give the same for every image unless their batch norms are used to
    # them. The stacked ones need not be: their innermost maps have too few positions for a variance.
    for norm in [] if backbone in STACKS else [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]:
        norm.momentum = 1
    with torch.no_grad():
        net.train()(image)
        # In float64, where rounding does not grow to 1e-4.
        exact, given = deepcopy(net).eval().double(), image[:2].double()
        features, alone = exact.backbone(given), [exact.backbone(given[i : i + 1]) for i in range(2)]
    for k, maps in enumerate(features):
        greatest = maps.abs().max().item()
        assert (maps[0] - maps[1]).abs().max() > 1e-2 * greatest
        torch.testing.assert_close(maps, torch.cat([one[k] for one in alone]), rtol=0, atol=1e-4 * greatest)
    learn(net, image[:2], codec, size)
