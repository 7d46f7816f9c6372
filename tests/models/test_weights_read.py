"""Files of weights: nothing in them is executed, what they hold is found, refusals say why."""

import pickle
import shutil
import sys
import types
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from poserep.errors import InputError
from poserep.models.weights.read import read_state, read_weights
from poserep.runs.identity import contents


class Call:
    """Calls something when unpickled."""

    def __init__(self, function, *arguments) -> None:
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def test_pickled_code_is_refused_and_not_executed(tmp_path):
    mark, file = tmp_path / "mark", tmp_path / "evil.pth"
    evil = Call(Path.write_text, mark, "executed")
    legacy = partial(torch.save, _use_new_zipfile_serialization=False)
    message = r"(?i)evil\.pth cannot be read as tensors.*nothing of (it|them) was executed"
    for save in (torch.save, legacy, lambda content, path: path.write_bytes(pickle.dumps(content))):
        for content in ({"conv1.weight": evil}, {"state_dict": {"a": torch.ones(1)}, "meta": {"config": evil}}):
            save(content, file)
            with pytest.raises(InputError, match=message):
                read_state(file)
            assert not mark.exists()


def snippet_of(path: str, message: str) -> str:
    """The way out that a refusal proposes."""
    with pytest.raises(InputError, match=f"(?s){message}.*Nothing of it was executed") as refused:
        read_state(path)
    return "\n".join(line.strip() for line in str(refused.value).splitlines()[1:])


def test_what_a_file_would_call_is_named_with_a_way_out_that_works(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for function, name in ((shutil.rmtree, "shutil.rmtree"), (exec, "exec")):
        beside = {"meta": Call(function, "1"), "kind": nn.Identity()}
        torch.save({"state_dict": {"a": torch.ones(2)}, **beside}, "m.pth")
        snippet = snippet_of("m.pth", f"the file names {name}, which")
    # The last of them does no harm.
    exec(snippet, {})
    assert torch.equal(read_state("m_tensors.pth")["a"], torch.ones(2))


def test_mmengine_files_load_past_their_arrays_and_histories(tmp_path, monkeypatch):
    class HistoryBuffer:
        """A class of the name that mmengine's training checkpoints hold."""

        def __init__(self) -> None:
            self._log_history = np.array([1.0, 2.0])

        def __setstate__(self, state) -> None:
            raise AssertionError("mmengine's class was restored")

    for name in ("mmengine", "mmengine.logging", "mmengine.logging.history_buffer"):
        module = types.ModuleType(name)
        monkeypatch.setitem(sys.modules, name, module)
    module.HistoryBuffer = HistoryBuffer
    HistoryBuffer.__module__, HistoryBuffer.__qualname__ = module.__name__, "HistoryBuffer"
    meta = {"sigmas": np.full(17, 0.1, np.float32), "epoch": np.int64(3), "names": np.array([{"a": 1}], dtype=object)}
    beside = {"meta": meta, "message_hub": {"loss": HistoryBuffer()}, "optimizer": {"state": {}}}
    torch.save({"state_dict": {"a": torch.ones(2)}, **beside}, tmp_path / "mm.pth")
    allowed = set(torch.serialization.get_safe_globals())
    found = read_weights(tmp_path / "mm.pth")
    assert torch.equal(found.tensors["a"], torch.ones(2)) and found.beside == ["message_hub", "meta", "optimizer"]
    assert set(torch.serialization.get_safe_globals()) == allowed


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\n<!DOCTYPE html><html>", "this is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "this is a pointer of Git LFS"),
        (b"hello, this is text", r"\(this is text, which begins with 'hello, this is text'\)"),
        (b'{"a": 1}', r"\(this is text, which begins with '{\"a\": 1}'\)"),
        ("\nepoch 1\nloss é " + 300 * "é", r"\(this is text, which begins with 'epoch 1'\)"),
        (bytes([0x7B, 0xFF, 0]), r"\(its bytes are not those of any file of weights known here\)"),
        *((content, "damaged, or no checkpoint") for content in (
            b"\x1f\x8b\x08\x00", b"", b"PK\x03\x04 and no archive", bytes(range(256)) * 20, pickle.dumps([1, 2, 3])
        )),
    ],
)  # fmt: skip
def test_files_that_are_no_checkpoint_are_told(tmp_path, content, message):
    for suffix in ("pth", "safetensors"):
        file = tmp_path / f"file.{suffix}"
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        found = message if suffix == "pth" or "(" not in message else "damaged"
        with pytest.raises(InputError, match=f"cannot be read as tensors: .*{found}") as refused:
            read_state(file)
        assert "weights_only" not in str(refused.value) and "\n" not in str(refused.value)


