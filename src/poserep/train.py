"""Compose a configuration, give it a run directory, run it.

``python -m poserep.train data=coco backbone=hrnet_w32 representation=simcc size=256x192``
"""

import json
import os
import sys
import time
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from poserep.build import CONF, RunSchema
from poserep.errors import InputError
from poserep.fit import fit, message
from poserep.launch import launch
from poserep.report import show_evaluation
from poserep.results import contents, finished, identity, write_json


def prepare(cfg: DictConfig, backbone: str, imported: str | None = None) -> Path:
    """Make the run directory of a configuration, with config.yaml in it; one that has finished is left as it is.

    Args:
        cfg: The composed configuration.
        backbone: The name by which it was chosen.
        imported: Hash of the file that the weights are from, for a run that is not trained.

    Raises:
        InputError: If a key that must be given is not.
    """
    known = [field.name for field in fields(RunSchema)]
    for key in (str(key) for key in cfg if key not in known):
        near = get_close_matches(key, known, 1)
        raise InputError(f"no key {key!r} in a run's configuration" + (f"; did you mean {near[0]!r}?" if near else ""))
    missing = sorted(OmegaConf.missing_keys(cfg))
    if missing:
        raise InputError(f"{missing[0]} must be given, as in {missing[0]}=...")
    config = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(config, dict)
    config.pop("table", None)
    if not cfg.trainer.pretrained and "weights" in config["backbone"]:
        config["backbone"]["weights"] = None
    config["names"] = {"backbone": backbone}
    config["contents"] = contents(config)
    if imported:
        config["imported"] = imported
    cell = "-".join([cfg.representation.name, backbone, cfg.data.name, str(cfg.input_size), f"s{cfg.seed}"])
    run_dir = Path(cfg.runs) / cfg.study / f"{cell}-{identity(config)}"
    if finished(run_dir):
        return run_dir
    run_dir.mkdir(parents=True, exist_ok=True)
    partial = run_dir / f".config.{os.getpid()}"
    OmegaConf.save(OmegaConf.create(config), partial)
    partial.replace(run_dir / "config.yaml")
    return run_dir


def run(cfg: DictConfig) -> Path:
    """One run, unless it has been done; its directory."""
    run_dir = prepare(cfg, HydraConfig.get().runtime.choices["backbone"])
    if finished(run_dir):
        print(f"finished before: {run_dir}", flush=True)
        return run_dir
    print(f"run: {run_dir}", flush=True)
    try:
        launch("poserep.fit", [str(run_dir)], cfg.trainer.devices, lambda: fit(run_dir))
    except InputError as error:
        status = run_dir / "status.json"
        # The launcher kills the other processes when one fails, the one that keeps the record among them.
        if not status.is_file() or json.loads(status.read_text())["state"] == "running":
            write_json(status, {"state": "failed", "since": time.time(), "error": str(error)})
        raise
    return run_dir


@hydra.main(config_path=str(CONF), config_name="config", version_base="1.3")
def job(cfg: DictConfig) -> None:
    """One run, alone or as part of a multirun."""
    several = HydraConfig.get().mode == hydra.types.RunMode.MULTIRUN
    try:
        run_dir = run(cfg)
        # Of several runs a report shows all.
        if not several:
            show_evaluation(run_dir.name, json.loads((run_dir / "result.json").read_text()))
    except InputError as error:
        if several:
            raise
        sys.exit(f"error: {message(error)}")


def main() -> None:
    """Command line."""
    if not CONF.is_dir():
        sys.exit("error: poserep runs from a checkout with its conf/ folder: pip install -e .")
    job()


if __name__ == "__main__":
    main()
