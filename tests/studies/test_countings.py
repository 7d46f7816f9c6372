"""Parameters and multiply-accumulates by every counting: what the papers' own tools give for the papers' own code."""

import pytest
import torch
from torch import Tensor, nn

from model_cases import OFFICIAL, TINY, build, pyramid, resnet
from poserep.codecs import Heatmap, MultiScale
from poserep.errors import InputError
from poserep.geometry import Size
from poserep.models import Deconv, PoseNet, SRPose
from poserep.models.cost import macs, macs_by_module, parameters
from poserep.studies.published_costs.countings import COUNTINGS, UnreadFusions, countings, gflops


@pytest.mark.parametrize("name", OFFICIAL)
def test_counts_are_the_official_ones(name):
    due = OFFICIAL[name]
    size = Size.parse(due.size)
    with torch.device("meta"):
        net = due.make(due.size)
    assert parameters(net) == due.params and parameters(net, training=True) == (due.training or due.params)
    assert parameters(net, tables=True) == due.params + due.table
    if due.mmcv is None:
        assert macs(net, *size) == due.macs
        return
    counts = countings(net, *size)
    assert counts["true"] == due.macs and counts["mmcv"] == due.mmcv
    if due.hrnet is not None:
        assert counts["hrnet"] / 2**30 == due.hrnet
    if due.detr is not None:
        # PyTorch's fused attention, taken apart, scales keys as well; and the tool skips what it cannot read.
        assert counts["detr"] == pytest.approx(due.detr, rel=2e-4)


# SRPose, table 1: 7.89M and 2.82 GFLOPs on HRFormer-S, of fusions that nothing reads; 8.21M + 0.65M in training.
def test_rows_of_srpose_hold_what_nothing_reads():
    with torch.device("meta"):
        unread = build(UnreadFusions(), Deconv, Heatmap("256x192"))
        whole = OFFICIAL["hrformer_s srpose"].make("256x192")
    counts = countings(unread, 256, 192)
    assert (parameters(unread), counts["true"], counts["mmcv"]) == (7_891_611, 3_259_223_296, 2_817_871_872)
    assert round(parameters(unread.backbone) / 1e6, 2) == 7.89 == round(parameters(whole.backbone) / 1e6, 2)
    assert round(parameters(whole, training=True) / 1e6, 2) == round(8.21 + 0.65, 2)
    assert countings(whole, 256, 192, training=True)["mmcv"] == 3_340_830_816


class Mixer(nn.Module):
    """A layer of PyTorch's, which in evaluation is a single operation, over the positions of a 4x smaller map."""

    channels, strides, multiple = (16,), (4,), 4

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 4, stride=4)
        self.attention = nn.TransformerEncoderLayer(16, 2, 16, batch_first=True)

    def forward(self, image: Tensor) -> tuple[Tensor]:
        maps = self.stem(image)
        x = self.attention(maps.flatten(2).transpose(1, 2))
        return (x.transpose(1, 2).unflatten(2, maps.shape[2:]),)


# The official networks have it written out, fused and as a module.
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_attention_counts_in_fused_layers_on_any_device(device):
    with torch.device(device):
        net = build(Mixer(), Deconv, Heatmap("64x64"))
    positions = 16 * 16
    attention = positions * 16 * 64 + 2 * positions**2 * 16
    block = 2 * positions * 16 * 16
    due = positions * 16 * 48 + attention + block + positions * 16 * 17
    counts = countings(net, 64, 64)
    assert counts["true"] == macs(net, 64, 64) == due
    # The products of attention are not in layers.
    assert counts["mmcv"] < due - 2 * positions**2 * 16 + 6 * positions * 64


def test_units_are_those_of_the_papers():
    net = build(resnet(name=TINY), Deconv, Heatmap("64x64"))
    counts, units = countings(net, 64, 64), {"hrnet": 2**30, "mmcv": 1e9, "detr": 1e9, "mmengine": 1e9}
    assert {name: gflops(net, 64, 64, name) for name in COUNTINGS} == {n: counts[n] / u for n, u in units.items()}
    with pytest.raises(InputError, match=r"counting='fvcore' is not one of hrnet, mmcv, detr"):
        gflops(net, 64, 64, "fvcore")


def test_parts_add_up_and_the_network_is_left_as_it_was():
    net = build(pyramid(name=TINY), SRPose, MultiScale("64x64"))
    net.backbone.eval()
    modes = [module.training for module in net.modules()]
    state = {key: value.clone() for key, value in net.state_dict().items()}
    with torch.inference_mode():
        first = countings(net, 64, 64, training=True)
    assert first == countings(net, 64, 64, training=True)
    counts = macs_by_module(net, 64, 64)
    assert counts["backbone"] + counts["head"] == counts[""] == macs(net, 64, 64) == first["true"]
    assert counts["head.post_fuse"] == sum(counts[f"head.post_fuse.{i}"] for i in range(3)) > 0
    assert counts.get("head.side", 0) == 0 and first["mmcv"] > countings(net, 64, 64)["mmcv"]
    assert [module.training for module in net.modules()] == modes
    assert all(torch.equal(state[key], value) for key, value in net.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())
    assert torch.backends.mha.get_fastpath_enabled()


def test_modes_return_even_if_the_network_fails():
    net = build(resnet(name=TINY), Deconv, Heatmap("64x64"))
    net.head.final_layer = nn.Conv2d(3, 17, 1)
    for count in (macs, countings):
        with pytest.raises(RuntimeError):
            count(net, 64, 64)
        assert all(module.training for module in net.modules())
        assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())


def test_image_of_other_channels_is_counted():
    colour, depth = (PoseNet(nn.Conv2d(n, 8, 3, padding=1), nn.Identity(), [0] * n, [1] * n) for n in (3, 1))  # type: ignore[arg-type]
    assert macs(colour, 64, 64) - macs(depth, 64, 64) == 64 * 64 * 8 * 9 * 2
