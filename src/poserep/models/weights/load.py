"""Loads weights into networks: every entry of a file is accounted for, and all of them are loaded or none."""

import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from timm.layers.pos_embed import resample_abs_pos_embed
from torch import Tensor, nn

from poserep.errors import InputError
from poserep.models.weights.hugging_face import from_hub
from poserep.models.weights.recognise import remedy, shape_remedy

# Prefixes of the parts' own names: DataParallel's, then mmpose's for either part. Its SimCC head keeps deconvolutions
# and last convolution in a heatmap head of its own.
SIDE_PREFIXES = ("module.", "model.")
PART_PREFIXES = {"backbone.": "backbone", "keypoint_head.": "head", "head.deconv_head.": "head", "head.": "head"}
# Prefixes of a trunk's names in files of whole models, ours too.
TRUNK_PREFIXES = re.compile(r"(?:(?:module|model|net|backbone|trunk)\.)+")
COUNTER = "num_batches_tracked"
# Entries that pose models have no use for, and what they are.
LEFTOVERS = {
    re.compile(r"(.*\.)?num_batches_tracked"): "counter of a batch norm that has none here",
    re.compile(r"(module\.)?(backbone\.)?fc\.(weight|bias)"): "ImageNet classifier",
    re.compile(r"ema_.*"): "moving average, kept beside the weights",
    re.compile(r"data_preprocessor\..*"): "normalisation, which the configuration sets",
}
# Fixed tables of positions, which follow from the input's size: buffers, in the published code among the parameters.
# They differ from the published ones by rounding alone.
POSITION_TABLE, ROUNDING = "pos_embedding", 1e-4


@dataclass(frozen=True)
class Imported:
    """What became of the entries of a file.

    ``mapped`` are names in the model by names in the file, ``unused`` reasons by names that the model has no place for,
    ``missing`` reasons by names in the model that the file lacks, so that they keep their values.
    """

    mapped: dict[str, str]
    unused: dict[str, str]
    missing: dict[str, str]


def load_trunk(trunk: nn.Module, state: Mapping[str, Tensor], source: str) -> Imported:
    """Load ImageNet weights, or a pose model's, into a trunk; the file may hold more parts, never less.

    Names are the trunk's own, or those that it translates (``official``, see `destinations`); tables of positions are
    resized where it does so (``resampled``). A tensor that is missing, has another shape or is not finite, more of a
    part that the trunk has, as of a deeper network, and a fixed table of positions for another size are an
    `InputError`; the trunk is then unchanged.
    """
    state, own = resized(trunk, from_hub(state, source)), trunk.state_dict()
    names = {key: trunk_name(trunk, key) for key in state}
    mapped = {key: name for key, name in names.items() if name in own}
    if not mapped and (inner := without_top(state)):
        return load_trunk(trunk, inner, source)
    unused = {key: f"{name.split('.')[0]}, another part" for key, name in names.items() if name not in own}
    source, advice = f"weights {source}", remedy(state, own, trunk=True)
    if not _lacking(own, mapped.values()):
        refuse_deeper(own, {key: names[key] for key in unused}, source, advice)
    return Imported(mapped, unused, assign(trunk, own, state, mapped, source, advice))


def trunk_name(trunk: nn.Module, key: str) -> str:
    """Return a trunk's own name for an entry of a file, or what the file calls it below its prefixes."""
    name = TRUNK_PREFIXES.sub("", key, count=1)
    return _translated(trunk, name) or name


