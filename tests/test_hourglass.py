"""Stacked networks and HUMAN4D's: official counts, outputs, supervision of stacks, and the pairs that configs make."""

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir

from poserep.codecs import RLE, Codec, Heatmap, MultiScale, Regression, SimCC, SRHeatmap
from poserep.errors import InputError
from poserep.geometry import Size
from poserep.models import (
    AxisLinear,
    Deconv,
    Head,
    Hourglass,
    MoaiHourglass,
    MoaiHRNet,
    PointHead,
    PoseNet,
    RLEHead,
    SRHead,
    StackedAxes,
    StackedMaps,
    Stacks,
)
from poserep.models.backbones.moai import Exchange
from poserep.models.cost import macs, parameters
from poserep.overrides import CONF
from poserep.skeleton import COCO, HUMAN4D
from poserep.training.network import build_network
from reference.official import check_parity
from reference.weights import named_state


def pair(backbone: torch.nn.Module, head: type[Head], codec: Codec, joints: int = 17, **options) -> PoseNet:
    return PoseNet(backbone, head(backbone.channels, backbone.strides, joints, codec.x, codec.y, **options))


def hourglass(size: str, stacks: int = 4) -> PoseNet:
    return pair(Hourglass(17, stacks), StackedMaps, Heatmap(size))


# Counted on DARK's code (rows hourglass_*); its README prints 13.0M and 25.1M, 2.7 and 4.9 in units of 2^30 at 128x96.
@pytest.mark.parametrize(
    ("stacks", "params", "size", "products"),
    [
        (4, 13_020_612, "64x64", 960_299_008),
        (4, 13_020_612, "128x96", 2_878_341_120),
        (4, 13_020_612, "256x192", 11_523_588_096),
        (8, 25_598_472, "128x96", 5_265_555_456),
    ],
)
def test_hourglasses_cost_what_the_official_ones_cost(stacks, params, size, products):
    net = hourglass(size, stacks)
    assert parameters(net) == parameters(net, training=True) == params
    assert macs(net, *Size.parse(size)) == products


@pytest.mark.parametrize("size", ["128x96", "256x192"])
def test_official_weights_give_official_scores_in_every_stack(size):
    check_parity(f"hourglass_4stack_{size}", hourglass(size), every=True)


def test_hourglass_starts_as_pytorch_does():
    weight = Hourglass(17, 1).layer3[0].conv2.weight
    bound = weight[0].numel() ** -0.5
    assert weight.abs().max() <= bound and weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.01)


# What moai 0.1.5a34 gives with the settings of its HUMAN4D example, every 4801st value of the (last) heatmaps. Weights
# are `named_state` of this project's names with that gain, copied into its layers.
MOAI = {
    "sh_4s": (0.5, [0.41055912, 0.74398988, 0.77427912, 0.52887344, 0.15965232, 0.74688601, 0.66060155, 0.49052411,
                    0.44584200, 0.23515216, 0.63343281, 0.17841195]),
    "hrnet_4s": (0.7, [0.57323784, 0.26693389, 0.78784823, 0.44733804, 0.32772684, 0.34165332, 0.85109246, 0.84838080,
                       0.96203429, 0.05608686, 0.96068412, 0.68580520]),
}  # fmt: skip
DEPTH = ["data=human4d", "data.root=none", "size=160x320"]


def composed(*overrides: str):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", [*overrides])


@pytest.mark.parametrize("backbone", MOAI)
def test_human4ds_networks_give_the_studys_heatmaps(backbone):
    net, codec = build_network(composed(f"backbone={backbone}", *DEPTH), HUMAN4D)
    gain, expected = MOAI[backbone]
    parts = {key: value for key, value in net.state_dict().items() if key.startswith(("backbone.", "head."))}
    net.load_state_dict(named_state(parts, gain), strict=False)
    image = torch.from_numpy(np.random.default_rng(0).standard_normal((1, 1, 160, 320)).astype(np.float32))
    with torch.no_grad():
        out = net.eval()(image)
    assert out.shape == (1, 18, 40, 80) == (1, 18, codec.y.n, codec.x.n)
    torch.testing.assert_close(out.flatten()[::4801], torch.tensor(expected), atol=1e-4, rtol=0)


