"""Compose a configuration, give it a run directory, train and evaluate it there."""

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from poserep.config import CONF, ERRORS, explain, understood
from poserep.errors import Failed, InputError, Stopped, message
from poserep.files import write_json
from poserep.runs.create import prepare
from poserep.runs.devices import claim
from poserep.runs.interrupt import leave_the_rest, told_to_leave
from poserep.runs.launch import launch, start
from poserep.runs.lease import by_whom, holder
from poserep.runs.plan import state_of
from poserep.runs.records import finished
from poserep.training.fit import fit
from poserep.training.printed import evaluation_sheet

HELP = """usage: poserep train [-m] [key=value ...] [--config-dir DIR] [--config-name NAME]

Compose a configuration, give it a run directory, train and evaluate it there. A run that was interrupted goes on from
its last checkpoint, and one that has finished is left as it is.

  key=value     a setting, or a file of conf/ by its group, as in backbone=resnet50
  -m            run every combination of listed values, as in size=64x64,128x128
  --cfg job     print the configuration and run nothing
  --config-dir, --config-name
                a folder and one of its files to start from in place of conf/config.yaml
  --hydra-help  all options of Hydra

example: poserep train data=coco backbone=hrnet_w32 representation=simcc size=256x192"""


def elsewhere(run_dir: Path) -> Path | None:
    """The same run, finished for another table, to which the directory of one that has not begun then points."""
    twin = next((p.parent for p in sorted(run_dir.parent.parent.glob(f"*/{run_dir.name}/result.json"))), None)
    if twin is None or [path.name for path in run_dir.iterdir()] != ["config.yaml"]:
        return None
    (run_dir / "config.yaml").unlink()
    run_dir.rmdir()
    run_dir.symlink_to(Path("..", twin.parent.name, twin.name), target_is_directory=True)
    return twin


def run(cfg: DictConfig, alone: bool = True) -> Path:
    """One run, unless it has been done or is in hand; its directory.

    Args:
        cfg: The composed configuration.
        alone: Run it in this process; False: in one of its own, on devices that no other cell here has.

    Raises:
        InputError: If the configuration makes no run.
        Failed: If the run failed.
        Stopped: If it was asked to stop.
    """
    run_dir = prepare(cfg, HydraConfig.get().runtime.choices["backbone"])
    if finished(run_dir):
        print(f"finished before: {run_dir}", flush=True)
        return run_dir
    if not alone and (twin := elsewhere(run_dir)):
        print(f"finished before, as {twin}: {run_dir}", flush=True)
        return run_dir
    if not alone and (other := holder(run_dir)):
        print(f"left {by_whom(other)}: {run_dir}", flush=True)
        return run_dir
    print(f"run: {run_dir}", flush=True)
    devices = cfg.trainer.devices
    try:
        if alone:
            launch("poserep.training.fit", [str(run_dir)], devices, lambda: fit(run_dir), saves=True)
        else:
            with claim(devices if cfg.trainer.accelerator == "gpu" else 0) as gpus:
                start("poserep.training.fit", [str(run_dir)], devices, gpus or None, saves=True)
    except InputError as error:
        # Two launchers may begin a cell at once; one of them gets it.
        other = holder(run_dir)
        if not alone and (other or finished(run_dir)):
            print(f"left {by_whom(other)}: {run_dir}", flush=True)
            return run_dir
        status = state_of(run_dir)
        if status["state"] == "stopped":
            raise Stopped(status["why"]) from error
        # What kills a process keeps it from saying why.
        if status["state"] in ("running", "waiting"):
            write_json(run_dir / "status.json", {"state": "failed", "since": time.time(), "error": str(error)})
        raise Failed(message(error)) from error
    return run_dir


# What ended a single run: Hydra would print a report of its own about whatever leaves `job`.
_ended_by: list[Exception] = []


@hydra.main(config_path=str(CONF), config_name="config", version_base="1.3")
def job(cfg: DictConfig) -> None:
    """One run, alone or as a cell of several."""
    several = HydraConfig.get().mode == hydra.types.RunMode.MULTIRUN
    if several and told_to_leave():
        return
    try:
        run_dir = run(cfg, alone=not several)
        # Of several runs a report shows all.
        if not several:
            evaluation_sheet(run_dir.name, json.loads((run_dir / "result.json").read_text())).show()
    except InputError as error:
        if several:
            leave_the_rest()
            # Others may have been trained before it.
            raise Failed(message(error)) from error
        _ended_by.append(error)
    except Stopped as error:
        if several:
            raise
        _ended_by.append(error)


def main(arguments: Sequence[str]) -> None:
    """The command ``poserep train``, through Hydra."""
    if any(word in ("-h", "--help") for word in arguments):
        print(HELP)
        return
    if not CONF.is_dir():
        raise InputError("poserep runs from a checkout with its conf/ folder: pip install -e .")
    wanted, before = os.environ.get("HYDRA_FULL_ERROR"), sys.argv
    # Without it Hydra prints what it has to say itself, and leaves.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    sys.argv = ["poserep train", *arguments]
    _ended_by.clear()
    try:
        job()
    except ERRORS as error:
        if wanted == "1" or isinstance(error, InputError) or not understood(error):
            raise
        raise InputError(explain(error, arguments)) from error
    finally:
        sys.argv = before
        if wanted is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = wanted
    if _ended_by:
        raise _ended_by.pop()
