"""Official pose models into ours: every entry finds its place or is refused, with what would suit it."""

from functools import cache, partial

import pytest
import torch

from model_cases import build, pyramid, resnet, tokens
from poserep.codecs import Heatmap, MultiScale, SimCC, SRHeatmap
from poserep.errors import InputError
from poserep.models import (
    RTMCC,
    AxisLinear,
    BottomUp,
    BottomUpHigher,
    BottomUpSR,
    Deconv,
    HRNet,
    SRHead,
    SRPose,
    TimmFeatures,
    TokenPose,
    ViTPose,
)
from poserep.models.weights.load import load_official
from poserep.models.weights.recognise import look
from reference.vectors import listed
from state_dicts import LAYOUTS, mmpose0, mmpose1, papers, rtmpose


def small(head=Deconv, codec=None, backbone=None, **options):
    # Few channels in deconvolutions, where there are some.
    options |= {} if head is SRPose else {"width": 16}
    return build(backbone or resnet(18), head, codec or Heatmap("64x64"), **options)


tokenpose = tokens(partial(TokenPose, patch=(2, 2), depths=(1,)))
MAKERS = {
    "heatmap": small,
    "heatmap_16": lambda: small(joints=16),
    "hrnet": lambda: small(backbone=HRNet(18)),
    "hrnet32": lambda: small(backbone=HRNet(32)),
    "resnet34": lambda: small(backbone=resnet(34)),
    "simcc": lambda: small(AxisLinear, SimCC("64x64")),
    "simcc_k3": lambda: small(AxisLinear, SimCC("64x64", k=3)),
    "simcc_128": lambda: small(AxisLinear, SimCC("128x128", k=1)),
    "simcc_free": lambda: small(AxisLinear, SimCC("64x64"), upsample_to=None, channels_per_joint=32),
    "sr": lambda: small(SRHead, SRHeatmap("64x64")),
    "srpose": lambda: small(SRPose, MultiScale("64x64"), pyramid(18)),
    "bottomup": lambda: small(BottomUp, SRHeatmap("64x64", scale=0.25)),
    "bottomup_sr": lambda: small(BottomUpSR, SRHeatmap("64x64")),
    "bottomup_higher": lambda: small(BottomUpHigher, Heatmap("64x64", stride=2)),
    "rtmpose": lambda: build(TimmFeatures("cspnext_tiny", (4,)), RTMCC, SimCC("64x64")),
    "rtmpose_128": lambda: build(TimmFeatures("cspnext_tiny", (4,)), RTMCC, SimCC("128x128", k=1)),
    "rtmpose_s": lambda: build(TimmFeatures("cspnext_s", (4,)), RTMCC, SimCC("64x64")),
    "tokenpose": lambda: tokenpose("64x128"),
    "tokenpose_tall": lambda: tokenpose("128x64"),
}
made = cache(lambda name: MAKERS[name]())


@cache
def shape_of(name):
    with torch.device("meta"):
        return MAKERS[name]()


# SRPose's fork of mmpose has names that nobody else has, and mmpose 1.x nests what SimCC has of a heatmap head.
@pytest.mark.parametrize(
    ("name", "layouts"),
    [
        ("heatmap", ("papers", "mmpose1")),
        ("hrnet", ("papers",)),
        ("simcc", LAYOUTS),
        ("simcc_free", ("mmpose1",)),
        *((name, ("mmpose0",)) for name in ("sr", "srpose", "bottomup", "bottomup_sr")),
        ("bottomup_higher", ("papers", "mmpose0")),
    ],
)
def test_a_model_of_any_layout_loads_whole_and_gives_the_same(name, layouts):
    source, target = made(name), MAKERS[name]()
    for layout in layouts:
        for key, value in target.state_dict().items():
            if key not in ("scale", "offset"):
                value.zero_()
        state = LAYOUTS[layout](source)
        done = load_official(target, state, "file.pth")
        assert set(done.mapped) == set(state) and not done.unused and not done.missing
        same = zip(source.state_dict().items(), target.state_dict().items(), strict=True)
        assert all(a == b and torch.equal(x, y) for (a, x), (b, y) in same)


def test_files_are_recognised_by_names_and_shapes():
    for name, due in (
        ("heatmap", "resnet18, heatmap, 17 joints"), ("hrnet", "hrnet_w18, heatmap, 17 joints"),
        ("simcc", "resnet18, SimCC, 17 joints"), ("simcc_free", "resnet18, SimCC"), ("sr", "resnet18, SR head"),
        ("srpose", "resnet18, SRPose, 17 joints"), ("bottomup_sr", "resnet18, bottom-up SR, 17 joints"),
        ("bottomup_higher", "resnet18, HigherHRNet, 17 joints"),
    ):  # fmt: skip
        assert str(look(mmpose0(shape_of(name)))) == str(look(shape_of(name).state_dict())) == due
    net = shape_of("simcc")
    found = [look(make(net)).layout for make in LAYOUTS.values()]
    assert found == ["the papers' own code", "the papers' own code, of several GPUs", "mmpose 0.x", "mmpose 1.x"]
    assert look({f"net.{key}": value for key, value in net.state_dict().items()}).layout == "poserep"


