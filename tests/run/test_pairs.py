"""Every backbone with every representation: those that make sense step and decode, the others say why not."""

from functools import cache

import pytest
import torch
from hydra import compose, initialize_config_dir

from poserep.build import CONF
from poserep.errors import InputError
from poserep.geometry import Size
from poserep.make import make
from poserep.models import Stacks
from poserep.nets import build_net, features_of, head_node, make_backbone
from poserep.skeleton import COCO


def choices(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


# HUMAN4D's networks and their size.
DEPTH = {"sh_4s", "hrnet_4s"}
TOKENS = {"tokenpose_s", "tokenpose_b", "tokenpose_l"}
STACKS = {"hg4", "hg8", "sh_4s"}
# What reads nothing but a feature map of the usual kind.
FROM_A_MAP = {"sr", "simcc_free"}
POOLED = {"regression", "rle"}
BOTTOM_UP = {"bottomup", "bottomup_sr"}
BACKBONES, REPRESENTATIONS = choices("backbone"), choices("representation")


def refusal(backbone: str, representation: str) -> str | None:
    """A part of the reason why a pair is refused, None if it works."""
    if representation in BOTTOM_UP:
        return "which no codec|reads one map|reads a map|emits 'heatmaps and tags'|means nothing"
    if backbone == "transpose_r_pyramid" and representation == "srpose":
        return "must have 2 entries"
    if backbone.endswith("_pyramid") or representation == "srpose":
        fits = backbone.endswith("_pyramid") and representation == "srpose"
        return None if fits else "reads one map|fuses maps|reads a map"
    if backbone in DEPTH and representation in {"ipr", "dsnt"}:
        return "squeezes"
    if backbone in TOKENS and representation in FROM_A_MAP:
        return "means nothing|reads a map, but the backbone gives keypoint tokens"
    if backbone in STACKS and representation in FROM_A_MAP | POOLED:
        return "means nothing|predicts in 4 stacks|predicts in 8 stacks"
    return None


# SRPose on two maps in place of four.
CODEC = "representation.codec"
SETTINGS = {
    "transpose_r_pyramid": [
        f"{CODEC}.supervise=[true,true]",
        f"{CODEC}.lr_stride=8",
        "+representation.head.widths=[256,128]",
    ]
}


def configure(backbone: str, representation: str, *overrides: str):
    depth = ["data=human4d", "data.root=x", "size=160x320"] if backbone in DEPTH else []
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", [f"backbone={backbone}", f"representation={representation}", *depth, *overrides])
        cfg.data.skeleton = COCO.name
        return cfg


@cache
def backbone_of(name: str):
    cfg = configure(name, "heatmap")
    channels = len(cfg.data.pixels["mean"]) if cfg.data.get("pixels") else 3
    size = Size.parse(cfg.input_size)
    backbone = make_backbone(cfg, size, COCO.num_keypoints, channels)
    with torch.no_grad():
        features = backbone.eval()(torch.randn(2, channels, *size))
    return backbone, [f.detach() for f in features]


@pytest.mark.parametrize("backbone", BACKBONES)
def test_backbones_give_what_they_say(backbone):
    built, features = backbone_of(backbone)
    size = Size.parse(configure(backbone, "heatmap").input_size)
    assert [f.shape[1:] for f in features] == [f.shape[1:] for f in features_of(built, size, COCO.num_keypoints)]


@pytest.mark.parametrize("representation", REPRESENTATIONS)
@pytest.mark.parametrize("backbone", BACKBONES)
def test_pair(backbone, representation):
    cfg = configure(backbone, representation)
    why = refusal(backbone, representation)
    if why:
        with pytest.raises(InputError, match=why):
            build_net(cfg, COCO)
        return
    built, features = backbone_of(backbone)
    size = Size.parse(cfg.input_size)
    codec = make(cfg.representation.codec, size=size, align=cfg.align)
    head = make(head_node(cfg), built.channels, built.strides, COCO.num_keypoints, codec.x, codec.y)
    assert head.form == codec.form
    xy = torch.rand(2, COCO.num_keypoints, 2) * torch.tensor([size.width - 1, size.height - 1])
    target, weight = codec.encode(xy, torch.ones(2, COCO.num_keypoints))
    # Heads on stacks have no parameters of their own.
    out = head.train()([f.clone().requires_grad_() for f in features])
    loss = sum(codec.loss(stack, target, weight) for stack in (out if isinstance(out, Stacks) else (out,)))
    loss.backward()
    assert torch.isfinite(loss)
    assert [name for name, p in head.named_parameters() if p.requires_grad and p.grad is None] == []
    with torch.no_grad():
        out = head.eval()(features)
        for readout in codec.readouts:
            points = codec.decode(codec.merge(out, out, COCO.flip_perm()), readout)
            assert points.xy.shape == (2, COCO.num_keypoints, 2) and torch.isfinite(points.xy).all()
            assert ((points.score >= 0) & (points.score <= 1)).all()


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_backbone_learns_in_every_parameter(backbone):
    representation = "srpose" if backbone.endswith("_pyramid") else "heatmap"
    cfg = configure(backbone, representation, *SETTINGS.get(backbone, []))
    net, codec = build_net(cfg, COCO)
    size = Size.parse(cfg.input_size)
    image = torch.randint(0, 256, (2, net.channels, *size), dtype=torch.uint8)
    xy = torch.rand(2, COCO.num_keypoints, 2) * torch.tensor([size.width - 1, size.height - 1])
    target, weight = codec.encode(xy, torch.ones(2, COCO.num_keypoints))
    out = net(image)
    sum(codec.loss(o, target, weight) for o in (out if isinstance(out, Stacks) else (out,))).backward()
    assert [name for name, p in net.named_parameters() if p.requires_grad and p.grad is None] == []
