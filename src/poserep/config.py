"""Configurations: what a run's has, how overrides become one, and what is wrong with them if they do not.

Everything that needs a configuration asks `compose` or `composing`; ``poserep train`` and its sweeps have Hydra's own
way to the same.
"""

import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import (
    HydraException,
    InstantiationException,
    MissingConfigException,
    OverrideParseException,
    SearchPathException,
)
from hydra.utils import instantiate
from omegaconf import Container, DictConfig, OmegaConf
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    InterpolationKeyError,
    OmegaConfBaseException,
    ValidationError,
)

from poserep.errors import InputError, similar, suggestion

# In the checkout from which poserep runs.
SWEEPS = Path(__file__).parents[2] / "sweeps"


CONF = Path(__file__).parents[2] / "conf"
# What composing a configuration raises; Hydra 1.3 has no class of its own for a group whose choice is no word.
ERRORS = (HydraException, OmegaConfBaseException, ValueError)
NO_WORD = "Config group override"
# What keys of version 0.1 are called now.
REMOVED = {
    "heatmap_sigma": "representation.codec.sigma",
    "simcc_sigma": "representation.codec.label.sigma",
    "dark_kernel": "representation.codec.readouts.dark.kernel",
}
# Modules under the names that run directories of version 0.1 have for them.
MOVED = {"poserep.schedules.": "poserep.training.schedules.", "poserep.loggers.": "poserep.training.loggers."}


@dataclass
class RunSchema:
    """The keys of a run, and their types; what is below a group is the group's own business."""

    data: Any = None
    backbone: Any = None
    representation: Any = None
    augment: Any = None
    optim: Any = None
    trainer: Any = None
    logger: Any = None
    input_size: str = "64x64"  # not `size`, which is the name of the group that sets it
    study: str = "default"
    seed: int = 0
    align: str = "centre"
    flip_test: bool = True
    readouts: list[str] | None = None
    boxes: list[str] | None = None
    runs: str = "runs"
    table: Any = None


ConfigStore.instance().store("schema", RunSchema)


class BySize(NamedTuple):
    """Widths that the papers take at an input size: ``${by_size:heatmap_sigma}`` in a representation's file.

    Attributes:
        heatmap_sigma: Standard deviation of heatmaps of stride 4, in bins.
        simcc_sigma: Standard deviation of SimCC's labels, in bins.
        dark_kernel: Width of the blur before DARK's decoding, in bins.
    """

    heatmap_sigma: float
    simcc_sigma: float
    dark_kernel: int


# By the longer side, which is one of these in the papers; other inputs take those of the nearest, the larger of two.
PUBLISHED = {128: BySize(1.0, 4.0, 3), 256: BySize(2.0, 6.0, 11), 384: BySize(3.0, 6.0, 11)}
# The reproduction study of DARK on HUMAN4D: sigma is 2 % of the diagonal, 7.16 px.
HUMAN4D = {"160x320": BySize(1.79, 6.0, 5)}


def by_size(input_size: str) -> BySize:
    """Return the widths for an input size, ``HxW``; what is no size, which codecs refuse, is taken for a small one."""
    longer = max((int(side) for side in re.findall(r"\d+", input_size)), default=0)
    return HUMAN4D.get(input_size) or PUBLISHED[min(PUBLISHED, key=lambda side: (abs(side - longer), -side))]


OmegaConf.register_new_resolver("by_size", lambda key, *, _root_: getattr(by_size(_root_.input_size), key))


class Composed(NamedTuple):
    """A configuration.

    Attributes:
        cfg: Without Hydra's own part.
        choices: The file that was chosen of each group.
    """

    cfg: DictConfig
    choices: dict[str, str]


@contextmanager
def _hydra(folder: Path) -> Iterator[None]:
    # Hydra may be at work in this process already, a sweeper's, and goes on with it.
    state = GlobalHydra.instance()
    at_work, state.hydra = state.hydra, None
    try:
        with hydra.initialize_config_dir(str(folder.resolve()), version_base="1.3"):
            yield
    finally:
        GlobalHydra.instance().hydra = at_work


