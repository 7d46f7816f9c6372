"""From a composed configuration to a run directory: validated, resolved, named, and written as config.yaml."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from poserep.config import RunSchema
from poserep.errors import InputError, suggestion
from poserep.geometry import ALIGNMENTS
from poserep.overrides import CONF, keys
from poserep.runs.identity import contents, files_of, name_of
from poserep.runs.rundir import RunDir

# Groups whose keys are read one by one, so that nothing would notice a wrong name; in other groups keys are arguments.
READ = ("data", "optim", "representation", "trainer")
PRECISIONS = ("32-true", "bf16-mixed", "16-mixed", "bf16-true", "16-true", "64-true")


def resolved(cfg: DictConfig, backbone: str, imported: str | None = None) -> dict[str, Any]:
    """Resolve and validate a composed configuration, as config.yaml holds it.

    Args:
        cfg: The composed configuration.
        backbone: The name of the backbone's file in conf/backbone.
        imported: Hash of the file that the weights come from, for a run that is not trained.

    Raises:
        InputError: If a key is unknown, a mandatory one is missing, or a value is out of range (see `check`).
    """
    known = [field.name for field in fields(RunSchema)]
    for key in (str(key) for key in cfg if key not in (*known, "hydra")):
        raise InputError(f"no key {key!r} in a run's configuration{suggestion(key, known, 1)}")
    plain = OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])
    missing = sorted(OmegaConf.missing_keys(plain))
    if missing:
        raise InputError(f"{missing[0]} must be given, as in {missing[0]}=...")
    check(plain)
    config = OmegaConf.to_container(plain, resolve=True)
    assert isinstance(config, dict)
    config.pop("table", None)
    if not cfg.trainer.pretrained and "weights" in config["backbone"]:
        config["backbone"]["weights"] = None
    config["names"] = {"backbone": backbone}
    config["contents"] = contents(config)
    if imported:
        config["imported"] = imported
    return {str(key): value for key, value in config.items()}


def missing_files(config: dict[str, Any]) -> list[Path]:
    """Return the files that a resolved configuration needs and that do not exist."""
    files = files_of(config)
    boxes = config["boxes"]
    needed = [name for name in files if name != "skeleton" and (name != "detections" or not boxes or "det" in boxes)]
    return [files[name] for name in needed if not files[name].exists()]


def create_run(config: dict[str, Any]) -> RunDir:
    """Create the run directory of a resolved configuration and write config.yaml; a finished run is left as it is."""
    run_dir = RunDir(Path(config["runs"]) / config["study"] / name_of(config))
    if run_dir.finished:
        return run_dir
    # A link to another table's run that has been deleted since.
    if run_dir.path.is_symlink():
        run_dir.path.unlink()
    run_dir.write_config(OmegaConf.to_yaml(OmegaConf.create(config)))
    return run_dir


def prepare(cfg: DictConfig, backbone: str, imported: str | None = None) -> RunDir:
    """Resolve a composed configuration and create its run directory; see `resolved` and `create_run`."""
    return create_run(resolved(cfg, backbone, imported))


def check(cfg: DictConfig) -> None:
    """Refuse keys that nothing reads and values out of range.

    Raises:
        InputError: If a group has a key that none of its files has, or a setting of training is out of range.
    """
    for group in READ:
        known = keys_of(group)
        for key in (str(key) for key in cfg[group] or () if key not in known):
            asked = f"{group}.{key}"
            near = suggestion(asked, [*(f"{group}.{k}" for k in known), *(k for k in keys(cfg) if k != asked)], 1)
            raise InputError(f"no key {asked}{near or f'; {group} has ' + ', '.join(known)}")
    if cfg.data.get("prepare") is not None and "_target_" not in cfg.data.prepare:
        raise InputError(
            f"data.prepare={dict(cfg.data.prepare)}: data={cfg.data.name} is not drawn, set no data.prepare"
        )
    for key, (fits, what) in ALLOWED.items():
        value = OmegaConf.select(cfg, key)
        if not fits(value):
            raise InputError(f"{key}={value} is not {what}")


@cache
def keys_of(group: str) -> tuple[str, ...]:
    """Return all keys in the files of a configuration group."""
    found: set[str] = set()
    for path in (CONF / group).glob("*.yaml"):
        found |= {str(key) for key in OmegaConf.load(path)}
    return tuple(sorted(found))


def _whole(least: int, none: bool = False) -> tuple[Callable[[Any], bool], str]:
    def fits(value: Any) -> bool:
        return (none and value is None) or (type(value) is int and value >= least)

    return fits, f"a whole number of {least} or more" + (", or null" if none else "")


def _positive(value: Any) -> bool:
    return type(value) in (int, float) and 0 < value < float("inf")


def _one_of(*choices: str) -> tuple[Callable[[Any], bool], str]:
    return lambda value: value in choices, f"one of {', '.join(choices)}"


ALLOWED: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "align": _one_of(*ALIGNMENTS),
    "trainer.epochs": _whole(1),
    "trainer.batch": _whole(1),
    "trainer.evaluate_every": _whole(1),
    "trainer.devices": _whole(1),
    "trainer.workers": _whole(0),
    "trainer.limit": _whole(1, none=True),
    "trainer.drop_last": (lambda value: value in (True, False, None), "true or false"),
    "trainer.precision": _one_of(*PRECISIONS),
    "trainer.accelerator": _one_of("cpu", "gpu"),
    "optim.lr": (_positive, "a number above 0"),
    "optim.reference_batch": _whole(1),
    "optim.rule": _one_of("linear", "sqrt", "none"),
}
