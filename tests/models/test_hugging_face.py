"""ViTPose of Hugging Face: names, outputs and refusals, against its own outputs and a network written plainly."""

import json
import math
import re

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from model_cases import build
from poserep.codecs import Heatmap
from poserep.config import compose, make
from poserep.errors import InputError
from poserep.geometry import Size
from poserep.models import BilinearConv, Deconv, PoseNet, ViTPose
from poserep.models.cost import parameters
from poserep.models.weights.hub_model import hub_config, hub_state
from poserep.models.weights.hugging_face import check_config, from_hub
from poserep.models.weights.load import load_official, load_trunk
from poserep.models.weights.recognise import look
from poserep.models.weights.transfer import PerJoint, transfer
from poserep.overrides import CONF
from poserep.skeleton import COCO
from poserep.training.network import assemble
from reference import loops
from reference.vectors import arrays, full
from reference.weights import named_state

HEADS = {"classic": Deconv, "simple": BilinearConv}
WIDTH, BLOCKS, EPS = 96, 2, 1e-12


def network(decoder: str = "classic", **options) -> PoseNet:
    """Of the size of the official outputs."""
    backbone = ViTPose((64, 48), WIDTH, BLOCKS, 4, eps=EPS, **options)
    return build(backbone, HEADS[decoder], Heatmap("64x48")).eval()


def given(decoder: str = "classic") -> dict[str, Tensor]:
    """A file's tensors, with values made from names."""
    return named_state(hub_state(network(decoder)), 1.0)


def image() -> Tensor:
    return torch.randn(2, 3, 64, 48, generator=torch.Generator().manual_seed(0))


