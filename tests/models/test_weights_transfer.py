"""Networks that start from others: what is taken, what begins anew, what is refused, and what is said of it."""

from functools import partial

import pytest
import timm
import torch

from model_cases import TINY, build, resnet, tokens
from poserep.codecs import Heatmap, MultiScale, SimCC
from poserep.errors import InputError
from poserep.models import AxisLinear, Deconv, Hourglass, HRNet, SRPose, StackedMaps, TimmFeatures, TokenPose
from poserep.models.weights.load import load_official, load_trunk
from poserep.models.weights.read import read_state
from poserep.models.weights.transfer import PerJoint, account, transfer
from state_dicts import LAYOUTS, papers

SIMCC = SimCC("64x64")


def simcc(joints=17, backbone=None):
    return build(backbone or resnet(name=TINY), AxisLinear, SIMCC, joints, width=16)


def heatmap(joints=17, backbone=None):
    return build(backbone or resnet(name=TINY), Deconv, Heatmap("64x64"), joints, width=16)


def hourglass(joints=17):
    return build(Hourglass(joints, 2, 32, 2), StackedMaps, Heatmap("64x64"), joints)


def tokenpose(joints=17):
    return tokens(partial(TokenPose, patch=(4, 4), depths=(1,)), joints=joints)("64x64")


def started(make, state, joints=17, other=""):
    """A network with `joints` joints that has started from a file, and what became of the file."""
    net = make(joints)
    with torch.device("meta"):
        more = make(joints + 1).state_dict()
    depend = {name for name, value in net.state_dict().items() if value.shape != more[name].shape}
    return net, transfer(net, state, "w.pth", PerJoint(joints, depend, other))


def own(net):
    return {f"net.{key}": value for key, value in net.state_dict().items()} | {"codec.temperature": torch.ones(())}


@pytest.mark.parametrize("layout", [own, *LAYOUTS.values()])
def test_other_joints_begin_the_last_layer_anew_and_all_else_is_taken(layout):
    source = simcc()
    net, done = started(simcc, layout(source), 21)
    kept, theirs = net.state_dict(), source.state_dict()
    same = [key for key in theirs if kept[key].shape == theirs[key].shape and torch.equal(kept[key], theirs[key])]
    assert {*theirs} - {*same} == {"head.final_layer.weight", "head.final_layer.bias"} == {*done.missing}
    trunk = len([key for key in theirs if key.startswith("backbone.") and "num_batches" not in key])
    head = len([key for key in theirs if key.startswith("head.") and "num_batches" not in key])
    assert account(net, done) == (
        f"backbone {trunk} of {trunk} tensors, head {head - 2} of {head}; begin anew: head.final_layer (17 → 21 joints)"
    )


def test_joints_that_differ_are_no_fit_though_their_number_is_the_same():
    source = heatmap()
    net, done = started(heatmap, own(source), other="joints in another order")
    assert account(net, done).endswith("begin anew: head.final_layer (joints in another order)")
    assert not torch.equal(net.head.final_layer.weight, source.head.final_layer.weight)
    net, done = started(heatmap, own(source))
    assert "anew" not in account(net, done) and torch.equal(net.head.final_layer.bias, source.head.final_layer.bias)


@pytest.mark.parametrize(
    ("make", "anew"),
    [
        (tokenpose, "backbone.keypoint_token"),
        (hourglass, "backbone.score (17 → 21 joints), backbone.score_"),
    ],
)
def test_joints_within_a_backbone_begin_anew(make, anew):
    net, done = started(make, own(make(17)), 21)
    assert account(net, done).endswith(f"begin anew: {anew} (17 → 21 joints)")


def test_a_trunk_goes_from_one_representation_to_another():
    def srpose(joints):
        return build(HRNet(18, multiscale=True), SRPose, MultiScale("64x64"), joints)

    source = heatmap(backbone=HRNet(18))
    net, done = started(srpose, own(source))
    # Of the last fusion the source has the finest row alone.
    assert "begin anew: backbone.trunk.stage4.2.fuse_layers.1 (not in the file)" in account(net, done)
    assert torch.equal(net.backbone.trunk.conv1.weight, source.backbone.trunk.conv1.weight)
    net, done = started(partial(heatmap, backbone=HRNet(18)), own(net))
    assert all(key.split(".")[1] == "head" or "fuse_layers" in key for key in done.unused)
    assert "head 0 of 2" in account(net, done) and "not taken: 1" in account(net, done)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (lambda: own(heatmap(backbone=resnet(34))), "fit nowhere.*its backbone looks like resnet34, the model's"),
        (lambda: own(heatmap(backbone=TimmFeatures("resnet18", (2,)))), "50 of the backbone's 100 .*layer3.*not in"),
        (lambda: papers(heatmap(backbone=HRNet(18))), "looks like hrnet_w18, heatmap, 17 joints; its backbone looks"),
        (lambda: {"a.weight": torch.ones(3)}, "100 of the backbone's 100 tensors .*no head; take the backbone="),
    ],
)  # fmt: skip
def test_another_backbone_is_refused_and_changes_nothing(file, message):
    net = heatmap(backbone=resnet(18))
    before = {key: value.clone() for key, value in net.state_dict().items()}
    with pytest.raises(InputError, match=rf"^init w\.pth: .*{message}"):
        transfer(net, file(), "w.pth", PerJoint(17, ()))
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


WRAPPED = {
    "compiled on several GPUs": lambda s: {"model": {f"module._orig_mod.{key}": value for key, value in s.items()}},
    "a module that was compiled": lambda s: {"state_dict": {f"net._orig_mod.{key}": v for key, v in s.items()}},
    "averages": lambda s: {"epoch": 1, "state_dict_ema": {f"module.{key}": value for key, value in s.items()}},
    "a key of its own": lambda s: {"weights": s, "optimizer": {"state": {0: {"step": 1}}}, "epoch": 3},
    "one in another": lambda s: {"checkpoint": {"model": {"state_dict": s}}},
    "a name of its own": lambda s: {"state_dict": {f"pose_net.{key}": value for key, value in s.items()}},
}


@pytest.mark.parametrize("wrap", WRAPPED.values(), ids=WRAPPED)
def test_wrapped_files_are_taken_as_a_whole(wrap, tmp_path):
    state = papers(heatmap())
    torch.save(wrap(state), tmp_path / "w.pth")
    given = read_state(tmp_path / "w.pth")
    net, done = started(heatmap, given)
    assert len(done.mapped) == len(state) and not done.unused and not done.missing
    assert len(load_official(net, given, "w.pth").mapped) == len(state)
    assert not load_trunk(net.backbone, given, "w.pth").missing


def test_one_of_several_state_dicts_must_be_named(tmp_path):
    torch.save({"student": {"a": torch.ones(1)}, "teacher": {"a": torch.zeros(1)}, "epoch": 3}, tmp_path / "w.pth")
    with pytest.raises(InputError, match=r"several state dicts: student, teacher; name one, as in .*w\.pth#student"):
        read_state(tmp_path / "w.pth")
    assert read_state(f"{tmp_path}/w.pth#teacher")["a"] == 0


def test_what_is_left_of_a_file_is_named():
    state = timm.create_model("resnet18").state_dict()
    net, done = started(partial(heatmap, backbone=resnet(18)), state)
    assert account(net, done) == (
        "backbone 100 of 100 tensors, head 0 of 17; begin anew: head (not in the file); "
        "not taken: 2 entries of the file (fc (ImageNet classifier))"
    )
