"""ViTPose: counts, weights in the layouts that there are, refusals."""

import pytest
import timm
import torch
from torch import nn
from torch.nn import functional as F

from model_cases import build
from poserep.codecs import Heatmap
from poserep.errors import InputError
from poserep.models import Deconv, ViTPose
from poserep.models.cost import parameters
from poserep.models.weights.load import load_official, load_trunk
from poserep.models.weights.read import read_state


# Xu et al. 2022 count 86M for ViT-B alone. ViTPose-S, which came later, has no published count.
@pytest.mark.parametrize(("width", "alone", "count"), [(384, 21_663_744, 24_290_577), (768, 85_794_816, 89_994_513)])
def test_vitpose_with_its_classic_decoder(width, alone, count):
    with torch.device("meta"):
        backbone = ViTPose((256, 192), width)
        net = build(backbone, Deconv, Heatmap("256x192"))
    assert len([m for m in net.head.modules() if isinstance(m, nn.ConvTranspose2d)]) == 2
    assert parameters(backbone) == alone and parameters(net) == count


# Own names of the trunk's parts, and those of ViTPose's code and of mmpose 1.x.
VITPOSE = {"trunk.norm.": "last_norm.", "trunk.": ""}
MMPOSE = {
    **{"trunk.norm.": "ln1.", "trunk.patch_embed.proj": "patch_embed.projection", "trunk.blocks": "layers"},
    **{".norm1.": ".ln1.", ".norm2.": ".ln2.", ".mlp.fc1.": ".ffn.layers.0.0.", ".mlp.fc2.": ".ffn.layers.1."},
}


@pytest.mark.parametrize(("layout", "prefix"), [(VITPOSE, "keypoint_head"), (MMPOSE, "head")])
def test_vitpose_imports_both_layouts(layout, prefix):
    torch.manual_seed(0)
    net = build(ViTPose((64, 32), 32, 2, 4, class_entry=layout is VITPOSE), Deconv, Heatmap("64x32")).eval()
    trunk = {key: torch.randn_like(value) / 4 for key, value in net.backbone.state_dict().items()}
    state = {f"{prefix}.{key}": value.clone() for key, value in net.head.state_dict().items()}
    for key, value in trunk.items():
        for ours, theirs in layout.items():
            key = key.replace(ours, theirs)
        state[f"backbone.{key}"] = value
    imported = load_official(net, state, "vitpose.pth")
    assert set(imported.mapped) == set(state) and not imported.missing
    assert all(torch.equal(value, trunk[key]) for key, value in net.backbone.state_dict().items())


@pytest.mark.parametrize("class_entry", [True, False])
def test_vitpose_takes_imagenet_weights_of_another_grid(tmp_path, class_entry):
    torch.manual_seed(0)
    source = timm.models.VisionTransformer(224, embed_dim=32, depth=2, num_heads=4, num_classes=9)
    # Linear from top to bottom, so that it is known what lies between.
    table = torch.linspace(-1, 1, 14).repeat_interleave(14)[:, None].expand(-1, 32)
    with torch.no_grad():
        source.pos_embed[0] = F.pad(table, (0, 0, 1, 0), value=7)
    torch.save({"model": source.state_dict() | {"mask_token": torch.zeros(1, 1, 32)}}, tmp_path / "mae.pth")
    net = ViTPose((112, 224), 32, 2, 4, class_entry=class_entry)
    load_trunk(net, read_state(tmp_path / "mae.pth"), "mae.pth")
    assert torch.equal(net.trunk.blocks[1].mlp.fc2.weight, source.blocks[1].mlp.fc2.weight)
    assert torch.equal(net.trunk.norm.weight, source.norm.weight)
    assert net.pos_embed.requires_grad and net.pos_embed.shape == (1, class_entry + 7 * 14, 32)
    assert (net.pos_embed[:, : int(class_entry)] == 7).all()
    rows = net.pos_embed[0, int(class_entry) :].view(7, 14, 32).mean(2)
    inside = torch.linspace(-1, 1, 14).view(7, 2).mean(1)
    torch.testing.assert_close(rows[1:-1], inside[1:-1, None].expand(-1, 14), atol=1e-5, rtol=0)


# One position for the class token and 48 make 7x7: they must not be taken for such a grid.
@pytest.mark.parametrize("size", [(64, 32), (128, 96)])
def test_vitpose_refuses_positions_that_are_no_square(tmp_path, size):
    torch.save(ViTPose(size, 32, 2, 4).state_dict(), tmp_path / "pose.pth")
    load_trunk(ViTPose(size, 32, 2, 4), read_state(tmp_path / "pose.pth"), "pose.pth")
    with pytest.raises(InputError, match=r"pos_embed has shape .*change size"):
        load_trunk(ViTPose((64, 64), 32, 2, 4), read_state(tmp_path / "pose.pth"), "pose.pth")