def twin(state: dict[str, Tensor], x: Tensor, heads: int) -> tuple[Tensor, Tensor]:
    """Tokens and heatmaps by the names of Transformers, attention head by head."""
    width = state["backbone.layernorm.bias"].numel()

    def norm(x: Tensor, name: str) -> Tensor:
        return F.layer_norm(x, (width,), state[f"{name}.weight"], state[f"{name}.bias"], EPS)

    def linear(x: Tensor, name: str) -> Tensor:
        return F.linear(x, state[f"{name}.weight"], state.get(f"{name}.bias"))

    patch = "backbone.embeddings.patch_embeddings.projection"
    x = F.conv2d(x, state[f"{patch}.weight"], state[f"{patch}.bias"], stride=16, padding=2)
    grid, table = x.shape[2:], state["backbone.embeddings.position_embeddings"]
    x = x.flatten(2).mT + table[:, 1:] + table[:, :1]
    for i in range(BLOCKS):
        block = f"backbone.encoder.layer.{i}"
        y = norm(x, f"{block}.layernorm_before")
        q, k, v = (linear(y, f"{block}.attention.attention.{part}") for part in ("query", "key", "value"))
        parts = []
        for head in range(heads):
            own = slice(head * width // heads, (head + 1) * width // heads)
            weight = (q[..., own] @ k[..., own].mT / math.sqrt(width // heads)).softmax(-1)
            parts.append(weight @ v[..., own])
        x = x + linear(torch.cat(parts, -1), f"{block}.attention.output.dense")
        y = linear(norm(x, f"{block}.layernorm_after"), f"{block}.mlp.fc1")
        x = x + linear(y * (1 + torch.erf(y / math.sqrt(2))) / 2, f"{block}.mlp.fc2")
    x = norm(x, "backbone.layernorm")
    y = x.mT.unflatten(2, grid)
    if "head.deconv1.weight" in state:
        for i in ("1", "2"):
            y = F.conv_transpose2d(y, state[f"head.deconv{i}.weight"], stride=2, padding=1)
            moments = state[f"head.batchnorm{i}.running_mean"], state[f"head.batchnorm{i}.running_var"]
            y = F.batch_norm(y, *moments, state[f"head.batchnorm{i}.weight"], state[f"head.batchnorm{i}.bias"]).relu()
    else:
        y = F.interpolate(y.relu(), scale_factor=4, mode="bilinear", align_corners=False)
    last = state["head.conv.weight"]
    return x, F.conv2d(y, last, state["head.conv.bias"], padding=last.shape[-1] // 2)


@torch.no_grad()
def outputs(net: PoseNet, x: Tensor) -> tuple[Tensor, Tensor]:
    """Tokens and heatmaps of normalised images."""
    features = net.backbone(x)
    return features[0].flatten(2).mT, net.head(features)


@pytest.mark.parametrize("decoder", HEADS)
@pytest.mark.parametrize("file", full("hf_vitpose_names"))
def test_imported_networks_give_the_official_outputs(file, decoder):
    case = json.loads(file.with_suffix(".json").read_text())["cases"][decoder]
    shapes = {name: torch.zeros(shape, dtype=getattr(torch, kind)) for name, shape, kind in case["state_dict"]}
    ours = hub_state(network(decoder))
    assert {k: (v.shape, v.dtype) for k, v in ours.items()} == {k: (v.shape, v.dtype) for k, v in shapes.items()}
    state, net = named_state(shapes, case["conv_gain"]), network(decoder)
    done = load_official(net, state, "model.safetensors")
    assert not done.unused and not done.missing and parameters(net) == case["n_params"]
    official = arrays(file)
    x = np.random.default_rng(case["input"]["seed"]).standard_normal(case["input"]["shape"]).astype(np.float32)
    for mine, name in zip(outputs(net, torch.from_numpy(x)), ("features", "heatmaps"), strict=True):
        torch.testing.assert_close(mine, torch.from_numpy(official[f"{decoder}_{name}"]), atol=1e-5, rtol=0)
    config, theirs = hub_config(net, COCO.names), case["config"]
    assert len(config.pop("id2label")) == len(config.pop("label2id")) == theirs.pop("num_labels")
    # Those of experts mean nothing without any.
    theirs["backbone_config"].pop("part_features")
    names = {"architectures": ["VitPoseForPoseEstimation"], "model_type": "vitpose"}
    backbone = config.pop("backbone_config")
    assert config == names | {key: value for key, value in theirs.items() if key != "backbone_config"}
    assert backbone == {"model_type": "vitpose_backbone", **theirs["backbone_config"]}


@pytest.mark.parametrize("decoder", HEADS)
@pytest.mark.parametrize("key_bias", [True, False])
def test_imported_networks_are_the_plainly_written_one(decoder, key_bias):
    state, net = given(decoder), network(decoder)
    # A softmax does not see what it adds to all keys alike.
    kept = {key: value for key, value in state.items() if key_bias or not key.endswith("key.bias")}
    load_official(net, kept, "model.safetensors")
    exact = {key: value.double() if value.is_floating_point() else value for key, value in state.items()}
    for ours, theirs in zip(outputs(net.double(), image().double()), twin(exact, image().double(), 4), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-10, rtol=0)


@pytest.mark.parametrize("decoder", HEADS)
def test_weights_return_bit_for_bit(decoder):
    source, target = network(decoder), network(decoder)
    tensors = hub_state(source)
    load_official(target, tensors, "model.safetensors")
    same = zip(source.state_dict().items(), target.state_dict().items(), strict=True)
    assert all(a == b and torch.equal(x, y) for (a, x), (b, y) in same)
    again = hub_state(target)
    assert again.keys() == tensors.keys() and all(torch.equal(again[key], tensors[key]) for key in again)
    # Without an entry for a class token the loader adds zeros, which is the same network.
    bare, full = network(decoder, class_entry=False), network(decoder)
    load_official(full, hub_state(bare), "model.safetensors")
    assert all(torch.equal(a, b) for a, b in zip(outputs(bare, image()), outputs(full, image()), strict=True))


def test_the_backbone_alone_and_what_fits_are_taken():
    state, net = given(), network()
    load_trunk(net.backbone, state, "model.safetensors")
    due = state["backbone.encoder.layer.1.attention.attention.value.weight"]
    assert torch.equal(net.backbone.trunk.blocks[1].attn.qkv.weight[-WIDTH:], due)
    # As VitPoseBackbone itself is saved.
    alone = {key.removeprefix("backbone."): value for key, value in state.items() if key.startswith("backbone.")}
    load_trunk(network().backbone, alone, "model.safetensors")
    done = transfer(network("simple"), state, "model.safetensors", PerJoint(17, ()))
    assert {name.split(".")[1] for name in done.missing} == {"final_layer"}
    assert sum(name.startswith("backbone.") for name in done.mapped.values()) == len(net.backbone.state_dict())


def test_files_are_recognised_and_another_decoder_is_named():
    for decoder, other, head in (("classic", "simple", "Deconv"), ("simple", "classic", "BilinearConv")):
        state, net = given(decoder), network(other)
        looks = look(state)
        assert (looks.layout, str(looks)) == ("Hugging Face", "vitpose, heatmap, 17 joints")
        before = {key: value.clone() for key, value in net.state_dict().items()}
        with pytest.raises(InputError, match=rf"ViTPose's {decoder} decoder: .*_target_=poserep\.models\.{head}$"):
            load_official(net, state, "model.safetensors")
        assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    lacking = {key: value for key, value in given().items() if not key.endswith("value.bias")}
    with pytest.raises(InputError, match=r"entries fit nowhere in the model, for example .*query\.bias"):
        load_official(network(), lacking, "model.safetensors")


# Backbone alone at 256x192: embeddings, blocks, norm; with the classic decoder and 17 joints.
@pytest.mark.parametrize("name", ["vitpose_s", "vitpose_b", "vitpose_l", "vitpose_h"])
def test_sizes_have_the_parameters_of_their_widths_and_are_recognised(name):
    cfg = compose([f"backbone={name}", "size=256x192"]).cfg
    with torch.device("meta"):
        net, _ = assemble(cfg, COCO)
    width, depth = net.backbone.channels[0], len(net.backbone.trunk.blocks)
    block = 12 * width**2 + 13 * width
    assert parameters(net.backbone) == (3 * 16 * 16 + 1 + 193) * width + depth * block + 2 * width
    assert parameters(net.head) == 16 * 256 * (width + 256) + 4 * 256 + 17 * 257
    assert look(hub_state(net)).backbone == look(net.state_dict()).backbone == name


def test_experts_are_refused_by_their_numbers_and_the_printed_remedy_works(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    state, part = given(), WIDTH // 4
    due = {key: value.clone() for key, value in state.items()}
    for key in [key for key in state if ".mlp.fc2." in key]:
        rows = state[key]
        state[key] = rows[:-part]
        state |= {key.replace("fc2", f"experts.{n}"): rows[-part:] * (n == 0) for n in range(3)}
    torch.save(state, "plus.pth")
    with pytest.raises(
        InputError, match=r"plus\.pth: this is ViTPose\+\+.* 3 experts.*experts\.0 to mlp\.experts\.2"
    ) as e:
        load_official(network(), state, "plus.pth")
    exec("\n".join(line.strip() for line in str(e.value).splitlines()[1:]), {})
    chosen = torch.load("one_expert.pth", weights_only=True)
    assert chosen.keys() == due.keys() and all(torch.equal(chosen[key], due[key]) for key in due)
    load_official(network(), chosen, "one_expert.pth")
    for load in (lambda: load_trunk(network().backbone, state, "plus.pth"),
                 lambda: transfer(network(), state, "plus.pth", PerJoint(17, ()))):  # fmt: skip
        with pytest.raises(InputError, match="ViTPose"):
            load()


def test_what_no_shape_shows_is_compared_with_the_config_beside_the_file(tmp_path):
    net, file, beside = network(), tmp_path / "model.safetensors", tmp_path / "config.json"
    check_config(file, net.backbone)
    config = hub_config(net, COCO.names)
    for changed, message in (
        ({}, ""),
        ({"num_attention_heads": 12}, r"add backbone\.num_heads=12$"),
        ({"num_attention_heads": 2, "layer_norm_eps": 1e-6}, r"add backbone\.num_heads=2 backbone\.eps=1e-06$"),
        ({"hidden_act": "relu"}, "hidden_act=relu is not available"),
    ):
        beside.write_text(json.dumps(config | {"backbone_config": config["backbone_config"] | changed}))
        if message:
            with pytest.raises(InputError, match=message):
                check_config(file, net.backbone)
        else:
            check_config(file, net.backbone)
    for other in ("{}", "[]", "{", '{"backbone_config": null}'):
        beside.write_text(other)
        check_config(file, net.backbone)


def test_other_states_stay_as_they_are():
    state = network().state_dict()
    assert from_hub(state) is state
    assert not any(re.search(r"\.(query|key|value)\.", key) for key in from_hub(given()))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sigmoid": True}, "no sigmoid"),
        ({"width": 64}, r"not 2 of \[64, 64\]"),
        ({"convolutions": 1}, "no convolution but the last"),
        ({"instance_norm": True}, "with batch norms"),
    ],
)
def test_networks_that_the_loader_lacks_are_refused(options, message):
    net = build(ViTPose((64, 48), WIDTH, 1, 4), Deconv, Heatmap("64x48"), **options)
    with pytest.raises(InputError, match=f"--hub: .*{message}"):
        hub_state(net)


def test_one_network_is_read_with_the_blur_of_either_decoder():
    page = (CONF.parent / "docs" / "models.md").read_text()
    (line,) = re.findall(r"'(\+representation\.codec\.readouts\.hub=.*)'", page)
    cfg = compose(["backbone=vitpose_s", "representation=heatmap_unbiased", "size=256x192", "align=edge", line]).cfg
    codec = make(cfg.representation.codec, size=Size.parse(cfg.input_size), align=cfg.align)
    x, y = torch.meshgrid(torch.arange(48.0), torch.arange(64.0), indexing="xy")
    maps = 0.7 * torch.exp(-((x - 20.3) ** 2 + (y - 31.6) ** 2) / 8).expand(1, 3, 64, 48)
    maps = maps + 0.02 * torch.randn(maps.shape, generator=torch.Generator().manual_seed(0))
    bins = {}
    for readout, sigma in (("dark", 2.0), ("hub", 0.8)):
        # A step of DARK longer than a bin is cut here.
        due, _ = loops.dark(maps.double().numpy(), 11, 1.0, sigma)
        bins[readout] = codec.to_bins(codec.decode(maps, readout).xy.double())
        torch.testing.assert_close(bins[readout], torch.from_numpy(due), atol=1e-4, rtol=0)
    assert (bins["dark"] - bins["hub"]).abs().max() > 0.01