def refused(net, state, message: str) -> str:
    """The message with which a file is refused, by which the network is left as it was."""
    before = {key: value.clone() for key, value in net.state_dict().items()}
    with pytest.raises(InputError, match=rf"weights w\.pth: .*{message}") as found:
        load_official(net, state, "w.pth")
    assert all(value.is_meta or torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert "\n" not in str(found.value)
    return str(found.value)


@pytest.mark.parametrize(("file", "model", "message"), listed("refused_options")["weights"])
def test_files_of_another_model_are_refused_with_what_would_suit(file, model, message):
    layout = rtmpose if file.startswith("rtmpose") else papers if "sr" not in message else mmpose0
    refused(shape_of(model), layout(shape_of(file)), message)


@pytest.mark.parametrize("entry", [False, True])
def test_files_with_or_without_a_class_entry_name_the_option(entry):
    def vit(size=(64, 64), width=32, class_entry=True):
        return small(backbone=ViTPose(size, width, 1, 4, class_entry=class_entry))

    net = vit(class_entry=not entry)
    shown = refused(net, mmpose1(vit(class_entry=entry)), r"pos_embed has shape .*: set backbone\.class_entry=")
    assert f"class_entry={str(entry).lower()} " in shown and "size=" not in shown
    refused(net, mmpose1(vit((96, 64))), "those of another input: change size=")
    refused(net, mmpose1(vit(width=48)), "features are 48 wide, the model's 32: take another backbone")


def test_fixed_tables_of_as_many_positions_must_be_those_of_the_size_but_for_rounding():
    net, state = made("tokenpose"), papers(made("tokenpose_tall"))
    table = net.backbone.pos_embedding
    assert state["pos_embedding"].shape == table.shape
    refused(net, state, "pos_embedding has as many .*input of another size.*change size=")
    for near in (table + 5e-5, table.half(), table.bfloat16()):
        load_official(net, papers(net) | {"pos_embedding": near}, "w.pth")
        net.backbone.pos_embedding = table
    refused(net, papers(net) | {"pos_embedding": table + 2e-4}, r"pos_embedding .*off by 0\.0002")


def test_classifiers_and_own_runs_are_told():
    net = made("heatmap")
    trunk = {key: value for key, value in papers(net).items() if not key.startswith(("deconv", "final"))}
    classifier = trunk | {"fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}
    refused(net, classifier, r"ImageNet classifier checkpoint: no pose model.*backbone\.weights=FILE")
    refused(net, trunk, r"this has no head: no pose model.*backbone\.weights=FILE")
    own = {f"net.{key}": value for key, value in net.state_dict().items()}
    refused(net, own, "a checkpoint of a run of poserep: give its run directory")


def test_official_models_are_never_half_loaded():
    for entry in (
        {"layer9.weight": torch.zeros(1)},
        {"final_layer.bias": None},
        {"final_layer.bias": torch.zeros(16)},
        {"final_layer.bias": torch.full((17,), float("inf"))},
        {"final_layer.bias": torch.zeros(17, dtype=torch.int8)},
        {"module.final_layer.bias": torch.zeros(17)},
    ):
        state = {key: torch.full_like(value, 7) for key, value in papers(made("heatmap")).items()} | entry
        state = {key: value for key, value in state.items() if value is not None}
        refused(made("heatmap"), state, r"layer9|final_layer\.bias")


def test_known_leftovers_are_left_out_and_old_or_half_precision_files_load():
    net = MAKERS["heatmap"]()
    extra = {
        "fc.weight": "ImageNet classifier",
        "ema_backbone_conv1_weight": "moving average, kept beside the weights",
        "data_preprocessor.mean": "normalisation, which the configuration sets",
        "final_layer.num_batches_tracked": "counter of a batch norm that has none here",
    }
    done = load_official(net, papers(net) | {key: torch.zeros(3) for key in extra}, "file.pth")
    assert done.unused == extra
    # From before batch norms counted.
    old = {key: value.half() for key, value in papers(net).items() if not key.endswith("num_batches_tracked")}
    done = load_official(net, old, "file.pth")
    assert set(done.missing.values()) == {"counter of batch norm, as in old files"} and len(done.missing) == 23
    assert net.head.final_layer.weight.dtype == torch.float32


def test_only_what_trains_may_be_missing_in_srpose():
    net = made("srpose")
    whole = mmpose0(net)
    side = [key for key in whole if key.split(".")[1] in ("kp_encoder", "converge") and key.split(".")[2] != "3"]
    done = load_official(net, {key: value for key, value in whole.items() if key not in side}, "file.pth")
    assert set(done.missing.values()) == {"runs in training alone"} and len(done.missing) == len(side) == 12
    assert all(key.startswith("head.side.") for key in done.missing)
    state = {key: value for key, value in whole.items() if ".converge.3.conv.weight" not in key}
    refused(net, state, r".*missing \(head\.main\.converge\.weight")
