"""Starts a network from weights of another one: what fits by name and shape is taken, the rest begins anew."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from poserep.errors import InputError
from poserep.models.weights.hugging_face import from_hub
from poserep.models.weights.load import (
    COUNTER,
    LEFTOVERS,
    POSITION_TABLE,
    Imported,
    assign,
    destinations,
    refuse_deeper,
    resized,
    trunk_name,
    without_top,
)
from poserep.models.weights.recognise import look, remedy, shape_remedy

# What wraps a whole network's names in files, also in those of our own runs.
WRAPPERS = re.compile(r"(?:(?:module|model|net|network)\.)+")
# What follows from the configuration in our own checkpoints.
CONSTANTS = re.compile(r"scale|offset|codec\..*")
# Rows of HRNet's last fusion that only heads on several maps need.
FUSION = ".fuse_layers."
# Parts that a line names at most.
LISTED = 6


@dataclass(frozen=True)
class PerJoint:
    """The joints of a network, and of the weights that it starts from.

    ``number`` is K, ``tensors`` the names of those whose shapes depend on it, ``other`` how the joints of the weights
    differ, in a few words, if their number is the same.
    """

    number: int
    tensors: Collection[str]
    other: str = ""


def transfer(net: nn.Module, state: Mapping[str, Tensor], source: str, joints: PerJoint) -> Imported:
    """Load what fits of a checkpoint, of one of our runs or an official one, into a `PoseNet`; see `Imported`.

    Layers are taken whole or begin anew; of the backbone that may be those alone that depend on the joints. Another
    backbone, and what `assign` refuses, are an `InputError`; the network is then unchanged.
    """
    own = {name: value for name, value in net.state_dict().items() if name.startswith(("backbone.", "head."))}
    backbone = net.get_submodule("backbone")
    state = resized(backbone, from_hub(state, source))
    state = {key: value for key, value in state.items() if not is_constant(key)}
    mapped, unused = dict[str, str](), dict[str, str]()
    for key, place in _places(net, state, own).items():
        if place is not None:
            mapped[key] = place
        elif not key.endswith(COUNTER):
            unused[key] = next((why for pattern, why in LEFTOVERS.items() if pattern.fullmatch(key)), "")
    if not mapped and (inner := without_top(state)):
        return transfer(net, inner, source, joints)
    fixed = _fixed_tables(net)
    given = {place: state[key] for key, place in mapped.items()}
    why = {
        name: _misfit(given.get(name), value, joints, name)
        for name, value in own.items()
        if not name.endswith(COUNTER) and name not in fixed
    }
    layers = {_layer(net, name): reason for name, reason in why.items() if reason}
    anew = {name: layers[_layer(net, name)] for name in why if _layer(net, name) in layers}
    for key in [key for key, place in mapped.items() if place in fixed and state[key].shape != own[place].shape]:
        unused[key] = "positions of another size"
        del mapped[key]
    source, advice = f"init {source}", remedy(state, own, trunk=True)
    free = {_layer(net, name) for name in joints.tensors}
    lacking = [name for name in anew if name.startswith("backbone.") and _layer(net, name) not in free]
    # Heads that read several maps need more rows of the last fusion.
    lacking = [name for name in lacking if FUSION not in name or name in given]
    if lacking:
        some = ", ".join(f"{name}: {anew[name]}" for name in lacking[:3])
        hints = (shape_remedy(n, tuple(given[n].shape), tuple(own[n].shape)) for n in lacking if n in given)
        advice = advice or next(filter(None, hints), "take the backbone=... that it was trained with")
        if hasattr(backbone, "pretrained_part") and look(state).head in ("", "ImageNet classifier"):
            advice = "a trunk alone is taken by backbone.weights=FILE"
        raise InputError(
            f"{source}: {len(lacking)} of the backbone's {sum(n.startswith('backbone.') for n in why)} tensors do not "
            f"fit ({some}{', ...' if len(lacking) > 3 else ''}), and a backbone is taken whole or not at all; the file "
            f"looks like {look(state)}; {advice}"
        )
    names = {key: trunk_name(backbone, WRAPPERS.sub("", key, count=1)).removeprefix("trunk.") for key in unused}
    parts = [name.removeprefix("backbone.").removeprefix("trunk.") for name in own if name.startswith("backbone.")]
    refuse_deeper(parts, names, source, advice)
    mapped = {key: place for key, place in mapped.items() if place not in anew}
    assign(net, own, state, mapped, source, advice, spare=own)
    return Imported(mapped, unused, anew)


def _fixed_tables(net: nn.Module) -> set[str]:
    """Return the names of tables of positions, which follow from the input's size and are neither taken nor anew."""
    return {name for name, _ in net.named_buffers() if POSITION_TABLE in name}