def without_top(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors by their names below the part that holds them all, whatever it is called; empty if none does."""
    tops = {key.partition(".")[0] for key in state}
    return {} if len(tops) > 1 else {key.partition(".")[2]: value for key, value in state.items() if "." in key}


def refuse_deeper(own: Iterable[str], unused: Mapping[str, str], source: str, advice: str) -> None:
    """Raise an `InputError` if a file has more of the parts that a trunk has; ``unused`` are names by key."""
    tops = {name.split(".")[0] for name in own}
    # The rows of HRNet's last fusion that make coarser maps are cut off where nothing reads these.
    extra = [key for key in unused if ".fuse_layers." not in key and not key.endswith(COUNTER)]
    extra = [key for key in extra if unused[key].split(".")[0] in tops]
    if extra:
        raise InputError(
            f"{source}: {len(extra)} entries belong to parts of the trunk but fit nowhere, for example {_some(extra)}; "
            f"{advice or 'this is another network'}"
        )


def resized(trunk: nn.Module, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Return a file's tensors as a trunk wants them: vision transformers resample a table of positions."""
    resample = getattr(trunk, "resampled", None)
    return resample(state) if resample else state


def resample_positions(
    state: Mapping[str, Tensor], table: Tensor, grid: Sequence[int], extra: int
) -> dict[str, Tensor]:
    """Return a file's tensors with a table of another square grid resampled to ``grid`` (rows, columns).

    That is done bicubically, as in ViTPose's code. The trunk's ``table``, in files ``pos_embed``, is (1, extra +
    positions, features), of which ``extra`` entries stand for no position, such as that of the class token; the file's
    entry for it is left out if there is none here. Another length that is not that of a square is left as it is.
    """
    state = dict(state)
    entries = {key.split(".")[-1]: key for key in state}
    key = entries.get("pos_embed")
    if key and state[key].shape != table.shape and state[key].is_floating_point():
        given = state[key].to(table.dtype)
        theirs = next((n for n in (extra, *([1] if "cls_token" in entries else [])) if _square(given, n)), None)
        if theirs is not None and given.shape[2] == table.shape[2]:
            positions = resample_abs_pos_embed(given[:, theirs:], list(grid), num_prefix_tokens=0, antialias=False)
            state[key] = torch.cat([given[:, :extra], positions], 1)
    return state


def destinations(net: nn.Module, keys: Iterable[str]) -> dict[str, str | None]:
    """Return where the entries of an official checkpoint belong in a `PoseNet`; None for those that belong nowhere.

    Backbones and heads translate the names that published code gives to their parts (``official``, a method from such
    a name to their own or None); those that don't have the same names.
    """
    parts = {side: net.get_submodule(side) for side in ("backbone", "head")}
    entries = {side: set(part.state_dict()) for side, part in parts.items()}

    def destination(key: str) -> str | None:
        for wrapper in SIDE_PREFIXES:
            key = key.removeprefix(wrapper)
        prefix = next((prefix for prefix in PART_PREFIXES if key.startswith(prefix)), "")
        key = key.removeprefix(prefix)
        for side in [PART_PREFIXES[prefix]] if prefix else parts:
            own = _translated(parts[side], key)
            for name in (own, f"trunk.{own}"):
                if own is not None and name in entries[side]:
                    return f"{side}.{name}"
        return None

    return {key: destination(key) for key in keys}


def _translated(part: nn.Module, key: str) -> str | None:
    translate = getattr(part, "official", None)
    return translate(key) if translate else key


def load_official(net: nn.Module, state: Mapping[str, Tensor], source: str) -> Imported:
    """Load a whole official pose model into backbone and head; parts that only training runs may be missing.

    Raises an `InputError`, with the model unchanged, if an entry finds no place and is no known leftover, or for the
    reasons of `load_trunk`.
    """
    own = {key: value for key, value in net.state_dict().items() if key.startswith(("backbone.", "head."))}
    state = from_hub(state, source)
    # All of them our own names is how poserep export writes weights.
    places = {key: key for key in state} if own.keys() >= state.keys() else destinations(net, state)
    mapped = {key: place for key, place in places.items() if place is not None}
    if not mapped and (inner := without_top(state)):
        return load_official(net, inner, source)
    unused = {
        key: next((why for pattern, why in LEFTOVERS.items() if pattern.fullmatch(key)), "")
        for key in places
        if key not in mapped
    }
    unknown = [key for key, why in unused.items() if not why]
    source, advice = f"weights {source}", remedy(state, own)
    if unknown:
        raise InputError(
            f"{source}: {len(unknown)} of {len(state)} entries fit nowhere in the model, for example {_some(unknown)}; "
            f"{advice or 'its parts have other names, or more layers, than backbone and head here'}"
        )
    spare = {
        f"{name}.{key}"
        for name, module in net.named_modules()
        if getattr(module, "training_only", False)
        for key in module.state_dict()
    }
    return Imported(mapped, unused, assign(net, own, state, mapped, source, advice, spare))


def _lacking(own: Iterable[str], places: Iterable[str], spare: Iterable[str] = ()) -> list[str]:
    """Return the entries of the model that must be given and are not."""
    return sorted(key for key in {*own} - {*places} - {*spare} if not key.endswith(COUNTER))


def assign(
    module: nn.Module,
    own: Mapping[str, Tensor],
    state: Mapping[str, Tensor],
    mapped: Mapping[str, str],
    source: str,
    advice: str,
    spare: Collection[str] = (),
) -> dict[str, str]:
    """Load the mapped tensors, all or none; return the entries of the model that keep their values, and why.

    ``spare`` are the entries that may be missing. Other shapes, types of numbers or fixed positions, and numbers that
    are not finite, are an `InputError` that ends in the advice.
    """
    given, advice = {key: state[key] for key in mapped}, f"; {advice}" if advice else ""
    twice = [place for place, n in Counter(mapped.values()).items() if n > 1]
    if twice:
        both = [key for key, place in mapped.items() if place == twice[0]]
        raise InputError(f"{source}: {' and '.join(both)} are one entry of the model, {twice[0]}; remove one of them")
    lacking = _lacking(own, mapped.values(), spare)
    if lacking:
        raise InputError(f"{source}: {len(lacking)} of {len(own)} tensors are missing ({_some(lacking)}){advice}")
    for key, value in given.items():
        expected = own[mapped[key]]
        theirs, ours = tuple(value.shape), tuple(expected.shape)
        if theirs != ours:
            why = shape_remedy(mapped[key], theirs, ours)
            raise InputError(f"{source}: {key} has shape {theirs}, the model {ours}{f'; {why}' if why else advice}")
        if value.is_floating_point() != expected.is_floating_point():
            raise InputError(f"{source}: {key} has numbers of type {value.dtype}, the model of {expected.dtype}")
    broken = [key for key, value in given.items() if value.is_floating_point() and not torch.isfinite(value).all()]
    if broken:
        raise InputError(f"{source}: {len(broken)} tensors hold numbers that are not finite ({_some(broken)})")
    fixed = {place for place, _ in module.named_buffers() if POSITION_TABLE in place}
    for key in (key for key in given if mapped[key] in fixed):
        off = (given[key].float() - own[mapped[key]].float()).abs().max().item()
        if off > max(ROUNDING, torch.finfo(given[key].dtype).eps):
            raise InputError(
                f"{source}: {key} has as many positions as the model, but others (off by {off:.2g}): most likely the "
                "file is for an input of another size, as with height and width exchanged: change size=... (positions "
                "that were learnt find no place here)"
            )
    module.load_state_dict({mapped[key]: value for key, value in given.items()}, strict=False)
    kept = {*own} - {*mapped.values()}
    return {
        key: "runs in training alone" if key in spare else "counter of batch norm, as in old files"
        for key in sorted(kept)
    }


def _square(table: Tensor, extra: int) -> bool:
    positions = table.shape[1] - extra if table.ndim == 3 and len(table) == 1 else 0
    return positions > 0 and math.isqrt(positions) ** 2 == positions


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
