"""Overrides of the command line, ``key=value``: their parts, and what is wrong with those that do not compose."""

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import Container, DictConfig, Node, OmegaConf
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    InterpolationKeyError,
    OmegaConfBaseException,
    ValidationError,
)

from poserep.errors import InputError, first_line, similar, suggestion

CONF = Path(__file__).parents[2] / "conf"
SWEEPS = CONF.parent / "sweeps"
# What composing raises; Hydra 1.3 has no class of its own for a group whose choice is not a word.
ERRORS = (HydraException, OmegaConfBaseException, AssertionError, ValueError)
CHOICE_IS_NO_WORD = "Config group override"
HYDRA_OPTIONS = (
    *("--hydra-help", "--version", "--cfg", "--resolve", "--package", "--run", "--multirun", "--info"),
    *("--shell-completion", "--config-path", "--experimental-rerun"),
)
# What keys of version 0.1 are called now.
REMOVED = {
    "heatmap_sigma": "representation.codec.sigma",
    "simcc_sigma": "representation.codec.label.sigma",
    "dark_kernel": "representation.codec.readouts.dark.kernel",
}


@contextmanager
def hydra_at(folder: Path) -> Iterator[None]:
    """Let Hydra compose from a folder, and restore its state in this process afterwards."""
    state = GlobalHydra.instance()
    before, state.hydra = state.hydra, None
    try:
        with hydra.initialize_config_dir(str(folder.resolve()), version_base="1.3"):
            yield
    finally:
        GlobalHydra.instance().hydra = before


def key_of(override: str) -> str:
    """Return the dotted key that an override sets."""
    return override.split("=", 1)[0].lstrip("+~")


def quoted(text: str) -> str:
    """Quote any text as a value of an override."""
    return "'" + text.replace("'", r"\'") + "'"


def at_home(overrides: Iterable[str]) -> list[str]:
    """Return overrides with the user's home for ``~/``, which a shell leaves alone in them and Hydra does not parse."""
    return [re.sub(r"(?<=[=,\[])(['\"]?)~(?=/)", rf"\1{Path.home()}", word) for word in overrides]


def refuse_missing(cfg: DictConfig) -> None:
    """Raise an `InputError` if a value of a configuration must still be given."""
    if missing := sorted(OmegaConf.missing_keys(cfg)):
        raise InputError(f"{missing[0]} must be given, as in {missing[0]}=...")


def refuse_options(words: Sequence[str], own: Sequence[str]) -> None:
    """Raise an `InputError` for an option that is neither Hydra's nor one of a command's ``own``."""
    for option in (word.split("=")[0] for word in words if word.startswith("--")):
        if option not in HYDRA_OPTIONS:
            raise InputError(f"there is no option {option}{suggestion(option, [*own, *HYDRA_OPTIONS], 1)}")


def in_quotes(word: str) -> str:
    """Return what to type so that a shell and Hydra take the value of an override as one text."""
    key, _, value = word.partition("=")
    return shlex.quote(f"{key}={quoted(value)}" if '"' in value else f'{key}="{value}"')


def split_values(overrides: Sequence[str]) -> dict[str, list[str]]:
    """Return the overrides that set each key in turn, by key: ``seed=0,1`` becomes ``seed: [seed=0, seed=1]``."""
    by_key = {}
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        key = str(override.input_line).split("=", 1)[0]
        several = override.is_sweep_override()
        values = override.sweep_string_iterator() if several else [override.get_value_element_as_str()]
        by_key[key_of(key)] = [f"{key}={value}" for value in values]
    return by_key


def keys(node: Node | None, prefix: str = "", hydra: bool = False) -> Iterator[str]:
    """Yield the dotted keys of a configuration, mappings before their contents; Hydra's own only if asked for."""
    if not isinstance(node, DictConfig) or node._is_none() or node._is_missing() or node._is_interpolation():
        return
    for key in map(str, node):
        name = f"{prefix}{key}"
        if prefix or hydra or key != "hydra":
            yield name
            yield from keys(node._get_node(key), f"{name}.")


