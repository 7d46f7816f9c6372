"""The command ``poserep train``: compose a configuration, create its run directory, train and evaluate it there."""

import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from poserep.cli import REFUSED, STOPPED
from poserep.config import DictConfig
from poserep.errors import Failed, InputError, Stopped, message
from poserep.files import load_yaml
from poserep.runs.create import create_run, missing_files, resolved
from poserep.runs.identity import earlier_run, runs_of_other_pictures
from poserep.runs.launch import launch, refuse_other_launchers
from poserep.runs.lease import by_whom, holder
from poserep.runs.result_values import chief_value
from poserep.runs.rundir import RunDir
from poserep.runs.wandb.follow import show_finished
from poserep.runs.wandb.publish import SWEEP
from poserep.sweeps.application import run_application, set_search_defaults
from poserep.sweeps.cell import WORKER, how_it_ended, run_cell

# Seconds between two looks at a run that another process has.
_POLL = 5.0

HELP = """usage: poserep train [-m] [key=value ...] [--config-dir DIR] [--config-name NAME]

Compose a configuration, give it a run directory, train and evaluate it there. A run that was interrupted continues from
its last checkpoint, and one that has finished is left as it is.

  key=value     a setting, or a file of conf/ by its group, as in backbone=resnet50
  -m            run every combination of listed values, as in size=64x64,128x128
  --cfg job     print the configuration and run nothing
  --config-dir, --config-name
                a folder and one of its files to start from in place of conf/config.yaml
  --hydra-help  all options of Hydra

example: poserep train data=coco backbone=hrnet_w32 representation=simcc size=256x192"""


def run_single(run_dir: RunDir) -> None:
    """Run a directory in this process or, on several devices, in one process for each, and print its evaluation."""
    print(f"{'finished before' if run_dir.finished else 'run'}: {run_dir}", flush=True)
    try:
        if not run_dir.finished:
            _work(run_dir)
    except InputError:
        _discard(run_dir)
        raise
    from poserep.training.evaluation_sheet import evaluation_sheet

    evaluation_sheet(run_dir.name, run_dir.result()).show()


def _work(run_dir: RunDir) -> None:
    devices = run_dir.config()["trainer"]["devices"]
    try:
        if devices > 1:
            launch(WORKER, [str(run_dir)], devices, saves=True)
        else:
            from poserep.training.fit import fit

            fit(run_dir)
    except Failed as error:
        ending = how_it_ended(run_dir, error)
        raise (InputError(str(ending)) if run_dir.status().get("refused") else ending) from error


def _discard(run_dir: RunDir) -> None:
    """Delete the directory of a run that was refused, unless more than its configuration and status is in it."""
    own = (run_dir.config_file, run_dir.status_file)
    if {*run_dir.path.iterdir()}.issubset(own):
        for file in own:
            file.unlink(missing_ok=True)
        run_dir.path.rmdir()
        with suppress(OSError):  # other runs of the study
            run_dir.path.parent.rmdir()


