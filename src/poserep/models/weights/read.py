"""Reads the tensors of a checkpoint file; nothing in it is executed."""

import codecs
import re
import warnings
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file
from torch import Tensor

from poserep.errors import InputError
from poserep.files import file_and_entry

# First bytes of what failed downloads leave behind.
FAILED_DOWNLOADS = {
    b"<": "a web page; the download gave a page in place of the file",
    b"version https://git-lfs": "a pointer of Git LFS; fetch the file with git lfs pull",
}
# Where a file's state dict may lie; its other entries are left alone. Averaged weights come last: of a file with both
# they are asked for as FILE#state_dict_ema.
STATE_KEYS = (
    *("state_dict", "model_state_dict", "model", "module", "net", "network"),
    *("state_dict_ema", "model_ema", "ema_state_dict", "ema"),
)
# What torch.compile puts into names.
COMPILED = "_orig_mod."
# Messages of the restricted unpickler about bytes that are no pickle: operations by number, a stack without entries.
MERE_BYTES = re.compile(r"\d+|Unsupported operand \d+|.*empty list|.*index out of range")


class _Inert:
    """Stands in for a class that a file names: takes any arguments and does nothing."""

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, _: Any) -> None:
        pass


# Beside the weights mmpose's files hold arrays and numbers of NumPy, mmengine's also histories of losses. PyTorch's
# restricted unpickler takes these classes of ours for theirs, which are neither imported nor called: NumPy's pickled
# dtypes may lie about memory. An array among the weights themselves is then no tensor, and is refused as such.
INERT: list[Any] = [
    type(name, (_Inert,), {"__module__": module})
    for module, name in (
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy.core.multiarray", "scalar"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "scalar"),
        ("mmengine.logging.history_buffer", "HistoryBuffer"),
    )
]


class Weights(NamedTuple):
    """A file's state dict, and the names of its other entries, such as an optimiser's."""

    tensors: dict[str, Tensor]
    beside: list[str]


def read_state(path: str | Path) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint, see `read_weights`."""
    return read_weights(path).tensors


def read_weights(path: str | Path) -> Weights:
    """Read the tensors of a checkpoint of PyTorch or safetensors; nothing in it is executed.

    ``FILE#entry`` takes the state dict of that entry, where a file has several. Raises an `InputError` if the file is
    missing or damaged, names Python objects, or holds no state dict of tensors.
    """
    path, entry = file_and_entry(path)
    if path.is_dir():
        run = f", or start from all of that run with init={path}" if (path / "config.yaml").is_file() else ""
        raise InputError(f"weights {path} are a folder; name the file in it{run}")
    if not path.is_file():
        raise InputError(f"weights {path} do not exist; nothing is downloaded, so give the path of a local file")
    with path.open("rb") as file:
        start = file.read(256)
    # safetensors begin with a length, of 100 MB at most, and that much JSON.
    safe = start[8:10] == b'{"' and int.from_bytes(start[:8], "little") <= 10**8
    for magic, what in FAILED_DOWNLOADS.items():
        if not safe and start.lstrip().startswith(magic):
            raise InputError(f"weights {path} cannot be read as tensors: this is {what}")
    content, beside = _load(path, start, safe or path.suffix == ".safetensors"), list[str]()
    if entry and isinstance(content, dict):
        dicts = sorted(str(key) for key, value in content.items() if isinstance(value, dict))
        if entry not in dicts:
            raise InputError(f"weights {path} have no entry {entry!r} with a state dict; {', '.join(dicts) or 'none'}")
        content = content[entry]
    while isinstance(content, dict) and (inner := _state_keys(content)):
        if len(inner) > 1:
            names = ", ".join(map(str, inner))
            raise InputError(f"weights {path} hold several state dicts: {names}; name one, as in {path}#{inner[0]}")
        beside += sorted(str(key) for key in content if key != inner[0])
        content = content[inner[0]]
    if not isinstance(content, dict):
        raise InputError(f"weights {path} hold no state dict of tensors, but a {type(content).__name__}")
    kept = {key: value for key, value in content.items() if key != "_metadata"}
    state = {key.replace(COMPILED, "") if isinstance(key, str) else key: value for key, value in kept.items()}
    others = [key for key, value in state.items() if not isinstance(key, str) or not _plain(value)]
    if others or not state:
        why = f"{str(others[0])!r} is a {type(state[others[0]]).__name__}" if others else "they hold nothing"
        raise InputError(f"weights {path} hold no state dict of tensors: {why}")
    return Weights(state, beside)


def _state_keys(content: dict[Any, Any]) -> list[Any]:
    """Return where state dicts lie in a file's content: the first of the usual keys, or all others; none in itself."""
    usual = next(([key] for key in STATE_KEYS if isinstance(content.get(key), dict)), None)
    if usual or any(isinstance(value, Tensor) for value in content.values()):
        return usual or []
    return [key for key, value in content.items() if isinstance(value, dict) and _holds_tensors(value)]


