"""Compose a configuration, give it a run directory, run it.

``python -m poserep.train data=coco backbone=hrnet_w32 representation=simcc size=256x192``
"""

import os
import sys
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from poserep.build import CONF
from poserep.errors import InputError
from poserep.fit import fit, message
from poserep.launch import launch
from poserep.results import finished, identity


def prepare(cfg: DictConfig, backbone: str) -> Path:
    """Make the run directory of a configuration, with config.yaml in it."""
    config = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(config, dict)
    config.pop("table", None)
    cell = "-".join([cfg.representation.name, backbone, cfg.data.name, str(cfg.input_size), f"s{cfg.seed}"])
    run_dir = Path(cfg.runs) / cfg.study / f"{cell}-{identity(config)}"
    run_dir.mkdir(parents=True, exist_ok=True)
    partial = run_dir / f".config.{os.getpid()}"
    OmegaConf.save(OmegaConf.create(config), partial)
    partial.replace(run_dir / "config.yaml")
    return run_dir


def run(cfg: DictConfig) -> None:
    """One run, unless it has been done."""
    run_dir = prepare(cfg, HydraConfig.get().runtime.choices["backbone"])
    if finished(run_dir):
        print(f"finished before: {run_dir}", flush=True)
        return
    print(f"run: {run_dir}", flush=True)
    launch("poserep.fit", [str(run_dir)], cfg.trainer.devices, lambda: fit(run_dir))


@hydra.main(config_path=str(CONF), config_name="config", version_base="1.3")
def job(cfg: DictConfig) -> None:
    """One run, alone or as part of a multirun."""
    try:
        run(cfg)
    except InputError as error:
        if HydraConfig.get().mode == hydra.types.RunMode.MULTIRUN:
            raise
        sys.exit(f"error: {message(error)}")


def main() -> None:
    """Command line."""
    if not CONF.is_dir():
        sys.exit("error: poserep runs from a checkout with its conf/ folder: pip install -e .")
    job()


if __name__ == "__main__":
    main()
