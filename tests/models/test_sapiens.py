"""Sapiens: counts, names, and outputs against its forward pass written plainly; refusals.

No file of Sapiens and no mmpretrain were at hand. What the pass does was read in facebookresearch/sapiens
(pretrain/mmpretrain/models/backbones/vision_transformer.py, pose/mmpose/models/heads/heatmap_heads/heatmap_head.py).
"""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from model_cases import build
from poserep.codecs import Heatmap
from poserep.config import compose, make
from poserep.errors import InputError
from poserep.geometry import Size
from poserep.models import Deconv, HeadSpec, PoseNet, ViTPose
from poserep.models.cost import parameters
from poserep.models.weights.load import load_official, load_trunk
from poserep.models.weights.recognise import look
from poserep.models.weights.transfer import PerJoint, transfer
from poserep.training.network import head_node, make_backbone
from state_dicts import sapiens

WIDTH, BLOCKS, HEADS, NARROW = 32, 2, 4, 24
HEAD = {"width": NARROW, "convolutions": 2, "instance_norm": True}


def network(size: tuple[int, int] = (64, 48), joints: int = 17, head: dict | None = None) -> PoseNet:
    backbone = ViTPose(size, WIDTH, BLOCKS, HEADS, class_entry=False)
    return build(backbone, Deconv, Heatmap("x".join(map(str, size))), joints, **(HEAD if head is None else head)).eval()


def given(**options) -> dict[str, Tensor]:
    """A file's tensors, at random."""
    random = torch.Generator().manual_seed(0)
    return {
        key: torch.randn(value.shape, generator=random) / max(1, value[0].numel()) ** 0.5 + ("ln" in key)
        for key, value in sapiens(network(**options)).items()
    }


# Billions of parameters that the models' cards print, which are those of pretraining at 1024x1024: with a class token,
# and a decoder of 8 blocks of width 512 that gives 16x16x3 values of each patch. Ours: at 1024x768, of 17 joints.
COUNTS = {
    "sapiens_03b": (1024, 0.336, 329_458_961),
    "sapiens_06b": (1280, 0.664, 660_957_201),
    "sapiens_1b": (1536, 1.169, 1_168_669_457),
    "sapiens_2b": (1920, 2.163, 2_166_167_441),
}


def layers(width: int, n: int) -> int:
    """Parameters of blocks with four times as many features within, and of the norm behind them."""
    return n * (12 * width**2 + 13 * width) + 2 * width


@pytest.mark.parametrize("name", COUNTS)
def test_counts_are_the_published_ones(name):
    width, published, whole = COUNTS[name]
    cfg = compose([f"backbone={name}", "representation=udp", "size=1024x768"]).cfg
    codec = cfg.representation.codec
    assert (cfg.align, codec.sigma, codec.readouts.udp.kernel) == ("edge", 6, 11)
    maps = Heatmap(cfg.input_size)
    assert (maps.y.n, maps.x.n) == (256, 192)
    with torch.device("meta"):
        trunk, ours = (make_backbone(cfg, Size.parse(size), 17, 3, False) for size in ("1024x1024", "1024x768"))
        net = PoseNet(ours, make(head_node(cfg), HeadSpec(ours.channels, ours.strides, 17, maps.x, maps.y)))
    decoder = (width + 1) * 512 + 512 + layers(512, 8) + (64 * 64 + 1) * 512 + 513 * 16 * 16 * 3
    assert round((parameters(trunk) + 2 * width + decoder) / 1e9, 3) == published
    assert parameters(net.head) == (width + 768) * 768 * 16 + 2 * (768 + 1) * 768 + (768 + 1) * 17
    assert parameters(net) == whole


