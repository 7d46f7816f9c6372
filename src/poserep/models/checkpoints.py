"""Weights from files: only tensors are read, and every key is accounted for."""

import pickle
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from poserep.errors import InputError

# In front of the parts' own names: DataParallel's, then mmpose's for either part.
WRAPPERS = ("module.", "model.")
PARTS = {"backbone.": "backbone", "keypoint_head.": "head", "head.": "head"}


def read_state(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint; nothing in it is executed.

    Raises:
        InputError: If the file is missing, damaged, or holds something other than tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"weights {path} do not exist; nothing is downloaded, so give the path of a local file")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"weights {path} cannot be read as tensors: {reason}") from error
    for wrapper in ("state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise InputError(f"weights {path} hold no state dict of tensors")
    return state


def load_trunk(trunk: nn.Module, path: str | Path) -> None:
    """Load ImageNet weights into a trunk; the file may hold more (a classifier), never less.

    Raises:
        InputError: If a tensor is missing or has another shape; the trunk is then unchanged.
    """
    state = {key.removeprefix("module.").removeprefix("backbone."): v for key, v in read_state(path).items()}
    _load(trunk, {key: v for key, v in state.items() if key in trunk.state_dict()}, str(path))


@dataclass(frozen=True)
class Imported:
    """What became of the entries of an official checkpoint.

    Attributes:
        mapped: Names in the file, and in the model.
        unused: Names in the file that the model has no place for, by the reason.
        missing: Names in the model that the file lacks and that are not learnt, so that they keep their value.
    """

    mapped: dict[str, str]
    unused: dict[str, str]
    missing: list[str]


def destination(net: nn.Module, key: str) -> str | None:
    """Where an entry of an official checkpoint belongs in a `PoseNet`, or None if nowhere.

    Backbones and heads translate the names that published code gives to their parts (``official``, a method from such
    a name to their own or None); those that don't have the same names.
    """
    for wrapper in WRAPPERS:
        key = key.removeprefix(wrapper)
    sides = ["backbone", "head"]
    for prefix, side in PARTS.items():
        if key.startswith(prefix):
            key, sides = key.removeprefix(prefix), [side]
            break
    for side in sides:
        part = net.get_submodule(side)
        own = part.official(key) if hasattr(part, "official") else key
        entries = part.state_dict()
        for name in (own, f"trunk.{own}"):
            if own is not None and name in entries:
                return f"{side}.{name}"
    return None


def load_official(net: nn.Module, state: dict[str, Tensor], source: str) -> Imported:
    """Load a whole official pose model into backbone and head.

    Raises:
        InputError: If a key finds no place, a tensor is missing or has another shape; the model is then unchanged.
    """
    places = {key: destination(net, key) for key in state}
    unknown = sorted(key for key, place in places.items() if place is None)
    if unknown:
        raise InputError(f"weights {source}: {len(unknown)} keys fit nowhere in the model, for example {unknown[:3]}")
    mapped = {key: place for key, place in places.items() if place is not None}
    own = {key: value for key, value in net.state_dict().items() if not key.startswith(("backbone.", "head."))}
    given = {place: state[key] for key, place in mapped.items()}
    _load(net, given | own, source)
    return Imported(mapped, {}, sorted(set(net.state_dict()) - set(given) - set(own)))


def _load(module: nn.Module, state: dict[str, Tensor], source: str) -> None:
    wanted = module.state_dict()
    missing = sorted(key for key in wanted if key not in state and not key.endswith("num_batches_tracked"))
    if missing:
        raise InputError(f"weights {source}: {len(missing)} of {len(wanted)} tensors are missing, as {missing[:3]}")
    wrong = [key for key, value in state.items() if value.shape != wanted[key].shape]
    if wrong:
        key = wrong[0]
        raise InputError(
            f"weights {source}: {key} has shape {tuple(state[key].shape)}, the model {tuple(wanted[key].shape)}"
        )
    module.load_state_dict(state, strict=False)
