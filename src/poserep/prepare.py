"""From a composed configuration to a run directory, which is all that a run reads."""

import os
from dataclasses import fields
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from poserep.checks import check
from poserep.config import RunSchema
from poserep.errors import InputError, suggestion
from poserep.results import contents, files_of, finished, identity


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


def name_of(config: dict[str, Any]) -> str:
    """The name of a run's directory, of its resolved configuration."""
    about = [config["representation"]["name"], config["names"]["backbone"], config["data"]["name"]]
    return "-".join([*about, str(config["input_size"]), f"s{config['seed']}", identity(config)])


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