def test_human4ds_networks_have_the_studys_parameters():
    assert parameters(MoaiHourglass(18, in_channels=1)) == 6_201_032
    # Its code has 769,472 more: the last stage also fuses into three branches that nothing reads.
    net = pair(MoaiHRNet(in_channels=1), Deconv, Heatmap("160x320"), 18, sigmoid=True)
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


@pytest.mark.parametrize("size", ["64x64", "100x68", "128x96", "256x192", "160x320"])
@pytest.mark.parametrize("backbone", [Hourglass, MoaiHourglass])
def test_stacks_have_the_codecs_size(backbone, size):
    codec, given = Heatmap(size), Size.parse(size)
    net = backbone(3, 2, 8, in_channels=1, size=given)
    image = torch.randn(2, 1, *given)
    assert net.channels == (3, 3) and net.strides == (4, 4)
    assert [maps.shape for maps in net(image)] == 2 * [(2, 3, codec.y.n, codec.x.n)]


@pytest.mark.parametrize(("head", "codec"), [(StackedMaps, Heatmap("64x64")), (StackedAxes, SimCC("64x64"))])
def test_every_stack_trains_and_the_last_predicts(head, codec):
    net = pair(Hourglass(17, 3, 8), head, codec)
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    out = net(images)
    assert type(out) is Stacks and len(out) == 3
    with torch.no_grad():
        assert not isinstance(net.eval()(images), Stacks)
        net.head.training = True
        features = net.backbone(images.float())
        stacks, last = net.head(features), net.head.eval()(features)
    torch.testing.assert_close(stacks[-1], last, atol=0, rtol=0)


@pytest.mark.parametrize(("head", "codec"), [(StackedMaps, Heatmap("64x64")), (StackedAxes, SimCC("64x64"))])
@pytest.mark.parametrize("last_only", [False, True])
@pytest.mark.parametrize("backbone", [lambda: Hourglass(17, 3, 8), lambda: MoaiHourglass(17, 3, 8)])
def test_every_parameter_gets_a_gradient(backbone, head, codec, last_only):
    net = pair(backbone(), head, codec, last_only=last_only)
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    target, weight = codec.encode(torch.full((2, 17, 2), 20.0), torch.ones(2, 17))
    out = net(images)
    assert isinstance(out, Stacks) != last_only
    sum(codec.loss(stack, target, weight) for stack in (out if isinstance(out, Stacks) else (out,))).backward()
    assert [name for name, p in net.named_parameters() if p.grad is None] == []


def test_every_parameter_of_human4ds_hrnet_gets_a_gradient():
    codec = Heatmap("64x64")
    net = pair(MoaiHRNet(), Deconv, codec, sigmoid=True)
    target, weight = codec.encode(torch.full((2, 17, 2), 20.0), torch.ones(2, 17))
    codec.loss(net(torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)), target, weight).backward()
    assert [name for name, p in net.named_parameters() if p.grad is None] == []


def test_classifiers_of_earlier_stacks_count_in_training_alone():
    net = pair(Hourglass(17, 4), StackedAxes, SimCC("64x64", k=2))
    one = 2 * (16 * 16 + 1) * 128
    assert parameters(net) == 13_020_612 + one
    assert parameters(net, training=True) == 13_020_612 + 4 * one
    assert parameters(pair(Hourglass(17, 4), StackedAxes, SimCC("64x64"), last_only=True), training=True) == (
        13_020_612 + one
    )


SMALL = {"stacks": 2, "features": 8}


@pytest.mark.parametrize(
    ("head", "codec"),
    [
        (Deconv, Heatmap("64x64")),
        (AxisLinear, SimCC("64x64")),
        (SRHead, SRHeatmap("64x64")),
        (PointHead, Regression("64x64")),
        (RLEHead, RLE("64x64")),
    ],
)
def test_heads_for_one_map_refuse_stacks(head, codec):
    with pytest.raises(InputError, match=f"{head.__name__} reads one map, but the backbone predicts in 2 stacks; take"):
        pair(Hourglass(17, **SMALL), head, codec)


