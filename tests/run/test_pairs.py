"""Every backbone with every representation: the sensible pairs are built, step and decode, the others say why not."""

from copy import deepcopy
from functools import cache, lru_cache
from math import inf

import pytest
import torch
from hydra import compose, initialize_config_dir
from torch import nn

from poserep.errors import InputError
from poserep.geometry import Size
from poserep.models import Stacks
from poserep.overrides import CONF
from poserep.skeleton import COCO
from poserep.training import network
from poserep.training.network import build_network, features_of, make_backbone


def choices(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


# HUMAN4D's networks and their size.
DEPTH = {"sh_4s", "hrnet_4s"}
TOKENS = {"tokenpose_s", "tokenpose_b", "tokenpose_l"}
STACKS = {"hg4": 4, "hg8": 8, "sh_4s": 4}
LAST_ONLY = {"sh_4s"}
# What has no head for keypoint tokens, or for stacks.
FROM_A_MAP = {"sr", "bottomup", "bottomup_sr"}
POOLED = {"regression", "rle"}
BOTTOM_UP = {"bottomup", "bottomup_sr"}
BACKBONES, REPRESENTATIONS = choices("backbone"), choices("representation")

# One of each kind: trained as a whole with every representation, the others with the one they are made for.
KINDS = {
    "resnet18",
    "hrnet_w18",
    "vitpose_s",
    "tokenpose_s",
    "transpose_r",
    "hg4",
    "resnet18_pyramid",
    "transpose_r_pyramid",
}

# SRPose on two maps in place of four.
CODEC = "representation.codec"
SETTINGS = {
    "transpose_r_pyramid": [
        f"{CODEC}.supervise=[true,true]",
        f"{CODEC}.lr_stride=8",
        "+representation.head.widths=[256,128]",
    ]
}


def refusal(backbone: str, representation: str) -> str | None:
    """The reason why a pair is refused, None if it works."""
    pyramid = backbone.endswith("_pyramid")
    if representation == "srpose":
        if pyramid:
            return "must have 2 entries" if backbone in SETTINGS else None
        given = (
            "predicts in" if backbone in STACKS else "gives keypoint tokens" if backbone in TOKENS else "gives strides"
        )
        return f"fuses maps of several resolutions, but the backbone {given}"
    if pyramid:
        return f"reads one map, but the backbone gives {2 if backbone in SETTINGS else 4}, of strides"
    if representation == "simcc_free" and backbone in {*STACKS, *TOKENS}:
        return "means nothing"
    if backbone in STACKS and representation in FROM_A_MAP | POOLED:
        return f"reads one map, but the backbone predicts in {STACKS[backbone]} stacks"
    if backbone in TOKENS and representation in FROM_A_MAP:
        return "reads a map, but the backbone gives keypoint tokens"
    if representation in BOTTOM_UP:
        return "heatmaps and tags"
    if backbone in DEPTH and representation in {"ipr", "dsnt"}:
        return "squeezes its maps"
    return None


@cache
def composed(*overrides: str):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", [*overrides])


def configure(backbone: str, representation: str, *overrides: str):
    """The configuration of a pair: its two groups set in one another's place, as composing each pair takes longer."""
    depth = ["data=human4d", "data.root=x", "size=160x320"] if backbone in DEPTH else []
    cfg = deepcopy(composed(*depth))
    cfg.data.skeleton = COCO.name
    cfg.backbone = composed(f"backbone={backbone}").backbone
    cfg.representation = composed(f"representation={representation}", *overrides).representation
    return cfg


@lru_cache(maxsize=1)
def cached(name: str, size: Size, num_keypoints: int, channels: int):
    """A backbone, images and the maps or tokens that it makes of them."""
    torch.manual_seed(0)
    backbone = make_backbone(configure(name, "heatmap"), size, num_keypoints, channels)
    image = torch.randn(4, channels, *size)
    # Fresh networks with small weights in front give the same for every image unless their batch norms are used to
    # them. The stacked ones need not be: their innermost maps have too few positions for a variance.
    norms = [] if name in STACKS else [m for m in backbone.modules() if isinstance(m, nn.BatchNorm2d)]
    with torch.no_grad():
        for norm in norms:
            norm.momentum = 1
        backbone.train()(image)
        for norm in norms:
            norm.momentum = 0.1
        features = backbone.eval()(image[:2])
    return backbone, image[:2], features


@pytest.fixture(scope="module", params=BACKBONES)
def backbone(request):
    """Each in turn through all tests: only one is in memory."""
    return request.param


@pytest.fixture
def built(monkeypatch):
    """Build network and codec of a pair, with the features of two images; each backbone is built once."""

    def build(backbone: str, representation: str, *overrides: str):
        asked = []

        def instead(cfg, *given):
            asked.append(given)
            return cached(backbone, *given)[0]

        monkeypatch.setattr(network, "make_backbone", instead)
        cfg = configure(backbone, representation, *overrides)
        net, codec = build_network(cfg, COCO)
        return net, codec, Size.parse(cfg.input_size), cached(backbone, *asked[0])[2]

    return build


def targets(codec, size: Size):
    xy = torch.rand(2, COCO.num_keypoints, 2) * torch.tensor([size.width - 1, size.height - 1])
    return codec.encode(xy, torch.ones(2, COCO.num_keypoints))


def learn(module: nn.Module, inputs, codec, size: Size) -> set[str]:
    """A step of training, of a network on images or of a head on features; which of its modules it changes."""
    target, weight = targets(codec, size)
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
    return {name.split(".")[0] for name, p in named.items() if not torch.equal(p, before[name])}


def learn_whole(net: nn.Module, codec, size: Size) -> None:
    """A step on images, with a copy: the backbone serves other tests."""
    image = torch.randint(0, 256, (2, net.channels, *size), dtype=torch.uint8)
    parts = {name.split(".")[0] for name, _ in net.named_parameters()}
    # Depths in metres are no bytes.
    assert learn(deepcopy(net), image if net.channels == 3 else image / 50, codec, size) == parts


def learn_head(backbone: str, net: nn.Module, codec, size: Size, features) -> None:
    """A step on features, which get gradients themselves, as far as they are supervised."""
    given = [f.clone().requires_grad_() for f in features]
    assert bool(learn(net.head, given, codec, size)) == bool(list(net.head.parameters()))
    assert all(f.grad is not None and f.grad.any() for f in (given[-1:] if backbone in LAST_ONLY else given))


def decode(net: nn.Module, codec, features) -> None:
    with torch.no_grad():
        out = net.head.eval()(features)
        assert codec.readouts
        for readout in codec.readouts:
            points = codec.decode(codec.merge(out, out, COCO.flip_perm()), readout)
            assert points.xy.shape == (2, COCO.num_keypoints, 2) and torch.isfinite(points.xy).all()
            assert ((points.score >= 0) & (points.score <= 1)).all()


def test_backbones_give_what_they_say(backbone):
    cfg = configure(backbone, "heatmap")
    size, pixels = Size.parse(cfg.input_size), cfg.data.get("pixels")
    network, image, features = cached(backbone, size, COCO.num_keypoints, len(pixels["mean"]) if pixels else 3)
    assert [f.shape[1:] for f in features] == [f.shape[1:] for f in features_of(network, size, COCO.num_keypoints)]
    # Images do not mix, and neither do they take each other's place. In float64, where rounding does not grow to 1e-4.
    exact, image = deepcopy(network).double(), image.double()
    with torch.no_grad():
        pair, alone = exact(image), [exact(image[i : i + 1]) for i in range(2)]
    for k, maps in enumerate(pair):
        greatest = maps.abs().max().item()
        assert (maps[0] - maps[1]).abs().max() > 1e-2 * greatest
        torch.testing.assert_close(maps, torch.cat([features[k] for features in alone]), rtol=0, atol=1e-4 * greatest)


@pytest.mark.parametrize("representation", REPRESENTATIONS)
def test_pair(backbone, representation, built):
    why = refusal(backbone, representation)
    if why:
        with pytest.raises(InputError, match=why):
            built(backbone, representation)
        return
    net, codec, size, features = built(backbone, representation)
    decode(net, codec, features)
    if backbone in KINDS or representation in {"heatmap", "srpose"}:
        learn_whole(net, codec, size)
    else:
        learn_head(backbone, net, codec, size, features)


@pytest.mark.parametrize("backbone", SETTINGS)
def test_pair_with_settings(backbone, built):
    net, codec, size, features = built(backbone, "srpose", *SETTINGS[backbone])
    decode(net, codec, features)
    learn_whole(net, codec, size)
