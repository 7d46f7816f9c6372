"""HRFormer: what is frozen, what learns, weights from files. Outputs are in `test_official`, counts in `studies`."""

import pytest
import torch

from model_cases import build, learns
from poserep.codecs import Heatmap, MultiScale
from poserep.models import Deconv, HRFormer, SRPose
from poserep.models.backbones.hrformer_block import HRFormerBlock


@pytest.mark.parametrize("options", [{"position_bias": False}, {"multiscale": True}])
def test_what_is_not_frozen_learns(options):
    options = {"width": 8, "drop_path": 0.0, **options}
    head, codec = (SRPose, MultiScale) if "multiscale" in options else (Deconv, Heatmap)
    net = build(HRFormer(**options), head, codec("64x64")).train()
    out = net(torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8))
    assert learns(net, sum(o.square().sum() for o in (out if isinstance(out, tuple) else (out,)))) == []
    named = dict(net.named_parameters())
    frozen = [name for name, p in named.items() if not p.requires_grad]
    tables = [name for name in named if name.endswith("relative_position_bias_table")]
    coarser = [n for n in named if n.startswith(tuple(f"backbone.stage4.1.fuse_layers.{i}." for i in (1, 2, 3)))]
    assert len(tables) == 44 and bool(coarser) == ("multiscale" in options)
    assert frozen == ([] if options.get("position_bias", True) else tables)
    # A softmax ignores what all keys have in common, but for rounding.
    keys, queries = (
        max(p.grad.abs().max().item() for name, p in named.items() if name.endswith(f"{which}_proj.bias"))
        for which in "kq"
    )
    assert keys < 1e-3 * queries


def test_the_finest_map_is_the_same_without_the_coarser_ones():
    torch.manual_seed(0)
    whole, cut = HRFormer(8, multiscale=True).eval(), HRFormer(8).eval()
    keys = cut.load_state_dict(whole.state_dict(), strict=False)
    assert keys.missing_keys == [] and keys.unexpected_keys
    assert all(name.startswith("stage4.1.fuse_layers.") for name in keys.unexpected_keys)
    with torch.no_grad():
        image = torch.randn(1, 3, 64, 64)
        assert torch.equal(whole(image)[0], cut(image)[0])


def test_drop_path_grows_from_block_to_block():
    with torch.device("meta"):
        backbone = HRFormer(drop_path=0.26)
    finest = [m.drop_path.drop_prob for name, m in backbone.named_modules() if isinstance(m, HRFormerBlock)
              and ".branches.0." in name]  # fmt: skip
    assert finest == pytest.approx([0.02 * i for i in range(14)])
