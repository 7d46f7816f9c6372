"""Official pose models into ours: every entry finds its place or is refused, with what would suit it."""

from copy import deepcopy

import pytest
import torch

from model_cases import build, pyramid, resnet
from poserep.codecs import Heatmap, MultiScale, SimCC, SRHeatmap
from poserep.errors import InputError
from poserep.models import (
    AxisLinear,
    BottomUp,
    BottomUpSR,
    Deconv,
    HRNet,
    SRHead,
    SRPose,
    TokenMaps,
    TokenPose,
    TransPoseR,
    ViTPose,
)
from poserep.models.weights.load import destinations, load_official
from poserep.models.weights.recognise import look
from state_dicts import LAYOUTS, mmpose0, mmpose1, papers


def small(head=Deconv, codec=None, backbone=None, **options):
    return build(backbone or resnet(18), head, codec or Heatmap("64x64"), **options)


NETS = {
    "heatmap": small,
    "hrnet": lambda: small(backbone=HRNet(18)),
    "simcc": lambda: small(AxisLinear, SimCC("64x64")),
    "simcc_free": lambda: small(AxisLinear, SimCC("64x64"), upsample_to=None, channels_per_joint=32),
    "sr": lambda: small(SRHead, SRHeatmap("64x64")),
    "srpose": lambda: small(SRPose, MultiScale("64x64"), pyramid(18)),
    "bottomup": lambda: small(BottomUp, SRHeatmap("64x64", scale=0.25)),
    "bottomup_sr": lambda: small(BottomUpSR, SRHeatmap("64x64")),
}
# Names that only the fork of mmpose has.
FORK = ("sr", "srpose", "bottomup", "bottomup_sr")


@pytest.mark.parametrize("name", NETS)
def test_a_model_of_any_layout_loads_whole_and_gives_the_same(name):
    source = NETS[name]()
    for layout in ("mmpose0",) if name in FORK else LAYOUTS:
        target = zeroed(source)
        state = LAYOUTS[layout](source)
        done = load_official(target, state, "file.pth")
        assert set(done.mapped) == set(state) and not done.unused and not done.missing
        same = zip(source.state_dict().items(), target.state_dict().items(), strict=True)
        assert all(a == b and torch.equal(x, y) for (a, x), (b, y) in same)


def zeroed(net):
    net = deepcopy(net)
    for key, value in net.state_dict().items():
        if "pos_embedding" not in key and key not in ("scale", "offset"):
            value.zero_()
    return net


LOOKS = {
    "heatmap": "resnet18, heatmap, 17 joints",
    "hrnet": "hrnet_w18, heatmap, 17 joints",
    "simcc": "resnet18, SimCC, 17 joints",
    "simcc_free": "resnet18, SimCC",
    "sr": "resnet18, SR head",
    "srpose": "resnet18, SRPose, 17 joints",
    "bottomup_sr": "resnet18, bottom-up SR, 17 joints",
}


def test_files_are_recognised_by_names_and_shapes():
    with torch.device("meta"):
        for name, due in LOOKS.items():
            net = NETS[name]()
            assert str(look(mmpose0(net))) == str(look(net.state_dict())) == due


def test_layouts_are_recognised():
    net = NETS["simcc"]()
    found = [look(make(net)).layout for make in LAYOUTS.values()]
    assert found == ["the papers' own code", "the papers' own code, of several GPUs", "mmpose 0.x", "mmpose 1.x"]
    assert look({f"net.{key}": value for key, value in net.state_dict().items()}).layout == "poserep"