def plainly(state: dict[str, Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """The map (B, width, rows, columns) and the heatmaps of normalised images, by Sapiens's names."""

    def linear(x: Tensor, name: str) -> Tensor:
        return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]

    def layer_norm(x: Tensor, name: str) -> Tensor:
        centred = x - x.mean(-1, keepdim=True)
        scaled = centred / (centred.square().mean(-1, keepdim=True) + 1e-6).sqrt()
        return scaled * state[f"{name}.weight"] + state[f"{name}.bias"]

    def instance_norm_silu(x: Tensor) -> Tensor:
        centred = x - x.mean((2, 3), keepdim=True)
        scaled = centred / (centred.square().mean((2, 3), keepdim=True) + 1e-5).sqrt()
        return scaled * torch.sigmoid(scaled)

    patches = "backbone.patch_embed.projection"
    x = F.conv2d(x, state[f"{patches}.weight"], state[f"{patches}.bias"], stride=16, padding=2)
    rows, columns = x.shape[2:]
    x = x.flatten(2).mT + state["backbone.pos_embed"]
    for i in range(BLOCKS):
        block = f"backbone.layers.{i}"
        # Queries, keys and values of all heads follow each other.
        three = linear(layer_norm(x, f"{block}.ln1"), f"{block}.attn.qkv").unflatten(-1, (3, HEADS, -1))
        q, k, v = three.unbind(2)
        weight = (torch.einsum("bqhc,bkhc->bhqk", q, k) / q.shape[-1] ** 0.5).softmax(-1)
        x = x + linear(torch.einsum("bhqk,bkhc->bqhc", weight, v).flatten(2), f"{block}.attn.proj")
        y = linear(layer_norm(x, f"{block}.ln2"), f"{block}.ffn.layers.0.0")
        x = x + linear(y * (1 + torch.erf(y / 2**0.5)) / 2, f"{block}.ffn.layers.1")
    features = layer_norm(x, "backbone.ln1").mT.unflatten(2, (rows, columns))
    x = features
    for i in (0, 3):
        x = instance_norm_silu(F.conv_transpose2d(x, state[f"head.deconv_layers.{i}.weight"], stride=2, padding=1))
    for i in (0, 3):
        x = instance_norm_silu(one_by_one(x, state, f"head.conv_layers.{i}"))
    return features, one_by_one(x, state, "head.final_layer")


def one_by_one(x: Tensor, state: dict[str, Tensor], name: str) -> Tensor:
    weight = state[f"{name}.weight"][:, :, 0, 0]
    return torch.einsum("oc,bchw->bohw", weight, x) + state[f"{name}.bias"][:, None, None]


@pytest.mark.parametrize("size", [(64, 48), (32, 64)])
def test_imported_networks_give_the_outputs_of_the_plain_pass(size):
    state, net = given(size=size), network(size)
    done = load_official(net, state, "sapiens.pth")
    assert set(done.mapped) == set(state) and not done.unused and not done.missing
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        features = net.backbone(x)
        ours = features[0], net.head(features)
        # Norms are of the image in hand, in training too.
        assert torch.equal(net.train().head(features), ours[1])
    for mine, due in zip(ours, plainly(state, x), strict=True):
        assert due.std() > 0.1
        torch.testing.assert_close(mine, due, atol=1e-5, rtol=0)


def test_every_part_of_the_head_learns():
    net = network().train()
    net.head(net.backbone(torch.randn(2, 3, 64, 48))).square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().any() for p in net.head.final_layer.parameters())
    assert [name for name, p in net.named_parameters() if p.grad is None] == []


def shapes(width: int, *names: str) -> dict[str, Tensor]:
    """A file's entries as far as they are looked at."""
    state = {"backbone.pos_embed": torch.empty(1, 4, width), "backbone.patch_embed.projection.bias": torch.empty(width)}
    return state | {name: torch.empty(17, 1) for name in names}


