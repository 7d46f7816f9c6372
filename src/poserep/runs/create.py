"""From a composed configuration to a run directory, which is all that a run reads."""

import os
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from poserep.config import CONF, RunSchema, keys
from poserep.errors import InputError, suggestion
from poserep.geometry import ALIGNMENTS
from poserep.runs.identity import contents, files_of, name_of
from poserep.runs.records import finished

# Groups whose settings are read one by one, so that a wrong name goes unseen; those of the others are arguments.
READ = ("data", "optim", "representation", "trainer")
PRECISIONS = ("32-true", "bf16-mixed", "16-mixed", "bf16-true", "16-true", "64-true")


def resolved(cfg: DictConfig, backbone: str, imported: str | None = None) -> dict[str, Any]:
    """The configuration of a run as its config.yaml holds it.

    Args:
        cfg: The composed configuration.
        backbone: The name by which it was chosen.
        imported: Hash of the file that the weights are from, for a run that is not trained.

    Raises:
        InputError: If a key is unknown, one that must be given is not, or a setting makes no sense (`poserep.checks`).
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


def missing(config: dict[str, Any]) -> list[Path]:
    """The files without which a run cannot begin."""
    files = files_of(config)
    boxes = config["boxes"]
    needed = [name for name in files if name != "skeleton" and (name != "detections" or not boxes or "det" in boxes)]
    return [files[name] for name in needed if not files[name].exists()]


def prepare(cfg: DictConfig, backbone: str, imported: str | None = None) -> Path:
    """Make the run directory of a configuration, with config.yaml in it; one that has finished is left as it is.

    What `resolved` takes, and raises.
    """
    config = resolved(cfg, backbone, imported)
    run_dir = Path(cfg.runs) / cfg.study / name_of(config)
    if finished(run_dir):
        return run_dir
    # What it pointed to, another table's run, has been deleted since.
    if run_dir.is_symlink():
        run_dir.unlink()
    run_dir.mkdir(parents=True, exist_ok=True)
    partial = run_dir / f".config.{os.getpid()}"
    OmegaConf.save(OmegaConf.create(config), partial)
    partial.replace(run_dir / "config.yaml")
    return run_dir


def check(cfg: DictConfig) -> None:
    """Refuse a configuration that would not do what it says.

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
    """The keys that the files of a group have between them."""
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
