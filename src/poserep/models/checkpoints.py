"""Weights from files: only tensors are read, and every key is accounted for."""

import pickle
import re
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from poserep.errors import InputError

HEAD_KEYS = (
    *("deconv_layers.", "final_layer.", "mlp_head_x.", "mlp_head_y."),
    *("predictor.", "main.", "side.", "lr_head.", "lr_fuse.", "pre_fuse.", "pre_interpolate.", "fuse.", "post_fuse."),
)


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


def load_official(net: nn.Module, state: dict[str, Tensor], source: str) -> None:
    """Load a whole official pose model (HRNet, SimpleBaseline, SimCC, mmpose 0.x layout) into backbone and head.

    Raises:
        InputError: If a key finds no place, a tensor is missing or has another shape; the model is then unchanged.
    """
    mapped = {}
    bare_keys = [key.removeprefix("module.").removeprefix("backbone.").removeprefix("keypoint_head.") for key in state]
    levels = [int(found[1]) for key in bare_keys if (found := LEVEL.fullmatch(key))]
    for bare, value in zip(bare_keys, state.values(), strict=True):
        bare = _own_name(bare, max(levels, default=0))
        mapped[f"head.{bare}" if bare.startswith(HEAD_KEYS) else f"backbone.trunk.{bare}"] = value
    unknown = sorted(set(mapped) - set(net.state_dict()))
    if unknown:
        raise InputError(f"weights {source}: {len(unknown)} keys fit nowhere in the model, for example {unknown[:3]}")
    own = {key: value for key, value in net.state_dict().items() if not key.startswith(("backbone.", "head."))}
    _load(net, mapped | own, source)


# SRPose keeps the encoders and the convolutions of all levels' predictors in two lists.
LEVEL = re.compile(r"(?:kp_encoder|converge)\.(\d)\.(?:0|conv)\.(?:weight|bias)")


def _own_name(key: str, last: int) -> str:
    if found := LEVEL.fullmatch(key):
        level = int(found[1])
        rest = key.replace(f".{level}.", ".", 1).replace("converge.conv.", "converge.")
        return f"main.{rest}" if level == last else f"side.{level}.{rest}"
    if key.startswith("kp_encoder."):
        return f"predictor.{key}"
    return key.replace("heatmap_head.", "predictor.converge.") if key.startswith("heatmap_head.") else key


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