def is_constant(key: str) -> bool:
    """Return whether an entry of one of our own checkpoints follows from the configuration, and is no weight."""
    return CONSTANTS.fullmatch(WRAPPERS.sub("", key, count=1)) is not None


def _places(net: nn.Module, state: Iterable[str], own: Collection[str]) -> dict[str, str | None]:
    """Return where the entries of a file belong: by our own names, or by those of published code."""
    names = {key: WRAPPERS.sub("", key, count=1) for key in state}
    theirs = destinations(net, (name for name in names.values() if name not in own))
    return {key: name if name in own else theirs[name] for key, name in names.items()}


def _misfit(given: Tensor | None, value: Tensor, joints: PerJoint, name: str) -> str:
    """Say why a tensor of the model cannot be taken from a file; empty if it can."""
    if given is None:
        return "not in the file"
    theirs, ours = tuple(given.shape), tuple(value.shape)
    if theirs == ours:
        return joints.other if name in joints.tensors else ""
    if name in joints.tensors and len(theirs) == len(ours):
        (a, b), *more = [(a, b) for a, b in zip(theirs, ours, strict=True) if a != b]
        if not more and a * joints.number % b == 0:
            return f"{a * joints.number // b} → {joints.number} joints"
    return " → ".join("x".join(map(str, shape)) for shape in (theirs, ours))


def _layer(net: nn.Module, name: str) -> str:
    """Return the layer that a tensor belongs to: its module if that has no others below, else the tensor itself."""
    module = name.rpartition(".")[0]
    return name if any(net.get_submodule(module).children()) else module


def account(net: nn.Module, done: Imported) -> str:
    """Say what a network took from a file, what begins anew, and what of the file was left, on one line."""
    fixed = _fixed_tables(net)
    own = [name for name in net.state_dict() if name.startswith(("backbone.", "head.")) and name not in fixed]
    own = [name for name in own if not name.endswith(COUNTER)]
    taken = {*own}.intersection(done.mapped.values())
    counts = [
        f"{side} {len(_of(side, taken))} of {len(every)}" for side in ("backbone", "head") if (every := _of(side, own))
    ]
    anew = {name: done.missing[name] for name in own if name in done.missing}
    text = f"{counts[0]} tensors{''.join(f', {count}' for count in counts[1:])}"
    if anew:
        text += f"; begin anew: {_listed(_groups(anew, own))}"
    if done.unused:
        tops = dict.fromkeys(_part(key) + (f" ({why})" if why else "") for key, why in done.unused.items())
        entries = "1 entry" if len(done.unused) == 1 else f"{len(done.unused)} entries"
        text += f"; not taken: {entries} of the file ({_listed(list(tops))})"
    return text


def _of(side: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(f"{side}.")]


def _part(key: str) -> str:
    """Return the part of a network that an entry of a file belongs to."""
    parts = WRAPPERS.sub("", key, count=1).split(".")
    return ".".join(parts[: 2 if parts[0] in ("backbone", "head", "keypoint_head", "trunk") else 1])


def _groups(anew: Mapping[str, str], own: Iterable[str]) -> list[str]:
    """Return the largest parts that begin anew as a whole, with the reasons."""
    kept = {prefix for name in own if name not in anew for prefix in _prefixes(name)}
    groups: dict[str, dict[str, None]] = {}
    for name, why in anew.items():
        part = next(prefix for prefix in _prefixes(name) if prefix not in kept)
        groups.setdefault(part, {})[why] = None
    return [part + (f" ({_listed(list(why), 2)})" if any(why) else "") for part, why in groups.items()]


def _prefixes(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[: n + 1]) for n in range(len(parts))]


def _listed(texts: list[str], most: int = LISTED) -> str:
    return ", ".join(texts[:most]) + (", ..." if len(texts) > most else "")