def _holds_tensors(content: dict[Any, Any]) -> bool:
    inner = (content[key] for key in _state_keys(content))
    return any(isinstance(value, Tensor) for value in content.values()) or any(_holds_tensors(value) for value in inner)


def _plain(value: Any) -> bool:
    """Return whether a value is a tensor with numbers: not sparse, not quantised, not a mere shape."""
    return isinstance(value, Tensor) and value.layout == torch.strided and not (value.is_quantized or value.is_meta)


def _load(path: Path, start: bytes, safe: bool) -> Any:
    try:
        if safe:
            return load_file(path)
        _checked(path)
        # PyTorch's warnings and messages propose to load without protection; ours say what is wrong with the file.
        with torch.serialization.safe_globals(INERT), warnings.catch_warnings(action="ignore"):
            return torch.load(path, map_location="cpu", weights_only=True)
    except InputError:
        raise
    # Given bytes that are no checkpoint, the restricted unpickler fails in whatever way these lead it to.
    except Exception as error:
        refused = re.search(r"GLOBAL ([\w.]+)", str(error))
        if refused:
            raise InputError(
                f"weights {path} cannot be read as tensors: beside these the file names {refused[1]}, which would have "
                "to be called. Nothing of it was executed. If you trust whoever made the file, keep its tensors alone, "
                "where that name is installed:\n"
                f'  import torch; found = torch.load("{path.name}", map_location="cpu", weights_only=False)\n'
                '  state = found.get("state_dict", found); torch.save({k: v for k, v in state.items() if '
                f'torch.is_tensor(v)}}, "{path.stem}_tensors.pth")'
            ) from error
        raise InputError(
            f"weights {path} cannot be read as tensors: they are damaged, or no checkpoint of PyTorch "
            f"({_reason(error, start)}); nothing of them was executed"
        ) from error


def _reason(error: Exception, start: bytes) -> str:
    """Say on one line why a file was not read."""
    try:
        # A character may be cut in two at the end.
        text = codecs.getincrementaldecoder("utf-8")().decode(start).strip()
    except UnicodeDecodeError:
        text = ""
    if text and all(c.isprintable() or c.isspace() for c in text):
        return f"this is text, which begins with {text.splitlines()[0][:40]!r}"
    reason = str(error).rsplit("WeightsUnpickler error: ", 1)[-1].strip().split("\n")[0].split(". ")[0]
    if MERE_BYTES.fullmatch(reason):
        return "its bytes are not those of any file of weights known here"
    return reason or type(error).__name__


def _checked(path: Path) -> None:
    """Refuse an archive that holds a program, or that unpacks to more than itself: PyTorch compresses no tensors."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        inside = sum(entry.file_size for entry in archive.infolist())
        script = any(name.endswith("/constants.pkl") for name in archive.namelist())
    if script:
        raise InputError(
            f"weights {path} cannot be read as tensors: this is a TorchScript archive, a program with its tensors. "
            "Nothing of it was executed. Take the file of the state dict, or, if you trust whoever made this one, keep "
            "its tensors alone:\n"
            f'  import torch; net = torch.jit.load("{path.name}", map_location="cpu")\n'
            f'  torch.save(dict(net.state_dict()), "{path.stem}_tensors.pth")'
        )
    if inside > path.stat().st_size:
        raise InputError(
            f"weights {path} cannot be read as tensors: {path.stat().st_size:,} bytes would unpack to {inside:,}, and "
            "PyTorch does not compress; this is no checkpoint"
        )
