"""Stacked networks and HUMAN4D's: outputs of the study, what learns, weights from files, and what is refused."""

import numpy as np
import pytest
import torch

from model_cases import build
from poserep.codecs import Heatmap
from poserep.geometry import Size
from poserep.models import Deconv, Hourglass, MoaiHourglass, MoaiHRNet, StackedMaps
from poserep.models.backbones.moai import Exchange
from poserep.models.cost import parameters
from reference.vectors import listed
from reference.weights import named_state

SMALL = {"stacks": 2, "features": 8}
HEATMAP = Heatmap("160x320")
# HUMAN4D's networks, without and with the sigmoid of the study.
STUDY = {
    "sh_4s": lambda: build(MoaiHourglass(18, in_channels=1), StackedMaps, HEATMAP, 18, last_only=True, sigmoid=True),
    "hrnet_4s": lambda: build(MoaiHRNet(in_channels=1), Deconv, HEATMAP, 18, sigmoid=True),
}


@pytest.mark.parametrize("name", STUDY)
def test_human4ds_networks_give_the_studys_heatmaps(name):
    net = STUDY[name]()
    gain, expected = listed("network_outputs")["moai"][name]
    parts = {key: value for key, value in net.state_dict().items() if key.startswith(("backbone.", "head."))}
    net.load_state_dict(named_state(parts, gain), strict=False)
    image = torch.from_numpy(np.random.default_rng(0).standard_normal((1, 1, 160, 320)).astype(np.float32))
    with torch.no_grad():
        out = net.eval().head(net.backbone(image))
    assert out.shape == (1, 18, 40, 80) == (1, 18, HEATMAP.y.n, HEATMAP.x.n)
    torch.testing.assert_close(out.flatten()[::4801], torch.tensor(expected), atol=1e-4, rtol=0)


def test_human4ds_networks_have_the_studys_parameters():
    with torch.device("meta"):
        assert parameters(MoaiHourglass(18, in_channels=1)) == 6_201_032
        # Its code has 769,472 more: the last stage also fuses into three branches that nothing reads.
        net = STUDY["hrnet_4s"]()
        unread = parameters(Exchange(4, 4, 32, True)) - parameters(net.backbone.stages[-1])
    assert unread == 769_472 and parameters(net) + unread == 7_866_034


def test_branches_fused_in_turn_differ_from_branches_fused_at_once():
    torch.manual_seed(0)
    net = MoaiHRNet(in_channels=1).eval()
    image = torch.randn(1, 1, 64, 64)
    (turn,) = net(image)
    for stage in net.stages:
        stage.in_turn = False
    assert turn.shape == (1, 32, 16, 16) and not torch.allclose(net(image)[0], turn)


@pytest.mark.parametrize("backbone", [Hourglass, MoaiHourglass])
def test_stacks_have_the_codecs_size(backbone):
    for size in ("64x64", "100x68"):
        codec, given = Heatmap(size), Size.parse(size)
        net = backbone(3, **SMALL, in_channels=1, size=given)
        assert net.channels == (3, 3) and net.strides == (4, 4)
        assert [maps.shape for maps in net(torch.randn(2, 1, *given))] == 2 * [(2, 3, codec.y.n, codec.x.n)]