def understood(error: BaseException) -> bool:
    """Return whether an error concerns configurations, so that `explain` can explain it."""
    return isinstance(error, ERRORS[:-1]) or str(error).startswith(CHOICE_IS_NO_WORD)


def explain(error: BaseException, overrides: Sequence[str] = ()) -> str:
    """Return one line that says what is wrong with a command line, as one of `ERRORS`, and what to write instead."""
    given = [word for word in overrides if not word.startswith("-")]
    text = str(error)
    said = first_line(error.__cause__ or error).replace("str is not a ListConfig, list or tuple", "write key=[value]")
    # OmegaConf speaks of its own types.
    kind = type(getattr(error.__cause__, "child_node", None)).__name__
    said = {"BooleanNode": "write true or false", "IntegerNode": "write a whole number"}.get(kind, said)
    if isinstance(error, InputError):
        return text
    if isinstance(error, ConfigAttributeError | ConfigKeyError):
        return _unknown(str(error.full_key), error, given)
    if isinstance(error, MissingConfigException):
        return _missing(error)
    if isinstance(error, OverrideParseException):
        return _unparsable(error, given)
    if match := re.search(r"Could not (?:override|delete) (?:from config\. )?'([^']+)'", text):
        return _unknown(match[1], error.__cause__, given)
    if match := re.search(r"An item is already at '([^']+)'", text):
        return f"{match[1]} exists already: write {match[1]}=... without the +"
    if match := re.match(r"Error merging override (.*)", text):
        return f"{match[1]}: {said}"
    if match := re.search(r"Ambiguous value for argument '([^']+)'|Sweep parameters '([^']+)'", text):
        several = match[1] or match[2]
        word = next((word for word in given if key_of(word) == key_of(several)), several)
        return (
            f"{several} has several values: run all with -m, or write a list as {key_of(several)}=[...], or if the "
            f"comma belongs to the value quote it: {in_quotes(word)}"
        )
    if text.startswith(CHOICE_IS_NO_WORD):
        # The error does not name the group.
        chosen = ((key_of(word), word.split("=", 1)[-1]) for word in given if key_of(word) in groups())
        wrong = [_no_choice(group, value, _choices(group)) for group, value in chosen if value not in _choices(group)]
        return "; ".join(wrong) or "a group is set to the name of one of its files, as in backbone=resnet50"
    if isinstance(error, InterpolationKeyError | ValidationError):
        return f"{error.full_key}: {said}"
    return f"{first_line(error)} (HYDRA_FULL_ERROR=1 shows where)"


def groups() -> list[str]:
    """Return the names of the configuration's groups, whose files a run chooses from."""
    return sorted(path.name for path in CONF.iterdir() if path.is_dir() and path.name not in ("hydra", "recipes"))


def restore_interpolations(cfg: DictConfig, group: str) -> None:
    """Restore the interpolations of a group's files where a resolved configuration has what they give.

    An override of ``data.level`` then reaches the keys that follow it.
    """
    for path in (CONF / group).glob("*.yaml"):
        file = OmegaConf.create({group: OmegaConf.load(path)})
        for parent, _, last in (key.rpartition(".") for key in keys(file[group], f"{group}.")):
            source, target = OmegaConf.select(file, parent), OmegaConf.select(cfg, parent)
            if OmegaConf.is_interpolation(source, last) and last in (target or ()):
                followed, given = source._get_node(last)._value(), target[last]
                target[last] = followed if f"{{{group}." in followed else given
                if OmegaConf.select(target, last, throw_on_resolution_failure=False) != given:
                    target[last] = given


def file_of(group: str, choice: str) -> Path:
    """Return the file of a group's choice; if there is none, an `InputError` says which there are."""
    if choice not in _choices(group):
        raise InputError(_no_choice(group, choice, _choices(group)))
    return CONF / group / f"{choice}.yaml"


