"""ViTPose as Hugging Face's Transformers name its parts: read as ViTPose's code names them, and written for its loader.

The names, shapes and settings are those of Transformers 5.24. Its attention has queries, keys and values apart; the
bias of the keys changes nothing, as the softmax does not see it, and may be missing.
"""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from poserep.errors import InputError

# The layout's name.
HUGGING_FACE = "Hugging Face"
# Parts by their names there, and in ViTPose's code (the head's as here); # is the number of a block.
HUB_PARTS = {
    "embeddings.position_embeddings": "pos_embed",
    "embeddings.patch_embeddings.projection.": "patch_embed.proj.",
    "encoder.layer.#.layernorm_before.": "blocks.#.norm1.",
    "encoder.layer.#.attention.attention.qkv.": "blocks.#.attn.qkv.",
    "encoder.layer.#.attention.output.dense.": "blocks.#.attn.proj.",
    "encoder.layer.#.layernorm_after.": "blocks.#.norm2.",
    "encoder.layer.#.mlp.": "blocks.#.mlp.",
    "layernorm.": "norm.",
    "head.deconv1.": "head.deconv_layers.0.",
    "head.batchnorm1.": "head.deconv_layers.1.",
    "head.deconv2.": "head.deconv_layers.3.",
    "head.batchnorm2.": "head.deconv_layers.4.",
    "head.conv.": "head.final_layer.",
}
ATTENTION = re.compile(r"(.*encoder\.layer\.\d+\.attention\.attention)\.(?:query|key|value)\.(weight|bias)")
THIRDS = ("query", "key", "value")
EXPERT = re.compile(r".*\.mlp\.experts\.(\d+)\.weight")
# Settings that no shape shows, by their names in config.json.
HIDDEN_SETTINGS = {"num_attention_heads": "num_heads", "layer_norm_eps": "eps"}


def from_hub(state: Mapping[str, Tensor], source: str = "") -> Mapping[str, Tensor]:
    """Return tensors by the names of ViTPose's code if theirs are those of Transformers, else as they are.

    ViTPose++, whose blocks have experts for several data sets, is an `InputError` that names the ``source``.
    """
    _refuse_experts(state, source)
    if not any(map(ATTENTION.fullmatch, state)):
        return state
    return {_renamed(key, HUB_PARTS.items()): value for key, value in _joined(state).items()}


def to_hub(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors of a ViTPose, by the names of ViTPose's code, by those of Transformers: `from_hub` backwards."""
    back, apart = [(ours, theirs) for theirs, ours in HUB_PARTS.items()], dict[str, Tensor]()
    for key, value in ((_renamed(key, back), value) for key, value in state.items()):
        if ".qkv." in key:
            apart |= {key.replace("qkv", third): part for third, part in zip(THIRDS, value.chunk(3), strict=True)}
        else:
            apart[key] = value
    return {key: value.contiguous().clone() for key, value in apart.items()}


def _joined(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors with queries, keys and values in one, in this order; those that are incomplete stay apart."""
    joined = dict(state)
    for name, kind in {match.groups() for match in map(ATTENTION.fullmatch, state) if match}:
        keys = [f"{name}.{third}.{kind}" for third in THIRDS]
        if kind == "bias" and keys[0] in state:
            joined.setdefault(keys[1], torch.zeros_like(state[keys[0]]))
        if all(key in joined for key in keys) and len({joined[key].shape for key in keys}) == 1:
            joined[f"{name}.qkv.{kind}"] = torch.cat([joined.pop(key) for key in keys])
    return joined


def _renamed(key: str, parts: Iterable[tuple[str, str]]) -> str:
    for part, instead in parts:
        pattern = re.escape(part).replace(re.escape("#"), r"(?P<block>\d+)")
        if match := re.fullmatch(rf"(?P<before>(?:.*\.)?){pattern}(?P<after>.*)", key):
            block = match.groupdict().get("block") or ""
            return match["before"] + instead.replace("#", block) + match["after"]
    return key


def _refuse_experts(state: Mapping[str, Tensor], source: str) -> None:
    numbers = sorted({int(match[1]) for match in map(EXPERT.fullmatch, state) if match})
    if numbers:
        file = source or "FILE"
        raise InputError(
            f"weights {source}: this is ViTPose++, whose blocks have {len(numbers)} experts, one for each data set "
            f"(mlp.experts.{numbers[0]} to mlp.experts.{numbers[-1]}), and no one network. Choose an expert by its "
            f"number, which makes it a ViTPose, and give the new file:\n"
            "  import torch; from poserep.models.weights.read import read_state\n"
            f'  n, state = {numbers[0]}, read_state("{file}")\n'
            '  both = {k: torch.cat([v, state[k.replace("fc2", f"experts.{n}")]]) for k, v in state.items() if '
            '".mlp.fc2." in k}\n'
            '  torch.save({k: v for k, v in (state | both).items() if ".experts." not in k}, "one_expert.pth")'
        )


def check_config(file: Path, backbone: nn.Module) -> None:
    """Raise an `InputError` if the config.json beside a file says of a network what its weights don't show otherwise.

    That is the number of attention heads and what layer norms add to the variance. Files of other networks, and those
    without a config.json, are let pass.
    """
    try:
        config = json.loads((file.parent / "config.json").read_text())["backbone_config"]
        given = {ours: config[theirs] for theirs, ours in HIDDEN_SETTINGS.items() if theirs in config}
        activation = config.get("hidden_act", "gelu")
    except (OSError, ValueError, KeyError, TypeError):
        return
    own = hidden_settings(backbone)
    if own is None:
        return
    if activation != "gelu":
        raise InputError(f"{file.parent / 'config.json'}: hidden_act={activation} is not available; ViTPose's is gelu")
    differing = [f"backbone.{key}={value}" for key, value in given.items() if value != own[key]]
    if differing:
        ours = ", ".join(f"{key}={value}" for key, value in own.items())
        raise InputError(
            f"{file}: the config.json beside it is of another network than this one ({ours}), which its weights do not "
            f"show; add {' '.join(differing)}"
        )


def hidden_settings(backbone: nn.Module) -> dict[str, Any] | None:
    """Return the `HIDDEN_SETTINGS` of a ViTPose by their names here; None for other backbones."""
    heads = {module.num_heads for name, module in backbone.named_modules() if name.endswith(".attn")}
    norms = {module.eps for module in backbone.modules() if isinstance(module, nn.LayerNorm)}
    return {"num_heads": heads.pop(), "eps": norms.pop()} if len(heads) == len(norms) == 1 else None
