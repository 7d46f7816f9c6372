"""Weights from files: nothing is executed, nothing is half loaded, every refusal says why."""

import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from model_cases import build, resnet
from poserep.codecs import Heatmap
from poserep.errors import InputError
from poserep.models import Deconv
from poserep.models.checkpoints import load_official, load_trunk, read_state


class Evil:
    """Writes a file when unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.write_text, (self.path, "executed")


def trunk() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))


@pytest.mark.parametrize("legacy", [True, False])
def test_pickled_code_is_refused_and_not_executed(tmp_path, legacy):
    mark, file = tmp_path / "mark", tmp_path / "evil.pth"
    if legacy:
        file.write_bytes(pickle.dumps({"conv1.weight": Evil(mark)}))
    else:
        torch.save({"state_dict": {"conv1.weight": Evil(mark)}}, file)
    with pytest.raises(InputError, match=r"evil\.pth cannot be read as tensors"):
        read_state(file)
    assert not mark.exists()


def test_missing_files_are_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.pth do not exist"):
        read_state(tmp_path / "none.pth")


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.95])
def test_truncated_files_are_refused(tmp_path, suffix, part):
    file = tmp_path / f"cut.{suffix}"
    state = {"a": torch.randn(64, 64), "b": torch.randn(64)}
    save_file(state, file) if suffix == "safetensors" else torch.save(state, file)
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * part)])
    with pytest.raises(InputError, match="cannot be read as tensors"):
        read_state(file)


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, torch.zeros(3)])
def test_files_without_a_state_dict_are_refused(tmp_path, content):
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(InputError, match="hold no state dict"):
        read_state(tmp_path / "other.pth")


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"state_dict": s, "epoch": 1}, lambda s: {"model": s}])
def test_common_wrappers_are_opened(tmp_path, wrap):
    torch.save(wrap({"a": torch.ones(2)}), tmp_path / "w.pth")
    assert torch.equal(read_state(tmp_path / "w.pth")["a"], torch.ones(2))


@pytest.mark.parametrize("prefix", ["", "module.", "backbone.", "module.backbone."])
def test_trunks_take_files_that_hold_more(tmp_path, prefix):
    source, target = trunk(), trunk()
    state = {prefix + key: value for key, value in source.state_dict().items()}
    torch.save(state | {"fc.weight": torch.zeros(3)}, tmp_path / "t.pth")
    load_trunk(target, tmp_path / "t.pth")
    assert all(torch.equal(a, b) for a, b in zip(source.parameters(), target.parameters(), strict=True))


@pytest.mark.parametrize("fault", ["missing", "shape"])
def test_trunks_are_never_half_loaded(tmp_path, fault):
    state, target = trunk().state_dict(), trunk()
    before = {key: value.clone() for key, value in target.state_dict().items()}
    if fault == "missing":
        del state["1.running_mean"]
    else:
        state["1.weight"] = torch.zeros(5)
    torch.save(state, tmp_path / "t.pth")
    with pytest.raises(InputError, match=r"1\.(running_mean|weight)"):
        load_trunk(target, tmp_path / "t.pth")
    assert all(torch.equal(value, before[key]) for key, value in target.state_dict().items())


@pytest.fixture(scope="module")
def net():
    return build(resnet(18), Deconv, Heatmap("64x64"))


def official(net) -> dict[str, torch.Tensor]:
    state = {k: v.clone() for k, v in net.state_dict().items() if k.startswith(("backbone.", "head."))}
    return {k.removeprefix("backbone.trunk.").removeprefix("head."): v for k, v in state.items()}


@pytest.mark.parametrize("fault", ["unknown", "missing", "shape"])
def test_official_models_are_never_half_loaded(net, fault):
    state = {key: torch.full_like(value, 7) for key, value in official(net).items()}
    before = {key: value.clone() for key, value in net.state_dict().items()}
    if fault == "unknown":
        state["layer9.weight"] = torch.zeros(1)
    elif fault == "missing":
        del state["final_layer.bias"]
    else:
        state["final_layer.bias"] = torch.zeros(16)
    with pytest.raises(InputError, match=r"layer9|final_layer\.bias"):
        load_official(net, state, "file.pth")
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


def test_official_models_of_any_prefix_load_whole(net):
    state = {key: torch.full_like(value, 2) for key, value in official(net).items()}
    mmpose = {
        ("keypoint_head." if key.startswith(("deconv_layers", "final_layer")) else "backbone.") + key: value
        for key, value in state.items()
    }
    for given in (state, {f"module.{k}": v for k, v in state.items()}, mmpose):
        load_official(net, {k: v + 1 for k, v in given.items()}, "file.pth")
        assert all((p == 3).all() for p in net.parameters())
        load_official(net, given, "file.pth")
        assert all((p == 2).all() for p in net.parameters())