def test_files_are_recognised():
    pose = ("head.deconv_layers.0.weight", "head.conv_layers.0.weight", "head.final_layer.weight")
    for name, (width, *_) in COUNTS.items():
        assert str(look(shapes(width, *pose))) == f"{name}, heatmap, 17 joints"
    assert look(given()).layout == "mmpose 1.x" and look(given()).backbone == "sapiens"
    for width, name in ((1024, "vitpose_l"), (1280, "vitpose_h")):
        assert str(look(shapes(width, pose[0], pose[2]))) == f"{name}, heatmap, 17 joints"
        # The same trunks.
        assert look(shapes(width)).backbone == name
    assert look(shapes(1536)).backbone == "sapiens_1b" and look(shapes(1920)).backbone == "sapiens_2b"


def test_trunks_take_pretraining_and_pose_files():
    source = {key: value for key, value in given(size=(64, 64)).items() if key.startswith("backbone.")}
    table = torch.randn(1, 1 + 8 * 8, WIDTH)
    more = {"backbone.pos_embed": table, "backbone.cls_token": torch.zeros(1, 1, WIDTH)}
    more["neck.mask_token"] = torch.zeros(1, 1, 8)
    bare = {key.removeprefix("backbone."): value for key, value in (source | more).items() if "neck" not in key}
    for state in (source | more, bare):
        trunk = network((128, 96)).backbone
        load_trunk(trunk, state, "sapiens_0.3b_epoch_1600_clean.pth")
        grid = table[:, 1:].mT.unflatten(2, (8, 8))
        due = F.interpolate(grid, size=(8, 6), mode="bicubic", align_corners=False)
        torch.testing.assert_close(trunk.pos_embed.detach(), due.flatten(2).mT, atol=1e-5, rtol=0)
    load_trunk(trunk, given(size=(128, 96)), "sapiens_0.3b_coco.pth")
    with pytest.raises(InputError, match=r"pos_embed has shape \(1, 12, 32\).*change size") as refusal:
        load_trunk(trunk, given(), "sapiens_0.3b_coco.pth")
    assert "looks like" not in str(refusal.value)


def test_files_of_other_networks_say_what_they_look_like():
    with pytest.raises(InputError, match=r"fit nowhere .*its backbone looks like sapiens, the model's like vitpose"):
        load_official(network(head={}), given(), "sapiens.pth")
    with pytest.raises(InputError, match=r"its backbone looks like vitpose, the model's like sapiens"):
        load_official(network(), sapiens(network(head={})), "vitpose.pth")
    with pytest.raises(InputError, match=r"its last layer is for 133 joints, the model's for 17"):
        load_official(network(), given(joints=133), "sapiens_wholebody.pth")
    # What fits is taken by init.
    done = transfer(network(), given(joints=133), "sapiens_wholebody.pth", PerJoint(17, {"head.final_layer.weight"}))
    assert sorted(done.missing) == ["head.final_layer.bias", "head.final_layer.weight"]


# By Meta's names (facebookresearch/sapiens2, sapiens/backbones/sapiens2.py) and by those of Transformers.
SUCCESSORS = {
    "Meta": ("backbone.storage_tokens", "backbone.blocks.0.attn.q_norm.weight", "decode_head.conv_layers.0.weight"),
    "Transformers": ("embeddings.register_tokens", "layer.0.attention.q_norm.weight", "head.predictor.weight"),
}


@pytest.mark.parametrize("names", SUCCESSORS.values(), ids=SUCCESSORS)
def test_sapiens_2_is_refused_by_its_name(names):
    state, why = {name: torch.ones(4, 4) for name in names}, "looks like Sapiens 2, .*not available here"
    assert look(state).backbone == "Sapiens 2"
    with pytest.raises(InputError, match=why):
        load_official(network(), state, "sapiens2_0.4b_pose.safetensors")
    with pytest.raises(InputError, match=why):
        load_trunk(network().backbone, state, "sapiens2_0.4b_pretrain.safetensors")
    with pytest.raises(InputError, match=why):
        transfer(network(), state, "sapiens2_0.4b_pose.safetensors", PerJoint(17, ()))