@pytest.mark.parametrize(
    ("file", "model", "message"),
    [
        (NETS["simcc"], NETS["heatmap"], r"mlp_head_x.*looks like a SimCC checkpoint: representation=simcc_equal"),
        (NETS["heatmap"], NETS["simcc"], r"are missing \(head\.mlp_head.*a heatmap checkpoint: representation=heatm"),
        (NETS["simcc"], NETS["simcc_free"], r"deconv_layers.*it has deconvolutions, the model none"),
        (NETS["simcc_free"], NETS["simcc"], r"it has no deconvolutions, the model some"),
        (NETS["sr"], NETS["heatmap"], r"looks like an SR head checkpoint: representation=sr"),
        (NETS["srpose"], NETS["sr"], r"an SRPose checkpoint: representation=srpose"),
        (NETS["hrnet"], NETS["heatmap"], r"looks like hrnet_w18, the model's like resnet18"),
        (lambda: small(backbone=resnet(34)), NETS["heatmap"], r"looks like resnet34, the model's like resnet18"),
        (NETS["heatmap"], lambda: small(backbone=resnet(34)), r"looks like resnet18, the model's like resnet34"),
        (lambda: small(backbone=HRNet(32)), NETS["hrnet"], r"looks like hrnet_w32, the model's like hrnet_w18"),
        (lambda: small(AxisLinear, SimCC("64x64", k=3)), NETS["simcc"],
         r"\(192, 256\), the model \(128, 256\).*256 features to 192 bins, the model 256 to 128: change .*codec\.k"),
        (lambda: small(AxisLinear, SimCC("128x128", k=1)), NETS["simcc"], r"takes 1024 features.*size="),
        (NETS["bottomup"], NETS["heatmap"], r"for 34 joints, the model's for 17: take the data set"),
    ],
)  # fmt: skip
def test_files_of_another_model_are_refused_with_what_would_suit(file, model, message):
    net = model()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    with pytest.raises(InputError, match=rf"weights w\.pth: .*{message}") as refused:
        load_official(net, papers(file()) if "sr" not in message else mmpose0(file()), "w.pth")
    assert "\n" not in str(refused.value)
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


@pytest.mark.parametrize("entry", [False, True])
def test_files_with_or_without_a_class_entry_name_the_option(entry):
    file, net = (small(backbone=ViTPose((64, 64), 32, 1, 4, class_entry=e)) for e in (entry, not entry))
    with pytest.raises(InputError, match=r"pos_embed has shape .* the model .*: set backbone\.class_entry=") as refused:
        load_official(net, mmpose1(file), "w.pth")
    assert f"class_entry={str(entry).lower()} " in str(refused.value) and "size=" not in str(refused.value)
    with pytest.raises(InputError, match=r"those of another input: change size="):
        load_official(net, mmpose1(small(backbone=ViTPose((96, 64), 32, 1, 4))), "w.pth")
    with pytest.raises(InputError, match=r"features are 48 wide, the model's 32: take another backbone"):
        load_official(net, mmpose1(small(backbone=ViTPose((64, 64), 48, 1, 4))), "w.pth")


TABLES = {
    "tokenpose": lambda size: TokenPose(size, 17, patch=(2, 2), depths=(1,)),
    "transpose": lambda size: TransPoseR(size, layers=1),
}


@pytest.mark.parametrize("name", TABLES)
def test_fixed_tables_of_as_many_positions_must_be_those_of_the_size(name):
    wide, tall = (TABLES[name](size) for size in ((64, 128), (128, 64)))
    head = TokenMaps if name == "tokenpose" else Deconv
    file, net = build(wide, head, Heatmap("64x128")), build(tall, head, Heatmap("64x128"))
    state = papers(file)
    assert state["pos_embedding"].shape == net.backbone.pos_embedding.shape
    before = {key: value.clone() for key, value in net.state_dict().items()}
    with pytest.raises(InputError, match=r"w\.pth: pos_embedding has as many .*input of another size.*change size="):
        load_official(net, state, "w.pth")
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


@pytest.mark.parametrize("name", TABLES)
def test_fixed_tables_may_differ_by_rounding(name):
    head = TokenMaps if name == "tokenpose" else Deconv
    whole = build(TABLES[name]((128, 64)), head, Heatmap("64x128"))
    state = papers(whole)
    table = state["pos_embedding"]
    for near in (table + 5e-5, table.half(), table.bfloat16()):
        load_official(deepcopy(whole), state | {"pos_embedding": near}, "w.pth")
    net = deepcopy(whole)
    with pytest.raises(InputError, match=r"off by 0\.0002"):
        load_official(net, state | {"pos_embedding": table + 2e-4}, "w.pth")


