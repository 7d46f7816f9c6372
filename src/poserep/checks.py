"""What is wrong with the settings of a run, found before anything is built: keys that nobody reads, useless values."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from omegaconf import DictConfig, OmegaConf

from poserep.config import CONF, keys
from poserep.errors import InputError, suggestion
from poserep.geometry import ALIGNMENTS

# Groups whose settings are read one by one, so that a wrong name goes unseen; those of the others are arguments.
READ = ("data", "optim", "representation", "trainer")
PRECISIONS = ("32-true", "bf16-mixed", "16-mixed", "bf16-true", "16-true", "64-true")


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
