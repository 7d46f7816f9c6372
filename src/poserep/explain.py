"""Hydra's and OmegaConf's complaints about a command line, each as one line that says what to write instead."""

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, MissingConfigException, OverrideParseException, SearchPathException
from omegaconf import Container, DictConfig
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    InterpolationKeyError,
    OmegaConfBaseException,
    ValidationError,
)

from poserep.build import CONF
from poserep.errors import InputError
from poserep.tables.files import SWEEPS
from poserep.tables.table import key_of

# What composing a configuration raises; Hydra 1.3 has no class of its own for a group whose choice is no word.
ERRORS = (HydraException, OmegaConfBaseException, ValueError)
NEAR = 0.6
NO_WORD = "Config group override"


def understood(error: BaseException) -> bool:
    """Whether an error is about configurations, so that `explain` has something to say of it."""
    return isinstance(error, HydraException | OmegaConfBaseException) or str(error).startswith(NO_WORD)


def explain(error: BaseException, overrides: Sequence[str] = ()) -> str:
    """What is wrong with a command line, and what to write instead.

    Args:
        error: One of `ERRORS`, as composing raised it, or one of ours, which says it already.
        overrides: What was composed, as ``key=value``; options of the command line among them are passed over.

    Returns:
        One line.
    """
    given = [word for word in overrides if not word.startswith("-")]
    text = str(error)
    if isinstance(error, InputError):
        return text
    if isinstance(error, ConfigAttributeError | ConfigKeyError):
        return _unknown(str(error.full_key), error, given)
    if isinstance(error, MissingConfigException):
        return _missing(error)
    if isinstance(error, OverrideParseException):
        return _unparsable(error, given)
    if isinstance(error, SearchPathException):
        return " ".join(text.split()).replace("Additional config directory", "--config-dir:")
    if found := re.search(r"Could not (?:override|delete) (?:from config\. )?'([^']+)'", text):
        return _unknown(found[1], error.__cause__, given)
    if found := re.search(r"An item is already at '([^']+)'", text):
        return f"{found[1]} is there already: write {found[1]}=... without the +"
    if found := re.match(r"Error merging override (.*)", text):
        return f"{found[1]}: {_first(error.__cause__)}"
    if found := re.search(r"Ambiguous value for argument '([^']+)'|Sweep parameters '([^']+)'", text):
        several = found[1] or found[2]
        return f"{several} is several values: run all with -m, or write a list as {key_of(several)}=[...]"
    if text.startswith(NO_WORD):
        # Which of them it was, the error does not tell.
        chosen = ((key_of(word), word.split("=", 1)[-1]) for word in given if key_of(word) in _groups())
        wrong = [_no_choice(group, value, _choices(group)) for group, value in chosen if value not in _choices(group)]
        return "; ".join(wrong) or "a group is set to the name of one of its files, as in backbone=resnet50"
    if isinstance(error, InterpolationKeyError | ValidationError):
        return f"{error.full_key}: {_first(error)}"
    return f"{_first(error)} (HYDRA_FULL_ERROR=1 shows where)"


def _first(error: BaseException | None) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _groups() -> list[str]:
    return sorted(path.name for path in CONF.iterdir() if path.is_dir() and path.name not in ("hydra", "recipes"))


