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
from reference.weights import named_state

SMALL = {"stacks": 2, "features": 8}
HEATMAP = Heatmap("160x320")
# HUMAN4D's networks, without and with the sigmoid of the study.
STUDY = {
    "sh_4s": lambda: build(MoaiHourglass(18, in_channels=1), StackedMaps, HEATMAP, 18, last_only=True, sigmoid=True),
    "hrnet_4s": lambda: build(MoaiHRNet(in_channels=1), Deconv, HEATMAP, 18, sigmoid=True),
}
# What moai 0.1.5a34 gives with the settings of its HUMAN4D example, every 4801st value of the (last) heatmaps. Weights
# are `named_state` of this project's names with that gain, copied into its layers.
MOAI = {
    "sh_4s": (0.5, [0.41055912, 0.74398988, 0.77427912, 0.52887344, 0.15965232, 0.74688601, 0.66060155, 0.49052411,
                    0.44584200, 0.23515216, 0.63343281, 0.17841195]),
    "hrnet_4s": (0.7, [0.57323784, 0.26693389, 0.78784823, 0.44733804, 0.32772684, 0.34165332, 0.85109246, 0.84838080,
                       0.96203429, 0.05608686, 0.96068412, 0.68580520]),
}  # fmt: skip


@pytest.mark.parametrize("name", MOAI)
def test_human4ds_networks_give_the_studys_heatmaps(name):
    net = STUDY[name]()
    gain, expected = MOAI[name]
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
        unread = parameters(Exchange(4, 4, 32, 128, 4, True)) - parameters(net.backbone.stages[-1])
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