def _choices(group: str) -> list[str]:
    names = [path.stem for path in (CONF / group).glob("*.yaml")]
    return sorted(names, key=lambda name: re.sub(r"\d+", lambda number: number[0].zfill(5), name))


def _unknown(asked: str, cause: BaseException | None, given: Sequence[str]) -> str:
    plain = asked.lstrip("+~").split("@")[0]
    node = getattr(cause, "parent_node", None)
    cfg = node._get_root() if isinstance(node, Container) else _composable(given, plain)
    known = list(dict.fromkeys([*keys(cfg, hydra=plain.startswith("hydra")), *groups()]))
    if plain in groups():
        return f"{asked}: choose one of the files of conf/{plain}, as in {plain}={_choices(plain)[0]}"
    line = f"no {'key' if '.' in plain else 'key or group'} {asked}"
    value = next((word.split("=", 1)[1] for word in given if key_of(word) == plain and "=" in word), "")
    having = [group for group in groups() if value in _choices(group)]
    misspelt = any(similar(plain, key) > 0.8 for key in known if "." not in key and key not in having)
    if having and "." not in plain and not misspelt:
        return f"{line}; did you mean {having[0]}={value}?"
    if near := suggestion(REMOVED.get(plain, plain), known):
        return line + near
    # Of backbon.width the part backbon is what does not exist.
    parts = plain.split(".")
    depth = max(n for n in range(len(parts)) if n == 0 or ".".join(parts[:n]) in known)
    parent, rest = ".".join(parts[:depth]), ".".join(["", *parts[depth + 1 :]])
    siblings = [key for key in known if key.rpartition(".")[0] == parent]
    if rest and (near := suggestion(".".join(parts[: depth + 1]), siblings, 1)):
        return line + near.replace("?", f"{rest}?")
    children = sorted(key.split(".")[-1] for key in siblings)
    return f"{line}; {parent or 'a run'} has {', '.join(children) or 'no keys'}"


def _composable(given: Sequence[str], excluded: str) -> DictConfig:
    """Compose the overrides without the one that failed, or the default configuration if that fails too."""
    words = [word for word in given if "=" in word and key_of(word) != excluded.lstrip("+~")]
    with hydra_at(CONF):
        try:
            return hydra.compose("config", words)
        except ERRORS:
            return hydra.compose("config")


def _missing(error: MissingConfigException) -> str:
    name = error.missing_cfg_file or ""
    group, _, choice = name.rpartition("/")
    if group:
        return _no_choice(group, choice, list(error.options or _choices(group)))
    sweeps = _choices(str(SWEEPS))
    if name in sweeps:
        return f"{name} is a sweep: add --config-dir sweeps"
    near = suggestion(name, [*sweeps, "config"]) or f"; there are {', '.join(sweeps)}"
    return f"no sweep or configuration {name!r}{near}"


def _no_choice(group: str, choice: str, options: Sequence[str]) -> str:
    if group == "size" and (turned := "x".join(reversed(choice.split("x")))) in options:
        return f"size={choice}: sizes are height x width; write size={turned}, or input_size={choice} if that is meant"
    if group == "size" and re.fullmatch(r"\d+x\d+", choice):
        return f"size={choice} has no file in conf/size; write input_size={choice}"
    near, there = suggestion(choice, options, 1) or ";", ", ".join(options) or "none"
    return f"no {group} {choice!r}{near} there are {there}; a file of your own is {group}=PATH.yaml"


def _unparsable(error: OverrideParseException, given: Sequence[str]) -> str:
    word = error.override or next((word for word in given if word in str(error)), "an override")
    if "=" not in word:
        return f"{word!r} sets nothing: write {word}=..."
    return (
        f"{word!r} cannot be parsed: overrides are written key=value, and values with brackets, quotes, = or commas in "
        f"quotes: {in_quotes(word)}"
    )
