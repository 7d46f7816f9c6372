"""From a composed configuration to a run directory: validated, resolved, named, and written as config.yaml."""

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from poserep.config import DictConfig, OmegaConf, RunSchema, as_dict, without_hydra
from poserep.errors import InputError, suggestion
from poserep.files import file_and_entry
from poserep.geometry import ALIGNMENTS
from poserep.overrides import CONF, keys, refuse_missing
from poserep.runs.identity import contents, files_of, name_of
from poserep.runs.records import WRITTEN_AGAIN
from poserep.runs.rundir import RunDir, checkpoint_of, runs_in
from poserep.runs.training_options import check_options, check_shares

# Groups whose keys are read one by one, so that nothing would notice a wrong name; in other groups keys are arguments.
READ = ("data", "optim", "representation", "trainer")
# The values of some keys, and the least value of keys that are whole numbers.
CHOICES: Mapping[str, Sequence[str]] = {
    "align": ALIGNMENTS,
    # Matrices of crops and coordinates need single precision at least, whatever the network computes in.
    "trainer.precision": ("32-true", "bf16-mixed", "16-mixed"),
    "trainer.accelerator": ("cpu", "gpu", "mps"),
    "optim.rule": ("linear", "sqrt", "none"),
}
# Characters that W&B takes in no name of a project, and how many it takes.
FORBIDDEN, LONGEST = frozenset("/\\#?%:"), 128
LEAST = {f"trainer.{key}": 1 for key in ("epochs", "batch", "evaluate_every", "devices")}
LEAST |= {"trainer.workers": 0, "optim.reference_batch": 1}
# Keys that may be null.
OPTIONAL = {"trainer.limit": 1, "trainer.micro_batch": 1, "trainer.patience": 1}
# Groups of which every run has a file.
NEEDED = (*READ, "backbone", "augment")
POSITIVE = ("optim.lr", "data.crop.padding")


def resolved(cfg: DictConfig, backbone: str, imported: str | None = None) -> dict[str, Any]:
    """Resolve and validate a composed configuration, as config.yaml holds it.

    ``backbone`` is the name of the backbone's file in conf/backbone, ``imported`` the hash of the file that the weights
    come from if the run is not trained. Unknown or missing keys, and what `check` refuses, are an `InputError`.
    """
    plain = without_hydra(cfg)
    refuse_missing(plain)
    check(plain)
    _check_initial(plain)
    _check_logger(plain.logger or {})
    if not imported:
        check_shares(plain.trainer)
    config = as_dict(plain) | {"names": {"backbone": backbone}}
    config.pop("table", None)
    if not cfg.trainer.pretrained:
        config["init"] = None
        if "weights" in config["backbone"]:
            config["backbone"]["weights"] = None
    return {**config, "contents": contents(config), **({"imported": imported} if imported else {})}


def _check_initial(cfg: DictConfig) -> None:
    if cfg.init is None or not cfg.trainer.pretrained:
        return
    if weights := cfg.backbone.get("weights"):
        raise InputError(
            f"init={cfg.init} and backbone.weights={weights} are both initial weights of the backbone: add "
            "backbone.weights=null, or leave init out"
        )
    path, entry = file_and_entry(cfg.init)
    if path.is_dir():
        if not (path / "config.yaml").is_file():
            inside = next((f", such as {run}" for run in runs_in(path)), "")
            raise InputError(f"init={cfg.init} is a folder, but no run directory: name one{inside}, or a file")
        checkpoint_of(path, entry or "last")


def missing_files(config: dict[str, Any]) -> list[Path]:
    """Return the files that a resolved configuration needs and that do not exist."""
    files = files_of(config)
    boxes = config["boxes"]
    needed = [name for name in files if name != "skeleton" and (name != "detections" or not boxes or "det" in boxes)]
    return list(dict.fromkeys(files[name] for name in needed if not files[name].exists()))


def read_config(run_dir: RunDir) -> dict[str, Any]:
    """Read the configuration of a run to work with; one that is damaged or cut short is an `InputError`."""
    config = run_dir.config()
    if absent := [group for group in NEEDED if not config.get(group)]:
        raise InputError(f"{run_dir.config_file} is damaged (it has no {', '.join(absent)}); {WRITTEN_AGAIN}")
    return config