@pytest.mark.parametrize("head", [StackedMaps, StackedAxes])
@pytest.mark.parametrize(
    ("channels", "strides", "given"),
    [
        ((32,), (4,), r"\[32\] channels at strides \[4\]"),
        ((17, 17), (4, 8), r"\[17, 17\] channels at strides \[4, 8\]"),
        ((17, 32), (4, 4), r"\[17, 32\] channels"),
        ((192,), (), "keypoint tokens"),
    ],
)
def test_heads_for_stacks_refuse_what_is_none(head, channels, strides, given):
    codec = Heatmap("64x64")
    with pytest.raises(InputError, match=f"{head.__name__} reads the score maps .* 17 channels .* gives {given}"):
        head(channels, strides, 17, codec.x, codec.y)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Hourglass(17, stacks=0), "stacks=0"),
        (lambda: Hourglass(17, features=30), "features=30 must be a multiple of 4"),
        (lambda: Hourglass(17, size=(64, 48)), "input of 64x48 is too small: both sides must have at least 64 px"),
        (lambda: MoaiHourglass(17, depth=0), "depth=0"),
        (lambda: MoaiHourglass(17, features=2), "features=2 must be a multiple of 4"),
        (lambda: MoaiHourglass(17, size=(12, 64)), "at least 16 px"),
        (
            lambda: pair(Hourglass(17, **SMALL), StackedMaps, Heatmap("64x64", stride=8)),
            "score maps have stride 4, .*8",
        ),
        (lambda: pair(Hourglass(17, **SMALL), StackedMaps, MultiScale("64x64")), "score maps have stride 4, .*1;"),
    ],
)
def test_bad_options_are_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.parametrize("representation", ["heatmap", "heatmap_unbiased", "simcc", "simcc_equal", "ipr", "dsnt"])
@pytest.mark.parametrize("backbone", ["hg4", "hg8", "sh_4s", "hrnet_4s"])
def test_configs_build(backbone, representation):
    plain = backbone == "hrnet_4s"
    if representation.startswith("simcc"):
        expected = AxisLinear if plain else StackedAxes
    else:
        expected = Deconv if plain else StackedMaps
    # Sigmoids and a softmax over the same map do not go together.
    linear = ["backbone.heads.Deconv.sigmoid=false"] if "4s" in backbone and representation in ("ipr", "dsnt") else []
    net, codec = build_network(composed(f"backbone={backbone}", f"representation={representation}", *linear), COCO)
    assert type(net.head) is expected and net.head.form == codec.form


def test_squeezed_maps_are_refused_where_they_would_be_normalised():
    with pytest.raises(InputError, match=r"squeezes its maps into \(0, 1\), which codec Integral cannot use"):
        build_network(composed("backbone=sh_4s", "representation=ipr"), COCO)


@pytest.mark.parametrize(
    ("representation", "message"),
    [
        (["simcc_free"], "has StackedAxes in place of AxisLinear, .*channels_per_joint=32 means nothing"),
        (["sr"], "SRHead reads one map, but the backbone predicts in 4 stacks"),
        (["regression"], "PointHead reads one map, but the backbone predicts in 4 stacks"),
        (["rle"], "RLEHead reads one map, but the backbone predicts in 4 stacks"),
        (["heatmap", "representation.codec.stride=2"], "take representation.codec.stride=4"),
    ],
)
def test_configs_refuse_other_heads_with_a_reason(representation, message):
    name, *overrides = representation
    with pytest.raises(InputError, match=message):
        build_network(composed("backbone=hg4", f"representation={name}", *overrides), COCO)


def test_human4d_supervises_the_last_stack_and_its_heatmaps_are_between_0_and_1():
    net, _ = build_network(composed("backbone=sh_4s", *DEPTH), HUMAN4D)
    out = net(torch.randn(2, 1, 160, 320))
    assert out.shape == (2, 18, 40, 80) and out.min() > 0 and out.max() < 1
    free, _ = build_network(composed("backbone=sh_4s", "backbone.heads.Deconv.sigmoid=false", *DEPTH), HUMAN4D)
    assert free(torch.randn(2, 1, 160, 320)).min() < 0


def test_dark_weights_load_from_a_file(tmp_path):
    torch.manual_seed(0)
    saved, path = Hourglass(17, **SMALL), tmp_path / "hg.pth"
    torch.save({f"module.{key}": value for key, value in saved.state_dict().items()}, path)
    loaded = Hourglass(17, **SMALL, weights=path)
    assert all(torch.equal(value, loaded.state_dict()[key]) for key, value in saved.state_dict().items())
    with pytest.raises(InputError, match=r"score\.0\.weight has shape"):
        Hourglass(14, **SMALL, weights=path)