def run_composed(cfg: DictConfig, backbone: str, several: bool, direction: str = "") -> float | None:
    """Run a composed configuration, alone or as one of several of a plain multirun; return its chief metric.

    Searches, such as Optuna's, optimise it in their ``direction``: that of the default readout with the first kind of
    boxes. It is None if another process has the run, for which searches and agents of W&B wait, or if it is undefined,
    which is `Failed` in a search. A search in the direction that the metric does not improve in ends the process.

    If no run can be made of it, it is an `InputError`, and no run directory has been created. Raises `Failed` if the
    run failed or one of several was refused, `Stopped` if it was asked to stop.
    """
    _refuse_direction(cfg, direction)
    try:
        config = resolved(cfg, backbone)
        if missing := missing_files(config):
            names = ", ".join(map(str, missing))
            raise InputError(
                f"missing: {names}; set the keys that name them, such as data.root, init or backbone.weights"
            )
        _refuse_agent(config, several)
        from poserep.data.split_pictures import picture_hashes  # here, as help needs no data

        config["contents"] |= picture_hashes(cfg)
        run_dir = create_run(config)
        if cfg.init and not cfg.trainer.pretrained and not several:
            print(f"note: trainer.pretrained=false begins with random numbers, not with init={cfg.init}", flush=True)
        if not several and run_dir.status()["state"] == "waiting":
            _print_alike(config)
        # Two trials, or two agents, may draw the same configuration at once, and each needs its result.
        if (direction or SWEEP in os.environ) and (other := holder(run_dir.path)):
            print(f"waiting while it is run {by_whom(other)}: {run_dir}", flush=True)
            while holder(run_dir.path):
                time.sleep(_POLL)
        trained = not (run_dir.finished or (several and run_dir.twin))
        run_cell(run_dir) if several else run_single(run_dir)
        while direction and not run_dir.finished:
            run_cell(run_dir) if holder(run_dir.path) is None else time.sleep(_POLL)
    except InputError as error:
        if not several:
            raise
        # Others may have been trained before.
        raise Failed(message(error)) from error
    except Stopped as stop:
        if not several:
            raise
        # The run's own process has said so; Hydra would begin the next one after any other exception.
        raise SystemExit(STOPPED) from stop
    # A training shows itself; only loggers of W&B have a project.
    if run_dir.finished and not trained and "project" in (config["logger"] or {}):
        show_finished(run_dir, config["logger"]["project"], config["logger"].get("entity"))
    value = chief_value(run_dir.result()) if run_dir.finished else None
    if direction and value is None:
        raise Failed(f"{run_dir} gives the search no value: its chief metric is undefined")
    return value


def _print_alike(config: dict[str, Any]) -> None:
    """Name the finished runs that are almost the same, before one begins anew."""
    if earlier := earlier_run(config):
        # Smoke runs begin with random numbers whatever else is said.
        also = "" if config["trainer"]["pretrained"] else " trainer.pretrained=true"
        print(
            f"note: {earlier} is this run with fewer epochs; this one begins anew. To start from its weights, add "
            f"init={earlier}{also}"
        )
    for other in runs_of_other_pictures(config):
        known = any(key.startswith("pictures ") for key in other.config().get("contents", {}))
        what = "had other images" if known else "did not record its images"
        print(f"note: {other} {what}; everything else is the same, but this is another run")


def _refuse_direction(cfg: DictConfig, direction: str) -> None:
    if direction not in ("minimize", "maximize"):
        return
    module, _, name = cfg.data.metric._target_.rpartition(".")
    scorer = getattr(import_module(module), name)
    less = not scorer.lower.isdisjoint(scorer.columns[:1])
    right = "minimize" if less else "maximize"
    if direction != right:
        better = f"{'less' if less else 'more'} {scorer.columns[0]} is better"
        # Searches count any exception as a trial that failed, and go on.
        print(f"error: hydra.sweeper.direction={direction}, but {better}: set it to {right}", file=sys.stderr)
        raise SystemExit(REFUSED)


def _refuse_agent(config: dict[str, Any], several: bool) -> None:
    if SWEEP in os.environ and (several or not config["logger"]):
        raise InputError(
            f"an agent of W&B has started this command ({SWEEP} is set), which records one run: in the command of its "
            "sweep, write logger=wandb and leave out -m"
        )


def main(arguments: Sequence[str]) -> None:
    """Run one configuration, or several, through Hydra; see `HELP`."""
    if any(word in ("-h", "--help") for word in arguments):
        print(HELP)
        return
    refuse_other_launchers()
    if "hydra/sweeper=optuna" in arguments and not find_spec("optuna"):
        raise InputError("hydra/sweeper=optuna needs an extra: pip install -c constraints.txt -e '.[optuna]'")
    began, outcomes = time.time(), set()

    def task(cfg: DictConfig, *how: Any) -> float | None:
        outcomes.add(Path(cfg.runs, cfg.study, "optimization_results.yaml"))
        return run_composed(cfg, *how)

    set_search_defaults()
    try:
        run_application("poserep train", arguments, task)
    except ValueError as error:
        if not str(error).startswith("No trials are completed"):
            raise
        raise Failed("no trial of the search has finished; the lines above say why") from error
    for file in (file for file in outcomes if file.is_file() and file.stat().st_mtime >= began):
        best = load_yaml(file.read_text())
        words = " ".join(f"{key}={value}" for key, value in best["best_params"].items())
        print(f"best value {best['best_value']:.4g} with {words} (kept in {file})")