def create_run(config: dict[str, Any]) -> RunDir:
    """Create the run directory of a resolved configuration and write config.yaml; a finished run is left as it is.

    A config.yaml that cannot be read is named and written again.
    """
    run_dir, damaged = RunDir(Path(config["runs"]) / config["study"] / name_of(config)), False
    if run_dir.config_file.is_file():
        try:
            read_config(run_dir)
        except InputError as error:
            damaged = True
            print(f"note: {error}", file=sys.stderr)
    if damaged or not run_dir.finished:
        # A link to another table's run that has been deleted since.
        if run_dir.path.is_symlink():
            run_dir.path.unlink()
        run_dir.write_config(OmegaConf.to_yaml(OmegaConf.create(config)))
    return run_dir


def prepare(cfg: DictConfig, backbone: str, imported: str | None = None) -> RunDir:
    """Resolve a composed configuration and create its run directory; see `resolved` and `create_run`."""
    return create_run(resolved(cfg, backbone, imported))


def _check_keys(cfg: DictConfig, also: Iterable[str]) -> None:
    known = [field.name for field in fields(RunSchema)]
    if unknown := next((str(key) for key in cfg if key not in (*known, *also)), None):
        raise InputError(f"no key {unknown!r} in a run's configuration{suggestion(unknown, known, 1)}")
    if left_out := next((key for key in known if key not in cfg), None):
        raise InputError(f"~{left_out}: a run needs this key; write {left_out}=...")
    for group in READ:
        own = keys_of(group)
        for key in (str(key) for key in cfg[group] or () if key not in own):
            asked = f"{group}.{key}"
            near = suggestion(asked, [*(f"{group}.{k}" for k in own), *(k for k in keys(cfg) if k != asked)], 1)
            raise InputError(f"no key {asked}{near or f'; {group} has ' + ', '.join(own)}")


def check(cfg: DictConfig, also: Iterable[str] = ()) -> None:
    """Raise `InputError` for a setting of data, training or evaluation that is missing or out of range.

    So it is for keys that neither runs, those in ``also`` aside, nor the files of their group have.
    """
    _check_keys(cfg, also)
    if lacking := next((group for group in NEEDED if not cfg.get(group)), None):
        raise InputError(
            f"{lacking} cannot be left out: choose one of the files of conf/{lacking}, as in {lacking}=..."
        )
    if (prepare := cfg.data.get("prepare")) is not None:
        if "_target_" not in prepare:
            raise InputError(f"data.prepare={dict(prepare)}: data={cfg.data.name} is not drawn, set no data.prepare")
        if prepare.get("level") != cfg.data.get("level"):
            raise InputError(f"data.prepare.level={prepare.get('level')} follows data.level; set that")
    if Path(str(cfg.study)).name in ("", ".."):
        raise InputError(f"study={cfg.study} is not the name of a folder below {cfg.runs}")
    for key, choices in CHOICES.items():
        if (value := OmegaConf.select(cfg, key)) not in choices:
            raise InputError(f"{key}={value} is not one of {', '.join(choices)}")
    for key, least in {**LEAST, **OPTIONAL}.items():
        value, or_null = OmegaConf.select(cfg, key), ", or null" if key in OPTIONAL else ""
        if not (type(value) is int and value >= least) and not (or_null and value is None):
            raise InputError(f"{key}={value} is not a whole number of {least} or more{or_null}")
    check_options(cfg.trainer)
    for key in ("readouts", "boxes"):
        if (value := cfg.get(key)) is not None and not value:
            raise InputError(f"{key}=[] evaluates nothing: name at least one, or write {key}=null for all")
    for key in POSITIVE:
        value = OmegaConf.select(cfg, key, default=1)
        if type(value) not in (int, float) or not 0 < value < float("inf"):
            raise InputError(f"{key}={value} is not a number above 0")


def _check_logger(logger: Mapping[str, Any]) -> None:
    for key in (key for key in ("project", "entity") if key in logger):
        value = "" if logger[key] is None else str(logger[key])
        name = f"logger.{key}" if os.environ.get(f"WANDB_{key.upper()}") != value else f"WANDB_{key.upper()}"
        if strange := FORBIDDEN.intersection(value):
            raise InputError(f"{name}={value}: W&B takes no {' '.join(sorted(strange))} in names")
        if len(value) > LONGEST or (key == "project" and not value):
            raise InputError(f"{name}={value}: W&B takes names of 1 to {LONGEST} characters")
    if "project" in logger and not find_spec("wandb"):
        raise InputError("logger=wandb needs a package: pip install -c constraints.txt wandb; or take logger=none")


@cache
def keys_of(group: str) -> tuple[str, ...]:
    """Return all keys in the files of a configuration group."""
    return tuple(sorted({str(key) for path in (CONF / group).glob("*.yaml") for key in OmegaConf.load(path)}))