def _choices(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def suggestion(asked: str, known: Sequence[str], limit: int = 3) -> str:
    """``; did you mean …?`` with the nearest of dotted keys, best first; empty if none is near.

    What counts is the last part of a key, as ``trainer.lr`` stands for ``optim.lr``; what is before it decides among
    equals.
    """
    last = asked.split(".")[-1]

    def near(key: str) -> tuple[float, float]:
        return _similar(last, key.split(".")[-1]), _similar(asked, key)

    scored = sorted(((near(key), key) for key in known), key=lambda pair: (-sum(pair[0]), len(pair[1]), pair[1]))
    best = [(sum(score), key) for score, key in scored if score[0] >= NEAR]
    # One that is as good as certain needs no company but of those that are as good.
    if best and best[0][0] > 1.6:
        best = [(score, key) for score, key in best if score > best[0][0] - 0.1]
    named = [key for _, key in best[:limit]]
    return f"; did you mean {' or '.join(named)}?" if named else ""


def _similar(a: str, b: str) -> float:
    # batch_size stands for batch.
    begins = min(len(a), len(b)) > 2 and (a.startswith(b) or b.startswith(a))
    return max(SequenceMatcher(None, a, b).ratio(), 0.9 if begins and a != b else 0)


def _unknown(asked: str, cause: BaseException | None, given: Sequence[str]) -> str:
    plain = asked.lstrip("+~").split("@")[0]
    root = _root(cause)
    cfg = _composed(given, plain) if root is None else root
    known = list(dict.fromkeys([*keys(cfg, hydra=plain.startswith("hydra")), *_groups()]))
    line = f"no {'key' if '.' in plain else 'key or group'} {asked}"
    value = next((word.split("=", 1)[1] for word in given if key_of(word) == plain and "=" in word), "")
    of = [group for group in _groups() if value in _choices(group)]
    misspelt = any(_similar(plain, key) > 0.8 for key in known if "." not in key and key not in of)
    if of and "." not in plain and not misspelt:
        return f"{line}; did you mean {of[0]}={value}?"
    if found := suggestion(plain, known):
        return line + found
    # Of backbon.width it is backbon that is not there.
    parts = plain.split(".")
    there = max(n for n in range(len(parts)) if n == 0 or ".".join(parts[:n]) in known)
    parent, rest = ".".join(parts[:there]), ".".join(["", *parts[there + 1 :]])
    beside = [key for key in known if key.rpartition(".")[0] == parent]
    if rest and (found := suggestion(".".join(parts[: there + 1]), beside, 1)):
        return line + found.replace("?", f"{rest}?")
    children = sorted(key.split(".")[-1] for key in beside)
    return f"{line}; {parent or 'a run'} has {', '.join(children) or 'no keys'}"


def _root(cause: BaseException | None) -> Container | None:
    node = getattr(cause, "parent_node", None)
    return node._get_root() if isinstance(node, Container) else None


def _composed(given: Sequence[str], but: str) -> DictConfig:
    """The run's configuration without what could not be composed, or the usual one."""
    # A sweeper asks while Hydra is at work, and goes on with it.
    state = GlobalHydra.instance()
    at_work, state.hydra = state.hydra, None
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            try:
                return compose("config", [word for word in given if "=" in word and key_of(word) != but.lstrip("+~")])
            except ERRORS:
                return compose("config")
    finally:
        GlobalHydra.instance().hydra = at_work


def keys(node: Container, prefix: str = "", hydra: bool = False) -> Iterator[str]:
    """Dotted keys of a configuration, those of mappings before what is in them; Hydra's own only if asked for."""
    if not isinstance(node, DictConfig) or node._is_none() or node._is_missing():
        return
    for key in map(str, node):
        name = f"{prefix}{key}"
        if prefix or hydra or key != "hydra":
            yield name
            child = node._get_node(key)
            if isinstance(child, DictConfig) and not child._is_interpolation():
                yield from keys(child, f"{name}.")


def _missing(error: MissingConfigException) -> str:
    name = error.missing_cfg_file or ""
    group, _, choice = name.rpartition("/")
    if group:
        return _no_choice(group, choice, list(error.options or _choices(group)))
    sweeps = _choices(str(SWEEPS))
    if name in sweeps:
        return f"{name} is a sweep: add --config-dir sweeps"
    found = suggestion(name, [*sweeps, "config"]) or f"; there are {', '.join(sweeps)}"
    return f"no sweep or configuration {name!r}{found}"


def _no_choice(group: str, choice: str, options: Sequence[str]) -> str:
    return f"no {group} {choice!r}{suggestion(choice, options, 1) or ';'} there are {', '.join(options) or 'none'}"


def _unparsable(error: OverrideParseException, given: Sequence[str]) -> str:
    word = error.override or next((word for word in given if word in str(error)), "an override")
    if "=" not in word:
        return f"{word!r} sets nothing: write {word}=..."
    return (
        f"{word!r} is no override: overrides are written key=value, and values with brackets, quotes, = or commas in "
        f"quotes, as in \"{key_of(word)}='...'\""
    )