def test_safetensors_load_under_any_name(tmp_path):
    # Lengths of the header that begin as a web page's first character and as spaces do are among those of all writers.
    for letters in range(1, 9):
        header = '{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'.ljust(0x3C + letters - 1)
        for suffix in ("pth", "bin", "safetensors"):
            file = tmp_path / f"s{letters}.{suffix}"
            file.write_bytes(len(header).to_bytes(8, "little") + header.encode() + np.ones(2, np.float32).tobytes())
            assert torch.equal(read_state(file)["a"], torch.ones(2))


def test_scripts_are_told_with_a_way_out_that_works(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)).eval()
    torch.jit.save(torch.jit.script(net), "net.pt")
    exec(snippet_of("net.pt", "this is a TorchScript archive"), {})
    found = read_state("net_tensors.pth")
    assert found.keys() == net.state_dict().keys()
    assert all(torch.equal(value, found[key]) for key, value in net.state_dict().items())


def test_archives_that_unpack_to_more_are_refused_unread(tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(10**6))
    with pytest.raises(InputError, match="bytes would unpack to 1,000,000"):
        read_state(tmp_path / "bomb.pth")


def test_truncated_and_missing_files_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"none\.pth do not exist"):
        read_state(tmp_path / "none.pth")
    with pytest.raises(InputError, match="are a folder"):
        read_state(tmp_path)
    for save, name in ((torch.save, "cut.pth"), (save_file, "cut.safetensors")):
        save({"a": torch.randn(64, 64), "b": torch.randn(64)}, tmp_path / name)
        whole = (tmp_path / name).read_bytes()
        for part in (0.0, 0.1, 0.95):
            (tmp_path / name).write_bytes(whole[: int(len(whole) * part)])
            with pytest.raises(InputError, match="cannot be read as tensors"):
                read_state(tmp_path / name)


def test_files_without_a_state_dict_are_refused(tmp_path):
    for content, message in (
        ([1, 2], "but a list"),
        ({}, "they hold nothing"),
        ({"epoch": 3}, "'epoch' is a int"),
        ({3: torch.zeros(1)}, "'3' is a Tensor"),
        ({"a": torch.zeros(1), "b": np.ones(2)}, "'b' is a"),
        ({"a": torch.zeros(3).to_sparse()}, "'a' is a Tensor"),
        ({"a": torch.zeros(3, device="meta")}, "'a' is a Tensor"),
        ({"a": torch.quantize_per_tensor(torch.zeros(3), 0.1, 0, torch.qint8)}, "'a' is a Tensor"),
    ):
        torch.save(content, tmp_path / "other.pth")
        with pytest.raises(InputError, match=f"hold no state dict.*{message}"):
            read_state(tmp_path / "other.pth")


def test_common_wrappers_are_opened(tmp_path):
    for wrap in (
        lambda s: s,
        lambda s: {"state_dict": s, "epoch": 1},
        lambda s: {"model": s},
        # HRNet's own code: the model's name, and the best epoch's weights beside the last one's.
        lambda s: {"model": "pose_hrnet", "state_dict": s, "best_state_dict": {"a": torch.zeros(2)}, "perf": 0.7},
        lambda s: {"model_state_dict": s},
        lambda s: {"net": s, "optimizer": {}},
        lambda s: {"state_dict_ema": s},
        lambda s: {"state_dict": s, "state_dict_ema": {"a": torch.zeros(2)}},
        lambda s: {f"_orig_mod.{key}": value for key, value in s.items()},
        lambda s: {**s, "_metadata": {"": {"version": 1}}},
    ):
        torch.save(wrap({"a": torch.ones(2)}), tmp_path / "w.pth")
        assert torch.equal(read_state(tmp_path / "w.pth")["a"], torch.ones(2))


def test_an_entry_of_a_file_is_taken_by_its_name(tmp_path):
    path = tmp_path / "w.pth"
    torch.save({"state_dict": {"a": torch.ones(2)}, "ema": {"model": {"b._orig_mod.a": torch.zeros(2)}}}, path)
    assert set(read_state(f"{path}#ema")) == {"b.a"} and set(read_state(path)) == {"a"}
    with pytest.raises(InputError, match=r"w\.pth have no entry 'best' with a state dict; ema, state_dict"):
        read_state(f"{path}#best")
    odd = path.rename(tmp_path / "w#1.pth")
    assert set(read_state(odd)) == {"a"} and set(read_state(f"{odd}#ema")) == {"b.a"}


def test_entries_of_a_file_are_other_runs(configure, tmp_path):
    torch.save({"state_dict": {}, "ema": {}}, tmp_path / "w.pth")
    words = ("", "#ema", "#state_dict")
    found = [contents(configure(f"backbone.weights='{tmp_path}/w.pth{word}'"))["weights"] for word in words]
    assert len(set(found)) == 3 and len({text.split("#")[0] for text in found}) == 1