@contextmanager
def composing(folder: Path | None = None) -> Iterator[Callable[..., Composed]]:
    """A function that composes configurations, as `compose` does; files are read once for all of them.

    Args:
        folder: Of the file to start from, conf/ unless given; groups are found in conf/ whichever it is.

    Raises:
        InputError: If there is no such folder.
    """
    folder = folder or CONF
    if not folder.is_dir():
        raise InputError(f"--config-dir: {folder} is no folder")
    paths = [] if folder == CONF else [f"hydra.searchpath=[file://{CONF},file://{SWEEPS}]"]

    def composed(overrides: Sequence[str] = (), name: str = "config") -> Composed:
        try:
            cfg = hydra.compose(name, [*paths, *overrides], return_hydra_config=True)
        except ERRORS as error:
            raise InputError(explain(error, overrides)) from error
        choices = {str(group): str(choice) for group, choice in cfg.hydra.runtime.choices.items()}
        OmegaConf.set_struct(cfg, False)
        cfg.pop("hydra")
        OmegaConf.set_struct(cfg, True)
        return Composed(cfg, choices)

    with _hydra(folder):
        yield composed


def compose(overrides: Sequence[str] = (), name: str = "config", folder: Path | None = None) -> Composed:
    """The configuration of some overrides.

    Args:
        overrides: As on the command line, ``key=value``.
        name: Of the file to start from, without its ending.
        folder: See `composing`.

    Raises:
        InputError: If an override is none, or names nothing; the message says what to write instead.
    """
    with composing(folder) as composed:
        return composed(overrides, name)


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


def _unknown(asked: str, cause: BaseException | None, given: Sequence[str]) -> str:
    plain = asked.lstrip("+~").split("@")[0]
    root = _root(cause)
    cfg = _composed(given, plain) if root is None else root
    known = list(dict.fromkeys([*keys(cfg, hydra=plain.startswith("hydra")), *_groups()]))
    line = f"no {'key' if '.' in plain else 'key or group'} {asked}"
    value = next((word.split("=", 1)[1] for word in given if key_of(word) == plain and "=" in word), "")
    of = [group for group in _groups() if value in _choices(group)]
    misspelt = any(similar(plain, key) > 0.8 for key in known if "." not in key and key not in of)
    if of and "." not in plain and not misspelt:
        return f"{line}; did you mean {of[0]}={value}?"
    if found := suggestion(REMOVED.get(plain, plain), known):
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
    words = [word for word in given if "=" in word and key_of(word) != but.lstrip("+~")]
    with _hydra(CONF):
        try:
            return hydra.compose("config", words)
        except ERRORS:
            return hydra.compose("config")


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
    if group == "size" and re.fullmatch(r"\d+x\d+", choice):
        return f"size={choice} has no file in conf/size; write input_size={choice}"
    return f"no {group} {choice!r}{suggestion(choice, options, 1) or ';'} there are {', '.join(options) or 'none'}"


def _unparsable(error: OverrideParseException, given: Sequence[str]) -> str:
    word = error.override or next((word for word in given if word in str(error)), "an override")
    if "=" not in word:
        return f"{word!r} sets nothing: write {word}=..."
    return (
        f"{word!r} is no override: overrides are written key=value, and values with brackets, quotes, = or commas in "
        f"quotes, as in \"{key_of(word)}='...'\""
    )


def make(node: DictConfig, *args: Any, **kwargs: Any) -> Any:
    """Call a node's ``_target_`` with its own arguments and the given ones, or bind them if it is ``_partial_``.

    Objects are passed past Hydra, which would copy them into its configuration.

    Raises:
        InputError: What the target raises, or, naming the node, that an argument is unknown or missing.
    """
    target = str(node.get("_target_"))
    moved = next((new + target[len(old) :] for old, new in MOVED.items() if target.startswith(old)), target)
    try:
        bound = instantiate(node, _partial_=True, _convert_="all", _target_=moved)
    except InstantiationException as error:
        if isinstance(error.__cause__, InputError):
            raise error.__cause__ from None
        # The first line names the target, the cause says what is wrong with it.
        reason = str(error).splitlines()[0]
        cause = f" {error.__cause__}" if error.__cause__ and reason.endswith(":") else ""
        raise InputError(f"{node._get_full_key(None)}: {reason}{cause}") from error
    if node.get("_partial_"):
        return partial(bound, *args, **kwargs)
    try:
        inspect.signature(bound).bind(*args, **kwargs)
    except (TypeError, ValueError) as error:
        # A partial object hides the reason in the cause.
        raise InputError(f"{node._get_full_key(None)} ({node._target_}): {error.__cause__ or error}") from error
    try:
        return bound(*args, **kwargs)
    except InputError:
        raise
    except (TypeError, ValueError) as error:
        raise InputError(f"{node._get_full_key(None)} ({node._target_}): {error}") from error


def key_of(override: str) -> str:
    """The dotted key that an override sets."""
    return override.split("=", 1)[0].lstrip("+~")
