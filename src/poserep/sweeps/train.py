"""The command ``poserep train``: compose a configuration, create its run directory, train and evaluate it there."""

from collections.abc import Sequence

from poserep.cli import STOPPED
from poserep.config import DictConfig, run_application
from poserep.errors import Failed, InputError, Stopped, message
from poserep.runs.create import create_run, missing_files, resolved
from poserep.runs.identity import earlier_run
from poserep.runs.launch import launch, refuse_other_launchers
from poserep.runs.result_values import chief_value
from poserep.runs.rundir import RunDir
from poserep.sweeps.cell import WORKER, how_it_ended, run_cell

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
    devices = run_dir.config()["trainer"]["devices"]
    print(f"{'finished before' if run_dir.finished else 'run'}: {run_dir}", flush=True)
    try:
        if run_dir.finished:
            pass
        elif devices > 1:
            launch(WORKER, [str(run_dir)], devices, saves=True)
        else:
            from poserep.training.fit import fit

            fit(run_dir)
    except Failed as error:
        ending = how_it_ended(run_dir, error)
        raise (InputError(str(ending)) if run_dir.status().get("refused") else ending) from error
    from poserep.training.evaluation_sheet import evaluation_sheet

    evaluation_sheet(run_dir.name, run_dir.result()).show()


def run_composed(cfg: DictConfig, backbone: str, several: bool) -> float | None:
    """Run a composed configuration, alone or as one of several of a plain multirun; return its chief metric.

    Searches, such as Optuna's, optimise it: that of the default readout with the first kind of boxes. It is None if
    another process has the run.

    If no run can be made of it, it is an `InputError`, and no run directory has been created. Raises `Failed` if the
    run failed or one of several was refused, `Stopped` if it was asked to stop.
    """
    try:
        config = resolved(cfg, backbone)
        if missing := missing_files(config):
            names = ", ".join(map(str, missing))
            raise InputError(
                f"missing: {names}; set data.root, or the keys that name them (docs/data-and-evaluation.md)"
            )
        run_dir = create_run(config)
        earlier = None if several or run_dir.status()["state"] != "waiting" else earlier_run(config)
        if earlier:
            print(
                f"note: {earlier} is this run with fewer epochs; this one begins anew. To start from its weights, add "
                f"init={earlier}"
            )
        run_cell(run_dir) if several else run_single(run_dir)
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
    return chief_value(run_dir.result()) if run_dir.finished else None


def main(arguments: Sequence[str]) -> None:
    """Run one configuration, or several, through Hydra; see `HELP`."""
    if any(word in ("-h", "--help") for word in arguments):
        print(HELP)
        return
    refuse_other_launchers()
    run_application("poserep train", arguments, run_composed)