def test_classifiers_and_own_runs_are_told():
    net = NETS["heatmap"]()
    trunk = {key: value for key, value in papers(net).items() if not key.startswith(("deconv", "final"))}
    with pytest.raises(InputError, match=r"ImageNet classifier checkpoint: no pose model.*backbone\.weights=FILE"):
        load_official(net, trunk | {"fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}, "w.pth")
    with pytest.raises(InputError, match=r"this has no head: no pose model.*backbone\.weights=FILE"):
        load_official(net, trunk, "w.pth")
    with pytest.raises(InputError, match=r"a checkpoint of a run of poserep: give its run directory"):
        load_official(net, {f"net.{key}": value for key, value in net.state_dict().items()}, "w.pth")


FAULTS = {
    "unknown": lambda s: s | {"layer9.weight": torch.zeros(1)},
    "missing": lambda s: {key: value for key, value in s.items() if key != "final_layer.bias"},
    "shape": lambda s: s | {"final_layer.bias": torch.zeros(16)},
    "nan": lambda s: s | {"final_layer.bias": torch.full((17,), float("nan"))},
    "infinite": lambda s: s | {"final_layer.bias": torch.full((17,), float("inf"))},
    "kind": lambda s: s | {"final_layer.bias": torch.zeros(17, dtype=torch.int8)},
    "twice": lambda s: s | {"module.final_layer.bias": torch.zeros(17)},
}


@pytest.mark.parametrize("fault", FAULTS)
def test_official_models_are_never_half_loaded(fault):
    net = NETS["heatmap"]()
    state = FAULTS[fault]({key: torch.full_like(value, 7) for key, value in papers(net).items()})
    before = {key: value.clone() for key, value in net.state_dict().items()}
    with pytest.raises(InputError, match=r"layer9|final_layer\.bias"):
        load_official(net, state, "file.pth")
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


def test_at_most_five_names_are_shown():
    net = NETS["heatmap"]()
    state = papers(net) | {f"layer9.{i}.weight": torch.zeros(1) for i in range(9)}
    with pytest.raises(InputError, match=r"9 of \d+ entries fit nowhere.*layer9\.4\.weight, \.\.\.") as refused:
        load_official(net, state, "file.pth")
    assert str(refused.value).count("layer9") == 5


def test_known_leftovers_are_reported_and_left_out():
    net = NETS["heatmap"]()
    extra = {
        "fc.weight": "ImageNet classifier",
        "ema_backbone_conv1_weight": "moving average, kept beside the weights",
        "data_preprocessor.mean": "normalisation, which the configuration sets",
        "final_layer.num_batches_tracked": "counter of a batch norm that has none here",
    }
    done = load_official(net, papers(net) | {key: torch.zeros(3) for key in extra}, "file.pth")
    assert done.unused == extra


def test_files_from_before_batch_norms_counted_load():
    net = NETS["heatmap"]()
    old = {key: value for key, value in papers(net).items() if not key.endswith("num_batches_tracked")}
    done = load_official(net, old, "file.pth")
    assert set(done.missing.values()) == {"counter of batch norm, as in old files"} and len(done.missing) == 23


def test_only_what_trains_may_be_missing_in_srpose():
    source, net = NETS["srpose"](), NETS["srpose"]()
    whole = mmpose0(source)
    side = [key for key in whole if key.split(".")[1] in ("kp_encoder", "converge") and key.split(".")[2] != "3"]
    done = load_official(net, {key: value for key, value in whole.items() if key not in side}, "file.pth")
    assert set(done.missing.values()) == {"runs in training alone"} and len(done.missing) == len(side) == 12
    assert all(key.startswith("head.side.") for key in done.missing)
    with pytest.raises(InputError, match=r"missing \(head\.main\.converge\.weight"):
        load_official(net, {key: value for key, value in whole.items() if ".converge.3.conv.weight" not in key}, "f")


def test_half_precision_files_load():
    net = NETS["heatmap"]()
    half = {key: value.half() if value.is_floating_point() else value for key, value in papers(net).items()}
    load_official(net, half, "file.pth")
    assert net.head.final_layer.weight.dtype == torch.float32


def test_destinations_of_entries():
    due = {
        "module.layer1.0.conv1.weight": "backbone.trunk.layer1.0.conv1.weight",
        "head.deconv_head.final_layer.bias": "head.final_layer.bias",
        "head.layer1.0.conv1.weight": None,
    }
    assert destinations(NETS["simcc"](), due) == due
